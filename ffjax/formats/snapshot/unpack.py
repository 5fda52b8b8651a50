"""Reading the part of msgpack that snapshots are made of, see `pack`, with bounds and errors that say where.

Lengths are checked against the bytes that remain before anything is made of them, and arrays stay where they are until
they are asked for.
"""

import math
from itertools import chain
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.numpy import bfloat16

from ffjax._internal.arrays import aligned_empty
from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.snapshot.pack import ARRAY, CHUNKED

_DTYPES = {
    np.dtype(dtype).name: np.dtype(dtype)
    for dtype in (bfloat16, np.float16, np.float32, np.int8, np.uint8, np.int32, np.int64)
}
_DEPTH = 32
_SCALARS = _DEPTH + 1  # as if in so many maps that neither a map nor an array may follow
_MOST_AXES = 3


class Held(NamedTuple):
    """An array in a file.

    Attributes:
        at: where its value begins, for errors.
        shape: its shape.
        dtype: its type.
        starts: where the bytes of each of its chunks begin.
        sizes: how many bytes they have.
    """

    at: int
    shape: tuple[int, ...]
    dtype: np.dtype
    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    def read(self, source: ByteSource) -> jax.Array | np.ndarray:
        """The array: on the default device, or on the host where it has 64 bits."""
        array = aligned_empty(self.shape, self.dtype)
        raw, done = array.reshape(-1).view(np.uint8), 0
        for start, size in zip(self.starts, self.sizes, strict=True):
            source.read_into(start, raw[done : done + size])
            done += size
        return array if self.dtype.itemsize == 8 else jax.device_put(array)


def value(cursor: Cursor, name: str, depth: int = 0) -> Any:
    """The next value: `dict`, `str`, `int`, `bool`, `None` or `Held`.

    Args:
        cursor: where it begins.
        name: what errors call it.
        depth: how many maps it is in.

    Raises:
        FormatError: the file ends before, or holds what snapshots have not.
    """
    at = cursor.position
    code = cursor.number("B", name)
    if code in _CONSTANTS:
        return _CONSTANTS[code]
    if code <= 0x7F or code >= 0xE0:
        return code if code <= 0x7F else code - 256
    if code in _NUMBERS:
        return _big(cursor, _NUMBERS[code], name)
    if 0xA0 <= code <= 0xBF or code in _TEXTS:
        return cursor.text(name, code - 0xA0 if code <= 0xBF else _big(cursor, _TEXTS[code], name))
    if 0x80 <= code <= 0x8F or code in _MAPS:
        count = code - 0x80 if code <= 0x8F else _big(cursor, _MAPS[code], name)
        return _map(cursor, name, count, depth, at)
    if code in _EXTENSIONS or code in _FIXED:
        size = _FIXED[code] if code in _FIXED else _big(cursor, _EXTENSIONS[code], name)
        kind = cursor.number("b", name)
        if kind != ARRAY or depth == _SCALARS:
            raise cursor.error(name, f"extension {ARRAY}, an array", f"extension {kind}", offset=at)
        cursor.claim(name, size, offset=at)
        return _array(cursor, name, cursor.position + size, at)
    raise cursor.error(name, "a map, text, a whole number, a truth value, nil or an array", f"0x{code:02x}", offset=at)


_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}
_TEXTS = {0xD9: "B", 0xDA: "H", 0xDB: "I"}
_BYTES = {0xC4: "B", 0xC5: "H", 0xC6: "I"}
_MAPS = {0xDE: "H", 0xDF: "I"}
_EXTENSIONS = {0xC7: "B", 0xC8: "H", 0xC9: "I"}
_FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8, "b": 1, "h": 2, "i": 4, "q": 8}


def _big(cursor: Cursor, code: str, name: str) -> int:
    """A number in msgpack's order, the highest byte first."""
    return int.from_bytes(cursor.take(name, _SIZES[code]), "big", signed=code.islower())


def _map(cursor: Cursor, name: str, count: int, depth: int, at: int) -> Any:
    cursor.claim(name, count, 2, offset=at)  # a key and a value have a byte each at least
    if depth >= _DEPTH:
        raise cursor.error(name, f"at most {_DEPTH} maps in each other", "more", offset=at)
    found: dict[str, Any] = {}
    for _ in range(count):
        here = cursor.position
        key = value(cursor, name, _SCALARS)
        if not isinstance(key, str) or key in found:
            raise cursor.error(name, "keys of text, each once", repr(key), offset=here)
        found[key] = value(cursor, key, depth + 1)
    return _joined(cursor, name, found, at) if CHUNKED in found else found


def _array(cursor: Cursor, name: str, end: int, at: int) -> Held:
    if cursor.number("B", name) != 0x93:
        raise cursor.error(name, "shape, type and bytes of an array", "something else", offset=at)
    here = cursor.position
    axes = cursor.number("B", name) - 0x90
    if not 0 <= axes <= _MOST_AXES:
        raise cursor.error(name, f"an array of up to {_MOST_AXES} dimensions", "another", offset=here)
    shape = _shape(cursor, name, [value(cursor, name, _SCALARS) for _ in range(axes)], here)
    here = cursor.position
    dtype = _DTYPES.get(value(cursor, name, _SCALARS))
    if dtype is None:
        raise cursor.error(name, f"one of the types {', '.join(_DTYPES)}", "another", offset=here)
    here = cursor.position
    code = cursor.number("B", name)
    size = _big(cursor, _BYTES[code], name) if code in _BYTES else -1
    if size != math.prod(shape) * dtype.itemsize or cursor.position + size != end:
        asked = f"{math.prod(shape) * dtype.itemsize} bytes for shape {shape} of {dtype}, and then the array's end"
        raise cursor.error(name, asked, f"{size if size >= 0 else 'no'} bytes", offset=here)
    return Held(at, shape, dtype, (cursor.skip(name, size),), (size,))


def _shape(cursor: Cursor, name: str, sizes: list[Any], at: int) -> tuple[int, ...]:
    if not all(type(size) is int and 0 <= size < 2**31 for size in sizes):
        raise cursor.error(name, "a shape of numbers from 0 to 2**31 - 1", repr(sizes), offset=at)
    return tuple(sizes)


def _joined(cursor: Cursor, name: str, found: dict[str, Any], at: int) -> Held:
    shape, chunks = found.get("shape"), found.get("chunks")
    if not isinstance(shape, dict) or not isinstance(chunks, dict) or not 0 < len(shape) <= _MOST_AXES:
        raise cursor.error(name, "`shape` and `chunks` of an array", ", ".join(found), offset=at)
    sizes = _shape(cursor, name, [shape.get(str(axis)) for axis in range(len(shape))], at)
    held = [chunks.get(str(number)) for number in range(len(chunks))]
    arrays = [chunk for chunk in held if isinstance(chunk, Held)]
    if not arrays or len(arrays) != len(held) or any(array.dtype != arrays[0].dtype for array in arrays):
        raise cursor.error(name, "numbered chunks of one type", f"{len(held)} others", offset=at)
    dtype = arrays[0].dtype
    starts = tuple(chain.from_iterable(array.starts for array in arrays))
    lengths = tuple(chain.from_iterable(array.sizes for array in arrays))
    if sum(lengths) != math.prod(sizes) * dtype.itemsize:
        asked = f"{math.prod(sizes) * dtype.itemsize} bytes for shape {sizes} of {dtype}"
        raise cursor.error(name, asked, f"{sum(lengths)} bytes", offset=at)
    return Held(at, sizes, dtype, starts, lengths)
