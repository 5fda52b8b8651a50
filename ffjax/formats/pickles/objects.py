"""What records stand for: the attributes of objects, and NumPy's arrays.

    array    numpy.core.multiarray._reconstruct(class, shape, "b"), and as its state
             (version, shape, dtype, is_fortran, bytes); or from protocol 5 on
             numpy.core.numeric._frombuffer(bytes, dtype, shape, order)
    dtype    numpy.dtype("f4", ...), and as its state (version, "<", ...)
    bytes    bytes; or, in protocol 2 of Python 3, _codecs.encode(text, "latin1")

From NumPy 2 on the module is `numpy._core`.
"""

import math
from typing import Any

import numpy as np

from ffjax._internal.file_arguments import counted
from ffjax.formats.io.binary import Array, ByteSource
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.values import Entries, Global, Raw, Record, in_pairs

_MAX_NAME_BYTES = 256
_MAX_SIZE = 1 << 48
_FLOATS = ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8")


def attributes(machine: Machine, value: Any) -> dict[str, Any]:
    """The attributes of an object, or the values of a dictionary, by their names."""
    entries = value.state if isinstance(value, Record) else value
    pairs = in_pairs(entries.items) if isinstance(entries, Entries) else ()
    return {text_of(machine, key): value for key, value in pairs}


def text_of(machine: Machine, text: Any) -> str:
    """A short text; empty if it is something else or long."""
    if not isinstance(text, Raw) or text.stop - text.start > _MAX_NAME_BYTES:
        return ""
    return str(machine.raw(text), "utf-8", "replace")


def array_of(machine: Machine, field: str, value: Any, ndim: int = 2) -> Array:
    """An array of floats, in the file, or in memory if its bytes are encoded there as text."""
    where = {"field": field, "offset": value.offset if isinstance(value, Record) else 0}
    shape, dtype, order, data = _fields(value)
    sizes = shape if isinstance(shape, tuple) else ()
    if len(sizes) != ndim or any(type(n) is not int or not 0 <= n < _MAX_SIZE for n in sizes):
        raise machine.error(f"an array of {counted(ndim, 'dimension')}", "something else", **where)
    code = _code(machine, dtype)
    if code is None:
        raise machine.error("floats of 16, 32 or 64 bits", "numbers of another type", **where)
    source, start, stop = _bytes_of(machine, data)
    n_bytes = math.prod(shape) * np.dtype(code).itemsize
    if stop - start != n_bytes:
        expected = f"{n_bytes} bytes for {' x '.join(map(str, shape))}"
        raise machine.error(expected, str(stop - start), **where)
    is_fortran = order is True or text_of(machine, order) == "F"
    return Array(source, start, np.dtype(code), shape, is_fortran)


def _fields(value: Any) -> tuple[Any, Any, Any, Any]:
    """The shape, dtype, order and bytes of an array; `None` for something else."""
    match value:
        case Record(Global(name), state=(_, shape, dtype, order, data)):
            is_array = name.endswith(".multiarray._reconstruct")
        case Record(Global(name), (data, dtype, shape, order)):
            is_array = name.endswith(".numeric._frombuffer")
        case _:
            return None, None, None, None
    return (shape, dtype, order, data) if is_array else (None, None, None, None)


def _code(machine: Machine, dtype: Any) -> str | None:
    """A dtype of floats as NumPy writes it, such as `"<f4"`; `None` for others."""
    match dtype:
        case Record(Global("numpy.dtype"), (name, *_), state=(_, order, *_)):
            code = text_of(machine, order) + text_of(machine, name)
            return code if code in _FLOATS else None
    return None


def _bytes_of(machine: Machine, data: Any) -> tuple[ByteSource, int, int]:
    """Where bytes lie; those that are encoded as text are decoded into memory."""
    match data:
        case Raw(start, stop):
            return machine.source, start, stop
        case Record(Global("_codecs.encode"), (Raw() as text, *_)):
            try:
                decoded = str(machine.raw(text), "utf-8").encode("latin-1")
            except UnicodeError as error:
                where = {"field": "text", "offset": text.start}
                expected = "bytes as characters up to U+00FF"
                raise machine.error(expected, str(error), **where) from error
            return ByteSource(machine.source.name, decoded), 0, len(decoded)
    return machine.source, 0, 0
