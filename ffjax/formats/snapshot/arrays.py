"""Arrays in msgpack, encoded as Flax encodes them (`flax.serialization`).

    ext 1    [shape, name of the dtype, bytes in C order, little endian], itself msgpack

    an array of more than 2**30 bytes, since an extension has less than 2**32:
    {"__msgpack_chunked_array__": true, "shape": {"0": rows, "1": dims},
     "chunks": {"0": ext 1, "1": ext 1, ...}}

where the chunks are stretches of the flattened array. msgpack itself is defined at
https://github.com/msgpack/msgpack/blob/master/spec.md. The `msgpack` package would copy the bytes
of an extension, so the few bytes before them are written and read here.
"""

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack
import numpy as np
from ml_dtypes import bfloat16

from ffjax._internal.memmap import release_array_pages
from ffjax.formats.io.binary import Cursor

CHUNKED = "__msgpack_chunked_array__"
MAX_CHUNK_BYTES = 1 << 30
EXT_CODES = (*range(0xC7, 0xCA), *range(0xD4, 0xD9))
_ARRAY = 1
_MAX_NDIM = 3
_HEAD_BYTES = 64
_BLOCK_BYTES = 1 << 22
_DTYPES = {
    np.dtype(dtype).name: np.dtype(dtype)
    for dtype in (bfloat16, np.float16, np.float32, np.int8, np.uint8, np.int32, np.int64)
}


class StoredArray(NamedTuple):
    """An array in a file, and where the bytes of its chunks begin."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[tuple[int, int], ...]

    @property
    def n_bytes(self) -> int:
        """The bytes of all chunks."""
        return sum(size for _, size in self.chunks)


def pack_array(array: Any) -> Iterator[Any]:
    """The bytes of an array, in blocks, so that it is never copied at once."""
    if array.nbytes <= MAX_CHUNK_BYTES:
        yield from _pack_chunk(np.asarray(array))
        release_array_pages(array)
        return
    flat = np.asarray(array).reshape(-1)
    step = max(1, MAX_CHUNK_BYTES // flat.itemsize)
    starts = range(0, flat.size, step)
    packer = msgpack.Packer()
    yield packer.pack_map_header(3) + packer.pack(CHUNKED) + packer.pack(True)
    yield packer.pack("shape") + packer.pack({str(i): n for i, n in enumerate(array.shape)})
    yield packer.pack("chunks") + packer.pack_map_header(len(starts))
    for i, start in enumerate(starts):
        yield packer.pack(str(i))
        yield from _pack_chunk(flat[start : start + step])
        release_array_pages(array)


def unpack_array(cursor: Cursor, name: str) -> StoredArray:
    """Steps over an extension, which must be an array."""
    offset = cursor.position
    code = cursor.number("B", name)
    if code < 0xD0:
        size = int.from_bytes(cursor.take(name, 1 << code - 0xC7), "big")
    else:
        size = 1 << code - 0xD4
    kind = cursor.number("b", name)
    if kind != _ARRAY:
        expected = f"extension {_ARRAY}, an array"
        raise cursor.error(name, expected, f"extension {kind}", offset=offset)
    cursor.claim(name, size, offset=offset)
    stop = cursor.position + size
    unpacker = msgpack.Unpacker(max_array_len=_MAX_NDIM)
    unpacker.feed(cursor.source.data[cursor.position : min(cursor.position + _HEAD_BYTES, stop)])
    try:
        n_entries = unpacker.read_array_header()
        shape, dtype = unpacker.unpack(), unpacker.unpack()
    except (ValueError, msgpack.UnpackException) as error:
        expected = f"shape (at most {_MAX_NDIM} dimensions), type and bytes of an array"
        raise cursor.error(name, expected, f"an error: {error!r}", offset=offset) from error
    shape = _check_shape(cursor, name, shape, offset)
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        expected = f"one of the types {', '.join(_DTYPES)}"
        raise cursor.error(name, expected, repr(dtype), offset=offset)
    n_bytes = math.prod(shape) * _DTYPES[dtype].itemsize
    start = stop - n_bytes
    head = bytes(cursor.source.data[cursor.position : max(start, cursor.position)])
    if n_entries != 3 or n_bytes >= 1 << 32 or head != _head(shape, dtype, n_bytes):
        expected = f"{n_bytes} bytes for shape {shape} of {dtype}, and then the array's end"
        got = f"{stop - cursor.position - unpacker.tell()} bytes with their length"
        raise cursor.error(name, expected, got, offset=offset)
    cursor.position = stop
    return StoredArray(shape, _DTYPES[dtype], ((start, n_bytes),))


def join_chunks(cursor: Cursor, name: str, entries: dict[str, Any], offset: int) -> StoredArray:
    """The array of a map of chunks that begins at `offset`."""
    sizes, numbered = entries.get("shape"), entries.get("chunks")
    if not isinstance(sizes, dict) or not isinstance(numbered, dict):
        expected = "`shape` and `chunks` of an array"
        raise cursor.error(name, expected, ", ".join(entries), offset=offset)
    axes = [sizes.get(str(axis)) for axis in range(len(sizes))]
    shape = _check_shape(cursor, name, axes, offset)
    chunks = [numbered.get(str(number)) for number in range(len(numbered))]
    arrays = [chunk for chunk in chunks if isinstance(chunk, StoredArray)]
    if len(arrays) < len(chunks) or len({array.dtype for array in arrays}) != 1:
        got = f"{len(chunks)} others"
        raise cursor.error(name, "numbered chunks of one type", got, offset=offset)
    dtype = arrays[0].dtype
    joined = StoredArray(shape, dtype, sum((array.chunks for array in arrays), ()))
    expected = math.prod(shape) * dtype.itemsize
    if joined.n_bytes != expected:
        what = f"{expected} bytes for shape {shape} of {dtype}"
        raise cursor.error(name, what, f"{joined.n_bytes} bytes", offset=offset)
    return joined


def _pack_chunk(array: np.ndarray) -> Iterator[Any]:
    head = _head(array.shape, array.dtype.name, array.nbytes)
    size = len(head) + array.nbytes
    if size in (1, 2, 4, 8, 16):
        ext = struct.pack(">BB", 0xD4 + size.bit_length() - 1, _ARRAY)
    else:
        code, length = _length(0xC7, size)
        ext = code + length + struct.pack("b", _ARRAY)
    yield ext + head
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, raw.size, _BLOCK_BYTES):
        yield raw[start : start + _BLOCK_BYTES]


def _head(shape: tuple[int, ...], dtype: str, n_bytes: int) -> bytes:
    """What precedes the bytes of an array in its extension."""
    packer = msgpack.Packer()
    head = packer.pack_array_header(3) + packer.pack(shape) + packer.pack(dtype)
    return head + b"".join(_length(0xC4, n_bytes))


def _length(code: int, n: int) -> tuple[bytes, bytes]:
    """The first of three codes whose length field, of 1, 2 or 4 bytes, holds `n`; and the field."""
    log_size = 0 if n < 1 << 8 else 1 if n < 1 << 16 else 2
    return bytes([code + log_size]), n.to_bytes(1 << log_size, "big")


def _check_shape(cursor: Cursor, name: str, sizes: Any, offset: int) -> tuple[int, ...]:
    if (
        not isinstance(sizes, list)
        or len(sizes) > _MAX_NDIM
        or not all(type(size) is int and 0 <= size < 2**31 for size in sizes)
    ):
        expected = "a shape of numbers from 0 to 2**31 - 1"
        raise cursor.error(name, expected, repr(sizes), offset=offset)
    return tuple(sizes)
