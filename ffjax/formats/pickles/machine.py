"""A machine that executes the opcodes of a pickle with a stack and a memo, and runs nothing.

The name of a class or function stays a name, and a call a record of its arguments. Texts and bytes
stay where they are in the file. The machine never recurses, so that depth does not matter, and what
it allocates is bounded by the bytes that it has read.

Only opcodes that Python 2 and 3 write from protocol 2 on are read. The standard library's
`pickletools`, which runs nothing either, says what each one is called and what follows it.
"""

import pickletools
from collections.abc import Container
from struct import calcsize, unpack_from
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.pickles.runs import RunFinder
from ffjax.formats.pickles.values import Entries, Global, Raw, Record

_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
# The methods of the machine, and the opcodes that each executes.
_METHODS = {
    "check_protocol": "PROTO",
    "check_frame": "FRAME",
    "mark": "MARK",
    "drop": "POP",
    "take": "POP_MARK",
    "push": """BINFLOAT BININT BININT1 BININT2 BINSTRING SHORT_BINSTRING BINUNICODE BINUNICODE8
        SHORT_BINUNICODE BINBYTES BINBYTES8 SHORT_BINBYTES BYTEARRAY8 EMPTY_TUPLE NONE NEWTRUE
        NEWFALSE""",
    "push_decimal": "INT",
    "push_long": "LONG1",
    "push_new": "EMPTY_DICT EMPTY_LIST EMPTY_SET",
    "push_tuple": "TUPLE TUPLE1 TUPLE2 TUPLE3 FROZENSET",
    "extend": "APPEND APPENDS ADDITEMS",
    "set_items": "SETITEM SETITEMS",
    "get": "BINGET LONG_BINGET",
    "put": "BINPUT LONG_BINPUT",
    "memoize": "MEMOIZE",
    "push_global": "GLOBAL",
    "push_stack_global": "STACK_GLOBAL",
    "reduce": "REDUCE NEWOBJ",
    "reduce_ex": "NEWOBJ_EX",
    "build": "BUILD",
    "push_persistent": "BINPERSID",
    "pop": "STOP",
}
# What methods get from opcodes that nothing follows: values, and how many to take if not to a mark.
_ARGUMENTS: dict[str, Any] = {
    **{"EMPTY_TUPLE": (), "NEWTRUE": True, "NEWFALSE": False},
    **{"EMPTY_DICT": Entries, "EMPTY_LIST": list, "EMPTY_SET": list},
    **{"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2},
}
# The numbers that follow opcodes, and the lengths of texts and bytes, as in `struct`.
_NUMBERS = dict(uint1="<B", uint2="<H", int4="<i", uint4="<I", uint8="<Q", float8=">d")
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: "<B",
    pickletools.TAKEN_FROM_ARGUMENT4: "<i",
    pickletools.TAKEN_FROM_ARGUMENT4U: "<I",
    pickletools.TAKEN_FROM_ARGUMENT8U: "<Q",
}
_PROTOCOLS = range(2, 6)
# Python writes a thousand items at a time, and only tuples at once.
_MAX_STACK = 1 << 20
# What classes and functions files name besides those of their library. They stay names: nothing is
# imported.
_PACKAGES = frozenset("numpy collections copyreg copy_reg _codecs".split())
_BUILTINS = frozenset(
    "object int long float set frozenset list dict tuple bytearray hash slice".split()
)
_OF_PYTHON_34 = "UserString.defaultdict"  # how it wrote `collections.defaultdict` in protocol 2
_CUT = "The file is incomplete: copy or download it again."
_MAX_LINE_BYTES = 1 << 10


