"""The opcodes of pickles, and the form of the argument that follows each.

Only opcodes that Python 2 and 3 write from protocol 2 on are read. See
https://github.com/python/cpython/blob/main/Lib/pickletools.py for what each one does.
"""

from typing import NamedTuple


class Opcode(NamedTuple):
    """An opcode: its name, what follows it, and the method of the machine that executes it.

    `argument` is empty, a number as in `struct`, `"line"`, or a number and `*` for a string of that
    many bytes.
    """

    name: str
    argument: str
    method: str
    value: object = None


OPCODES = {
    0x28: Opcode("MARK", "", "mark"),
    0x29: Opcode("EMPTY_TUPLE", "", "push", ()),
    0x2E: Opcode("STOP", "", "stop"),
    0x30: Opcode("POP", "", "drop"),
    0x31: Opcode("POP_MARK", "", "drop_to_mark"),
    0x42: Opcode("BINBYTES", "<I*", "push_bytes"),
    0x43: Opcode("SHORT_BINBYTES", "<B*", "push_bytes"),
    0x47: Opcode("BINFLOAT", ">d", "push"),
    0x49: Opcode("INT", "line", "push_decimal"),
    0x4A: Opcode("BININT", "<i", "push"),
    0x4B: Opcode("BININT1", "<B", "push"),
    0x4D: Opcode("BININT2", "<H", "push"),
    0x4E: Opcode("NONE", "", "push"),
    0x51: Opcode("BINPERSID", "", "push_persistent"),
    0x52: Opcode("REDUCE", "", "reduce"),
    0x54: Opcode("BINSTRING", "<i*", "push_bytes"),
    0x55: Opcode("SHORT_BINSTRING", "<B*", "push_bytes"),
    0x58: Opcode("BINUNICODE", "<I*", "push_text"),
    0x5D: Opcode("EMPTY_LIST", "", "push_list"),
    0x61: Opcode("APPEND", "", "append"),
    0x62: Opcode("BUILD", "", "build"),
    0x63: Opcode("GLOBAL", "lines", "push_global"),
    0x65: Opcode("APPENDS", "", "extend"),
    0x68: Opcode("BINGET", "<B", "get"),
    0x6A: Opcode("LONG_BINGET", "<I", "get"),
    0x71: Opcode("BINPUT", "<B", "put"),
    0x72: Opcode("LONG_BINPUT", "<I", "put"),
    0x73: Opcode("SETITEM", "", "set_item"),
    0x74: Opcode("TUPLE", "", "push_tuple"),
    0x75: Opcode("SETITEMS", "", "set_items"),
    0x7D: Opcode("EMPTY_DICT", "", "push_entries"),
    0x80: Opcode("PROTO", "<B", "check_protocol"),
    0x81: Opcode("NEWOBJ", "", "reduce"),
    0x85: Opcode("TUPLE1", "", "push_last", 1),
    0x86: Opcode("TUPLE2", "", "push_last", 2),
    0x87: Opcode("TUPLE3", "", "push_last", 3),
    0x88: Opcode("NEWTRUE", "", "push", True),
    0x89: Opcode("NEWFALSE", "", "push", False),
    0x8A: Opcode("LONG1", "<B*", "push_long"),
    0x8C: Opcode("SHORT_BINUNICODE", "<B*", "push_text"),
    0x8D: Opcode("BINUNICODE8", "<Q*", "push_text"),
    0x8E: Opcode("BINBYTES8", "<Q*", "push_bytes"),
    0x8F: Opcode("EMPTY_SET", "", "push_list"),
    0x90: Opcode("ADDITEMS", "", "extend"),
    0x91: Opcode("FROZENSET", "", "push_tuple"),
    0x92: Opcode("NEWOBJ_EX", "", "reduce_ex"),
    0x93: Opcode("STACK_GLOBAL", "", "push_stack_global"),
    0x94: Opcode("MEMOIZE", "", "memoize"),
    0x95: Opcode("FRAME", "<Q", "check_frame"),
    0x96: Opcode("BYTEARRAY8", "<Q*", "push_bytes"),
}
# Opcodes of other programs and older protocols, so that errors can name them.
UNREAD = {
    0x32: "DUP",
    0x46: "FLOAT",
    0x4C: "LONG",
    0x50: "PERSID",
    0x53: "STRING",
    0x56: "UNICODE",
    0x64: "DICT",
    0x67: "GET",
    0x69: "INST",
    0x6C: "LIST",
    0x6F: "OBJ",
    0x70: "PUT",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x8B: "LONG4",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}
