"""The opcodes of pickles, the argument that follows each, and the inert values that they make.

Only opcodes that Python 2 and 3 write from protocol 2 on are read. See
https://github.com/python/cpython/blob/main/Lib/pickletools.py for what each one does.

No class of a file is looked up, and none is called. Numbers, `None`, tuples and lists are Python's
own. Text and bytes stay in the file, and objects are records of what would have been called.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Raw(NamedTuple):
    """Text or bytes of a file: where they begin and end."""

    start: int
    stop: int
    is_text: bool


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """The name of a class or a function."""

    name: str


class Skipped(NamedTuple):
    """Entries of a dictionary that number values seen before: not read."""

    start: int
    stop: int


class TextRun(NamedTuple):
    """Many short texts, one after the other in a list: where each begins and ends."""

    starts: np.ndarray
    stops: np.ndarray


@dataclass(slots=True, eq=False)
class Entries:
    """The keys and values of a dictionary, in turn."""

    items: list[Any] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Record:
    """An object: what would be called, with which arguments, and what is set afterwards."""

    callee: Global
    arguments: tuple[Any, ...]
    offset: int
    state: Any = None
    items: list[Any] = field(default_factory=list)


def in_pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Keys with their values, but those that were skipped."""
    plain = [item for item in items if not isinstance(item, Skipped)]
    return zip(plain[::2], plain[1::2], strict=False)


class Opcode(NamedTuple):
    """An opcode: its name, what follows it, and the method of the machine that executes it.

    `argument` is empty, a number as in `struct`, `"line"`, or a number and `*` for a string of that
    many bytes, of which `value` says whether it is text. Otherwise `value` stands for an argument.
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
    0x31: Opcode("POP_MARK", "", "take", 0),
    0x42: Opcode("BINBYTES", "<I*", "push", False),
    0x43: Opcode("SHORT_BINBYTES", "<B*", "push", False),
    0x47: Opcode("BINFLOAT", ">d", "push"),
    0x49: Opcode("INT", "line", "push_decimal"),
    0x4A: Opcode("BININT", "<i", "push"),
    0x4B: Opcode("BININT1", "<B", "push"),
    0x4D: Opcode("BININT2", "<H", "push"),
    0x4E: Opcode("NONE", "", "push"),
    0x51: Opcode("BINPERSID", "", "push_persistent"),
    0x52: Opcode("REDUCE", "", "reduce"),
    0x54: Opcode("BINSTRING", "<i*", "push", False),
    0x55: Opcode("SHORT_BINSTRING", "<B*", "push", False),
    0x58: Opcode("BINUNICODE", "<I*", "push", True),
    0x5D: Opcode("EMPTY_LIST", "", "push_new", list),
    0x61: Opcode("APPEND", "", "extend", 1),
    0x62: Opcode("BUILD", "", "build"),
    0x63: Opcode("GLOBAL", "lines", "push_global"),
    0x65: Opcode("APPENDS", "", "extend", 0),
    0x68: Opcode("BINGET", "<B", "get"),
    0x6A: Opcode("LONG_BINGET", "<I", "get"),
    0x71: Opcode("BINPUT", "<B", "put"),
    0x72: Opcode("LONG_BINPUT", "<I", "put"),
    0x73: Opcode("SETITEM", "", "set_items", 2),
    0x74: Opcode("TUPLE", "", "push_tuple", 0),
    0x75: Opcode("SETITEMS", "", "set_items", 0),
    0x7D: Opcode("EMPTY_DICT", "", "push_new", Entries),
    0x80: Opcode("PROTO", "<B", "check_protocol"),
    0x81: Opcode("NEWOBJ", "", "reduce"),
    0x85: Opcode("TUPLE1", "", "push_tuple", 1),
    0x86: Opcode("TUPLE2", "", "push_tuple", 2),
    0x87: Opcode("TUPLE3", "", "push_tuple", 3),
    0x88: Opcode("NEWTRUE", "", "push", True),
    0x89: Opcode("NEWFALSE", "", "push", False),
    0x8A: Opcode("LONG1", "<B*", "push_long"),
    0x8C: Opcode("SHORT_BINUNICODE", "<B*", "push", True),
    0x8D: Opcode("BINUNICODE8", "<Q*", "push", True),
    0x8E: Opcode("BINBYTES8", "<Q*", "push", False),
    0x8F: Opcode("EMPTY_SET", "", "push_new", list),
    0x90: Opcode("ADDITEMS", "", "extend", 0),
    0x91: Opcode("FROZENSET", "", "push_tuple", 0),
    0x92: Opcode("NEWOBJ_EX", "", "reduce_ex"),
    0x93: Opcode("STACK_GLOBAL", "", "push_stack_global"),
    0x94: Opcode("MEMOIZE", "", "memoize"),
    0x95: Opcode("FRAME", "<Q", "check_frame"),
    0x96: Opcode("BYTEARRAY8", "<Q*", "push", False),
}
# Opcodes of other programs and older protocols, so that errors can name them.
UNREAD = {
    0x32: "DUP", 0x46: "FLOAT", 0x4C: "LONG", 0x50: "PERSID", 0x53: "STRING", 0x56: "UNICODE",
    0x64: "DICT", 0x67: "GET", 0x69: "INST", 0x6C: "LIST", 0x6F: "OBJ", 0x70: "PUT", 0x82: "EXT1",
    0x83: "EXT2", 0x84: "EXT4", 0x8B: "LONG4", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}