class Machine:
    """Reads pickles of a file, which may name classes and functions of these packages.

    `skips_numbers` is for files whose words are in a list: long dictionaries that number the same
    words again are skipped.
    """

    def __init__(
        self,
        source: ByteSource,
        packages: Container[str],
        *,
        hint: str | None = None,
        has_storages: bool = False,
        skips_numbers: bool = False,
    ) -> None:
        self.source, self._data, self._hint = source, source.data, hint
        self._packages, self._has_storages = packages, has_storages
        self._skips_numbers = skips_numbers
        self._methods = {
            name: getattr(self, f"_{method}")
            for method, names in _METHODS.items()
            for name in names.split()
        }
        self._runs = RunFinder(source)
        self._offset, self._name = 0, ""
        self.storages: list[Record] = []

    def run(self, start: int = 0) -> tuple[Any, int]:
        """The value of the pickle that begins at byte `start`, and where it ends."""
        self._stack: list[Any] = []  # above the last mark
        self._below: list[list[Any]] = []  # the stacks below the marks
        self._n_below = 0  # values in these
        self._memo: dict[int, Any] = {}
        self._runs.clear()
        data, end, position = self._data, len(self._data), start
        while True:
            self._offset = position
            if position >= end:
                raise self.error("more of the pickle", "the end of the file", hint=_CUT)
            code = data[position]
            opcode = _OPCODES.get(code)
            self._name = name = "unknown" if opcode is None else opcode.name
            if opcode is None or name not in self._methods:
                self._name = "opcode"
                raise self.error("one that reads as data", f"0x{code:02x} ({name})")
            argument, position = _ARGUMENTS.get(name), position + 1
            if opcode.arg is not None:
                argument, position = self._argument(opcode.arg, position)
            if name == "STOP":
                return self._pop(), position
            self._methods[name](argument)
            if name == "MARK":
                position = self._skip_run(position)

    def raw(self, span: Raw) -> memoryview:
        """The bytes of a text or of bytes, in place."""
        return self._data[span.start : span.stop]

    def error(self, expected: str, got: str, **where: Any) -> FormatError:
        """An error about the opcode that is being executed, or about a `field` elsewhere."""
        if "field" not in where:
            where = {"hint": self._hint} | where | {"field": self._name, "offset": self._offset}
        return self.source.error(chunk="pickle", expected=expected, got=got, **where)

    def _argument(self, form: Any, position: int) -> tuple[Any, int]:
        """What follows an opcode, and where that ends."""
        if form.n == pickletools.UP_TO_NEWLINE:
            return self._lines(position, 2 if form.name.endswith("pair") else 1)
        code = _LENGTHS.get(form.n) or _NUMBERS[form.name]
        start, end = position + calcsize(code), len(self._data)
        if start > end:
            expected, got = f"{start - position} bytes", f"{end - position} before the end"
            raise self.error(expected, got, hint=_CUT)
        (number,) = unpack_from(code, self._data, position)
        if form.n > 0:
            return number, start
        if not 0 <= number <= end - start:
            expected = f"at most {end - start} bytes, as many as remain"
            raise self.error(expected, str(number), hint=_CUT)
        stop = start + number
        return Raw(start, stop, form.name.startswith("unicode")), stop

    def _lines(self, position: int, n: int) -> tuple[Any, int]:
        lines = bytes(self._data[position : position + _MAX_LINE_BYTES]).split(b"\n", n)
        if len(lines) <= n:
            expected = f"{n} lines" if n > 1 else "a line"
            raise self.error(f"{expected} of at most {_MAX_LINE_BYTES} bytes", "more, or the end")
        texts = [line.decode(errors="replace") for line in lines[:n]]
        return texts, position + sum(map(len, lines[:n])) + n

    # The stack.

    def _push(self, value: Any) -> None:
        if self._n_below + len(self._stack) >= _MAX_STACK:
            raise self.error(f"at most {_MAX_STACK} values on the stack", "one more")
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise self.error("a value on the stack", "none")
        return self._stack.pop()

    def _take(self, n: int | None = None) -> list[Any]:
        """The last `n` values, or those after the last mark."""
        if n is not None:
            return [self._pop() for _ in range(n)][::-1]
        if not self._below:
            raise self.error("a mark on the stack", "none")
        values, self._stack = self._stack, self._below.pop()
        self._n_below -= len(self._stack)
        return values

    def _top(self, *kinds: type) -> Any:
        """The last value, which is of one of some kinds and stays on the stack."""
        value = self._pop()
        if not isinstance(value, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise self.error(f"a value of the kind {names}", type(value).__name__)
        self._stack.append(value)
        return value

    def _mark(self, _: Any) -> None:
        if len(self._below) >= _MAX_STACK:
            raise self.error(f"at most {_MAX_STACK} marks on the stack", "one more")
        self._below.append(self._stack)
        self._n_below += len(self._stack)
        self._stack = []

    def _drop(self, _: Any) -> None:
        self._take(1 if self._stack else None)

    # Numbers, texts, bytes and containers.

    def _push_decimal(self, lines: list[str]) -> None:
        digits = lines[0].removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
            raise self.error("a whole number of at most 20 digits", repr(lines[0]))
        self._push({"00": False, "01": True}.get(lines[0], int(lines[0])))

    def _push_long(self, span: Raw) -> None:
        self._push(int.from_bytes(self.raw(span), "little", signed=True))

    def _push_new(self, kind: type) -> None:
        self._push(kind())

    def _push_tuple(self, n: int | None) -> None:
        self._push(tuple(self._take(n)))

    def _extend(self, n: int | None) -> None:
        values = self._take(n)
        self._items(list, Record).extend(values)

    def _set_items(self, n: int | None) -> None:
        values = self._take(n)
        if len(values) % 2:
            raise self.error("a value for each key", f"{len(values)} keys and values")
        self._items(Entries, Record).extend(values)

    def _items(self, *kinds: type) -> list[Any]:
        container = self._top(*kinds)
        return container if isinstance(container, list) else container.items

    # The memo.

    def _get(self, number: int) -> None:
        value = self._memo.get(number)
        if value is None and number not in self._memo:
            value = self._runs.text(number)
            if value is None:
                raise self.error("the number of a value seen before", str(number))
        self._push(value)

    def _put(self, number: int) -> None:
        self._memo[number] = self._top(object)

    def _memoize(self, _: Any) -> None:
        self._put(len(self._memo) + self._runs.n_values)

    # Names, calls and objects, all of which stay records.

    def _push_global(self, lines: list[str]) -> None:
        name = ".".join(lines)
        module, _, rest = name.partition(".")
        is_builtin = module in ("builtins", "__builtin__") and rest in _BUILTINS
        is_package = module in _PACKAGES or module in self._packages
        if not (is_package or is_builtin or name == _OF_PYTHON_34):
            raise self.error("a class or function that reads as data", f"`{name}`")
        self._push(Global(name))

    def _push_stack_global(self, _: Any) -> None:
        names = self._take(2)
        for name in names:
            if not isinstance(name, Raw) or name.stop - name.start > _MAX_LINE_BYTES:
                raise self.error("the names of a module and a class", type(name).__name__)
        self._push_global([str(self.raw(name), "utf-8", "replace") for name in names])

    def _reduce(self, _: Any) -> None:
        arguments, callee = self._pop(), self._pop()
        if not isinstance(callee, Global) or not isinstance(arguments, tuple):
            got = f"{type(callee).__name__} and {type(arguments).__name__}"
            raise self.error("the name of a class or function, and a tuple", got)
        self._push(Record(callee, arguments, self._offset))

    def _reduce_ex(self, _: Any) -> None:
        self._top(Entries)
        self._pop()  # arguments by name, which no class that is read has
        self._reduce(None)

    def _build(self, _: Any) -> None:
        state = self._pop()
        self._top(Record).state = state

    def _push_persistent(self, _: Any) -> None:
        if not self._has_storages:
            raise self.error("objects in the file", "one outside")
        identifier = self._pop()
        if not isinstance(identifier, tuple):
            raise self.error("a tuple", type(identifier).__name__)
        self.storages.append(Record(Global("storage"), identifier, self._offset))
        self._push(self.storages[-1])

    def _check_protocol(self, protocol: int) -> None:
        if protocol not in _PROTOCOLS:
            raise self.error("protocol 2 to 5", str(protocol))

    def _check_frame(self, size: int) -> None:
        remaining = len(self._data) - self._offset - 9
        if size > remaining:
            expected = f"at most {remaining} bytes, as many as remain"
            raise self.error(expected, str(size), hint=_CUT)

    def _skip_run(self, position: int) -> int:
        """Reads what follows a mark at once if it is one of two kinds that fill most files."""
        container = self._below[-1][-1] if self._below[-1] else None
        run = None
        if isinstance(container, list):
            run = self._runs.texts(position, len(self._memo))
        elif isinstance(container, Entries) and self._skips_numbers:
            run = self._runs.numbered(position) or self._runs.objects(position, len(self._memo))
        if run is None:
            return position
        items, stop = run
        self._take()
        self._items(list, Entries).append(items)
        return stop
