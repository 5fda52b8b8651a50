"""A tree of maps, text, numbers and arrays as msgpack, piece by piece, so that arrays are never copied as a whole.

Arrays are encoded as Flax encodes them (`flax.serialization`), an extension type with msgpack inside:

    ext 1    [shape, name of the dtype, bytes in C order, little endian]

    an array of more than 2**30 bytes, since an extension has less than 2**32:
    {"__msgpack_chunked_array__": true, "shape": {"0": rows, "1": dims}, "chunks": {"0": ext 1, "1": ext 1, ...}}

where the chunks are stretches of the flattened array. msgpack itself is defined at
https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

import struct
from collections.abc import Iterator
from typing import Any

import jax
import msgpack
import numpy as np

from ffjax._internal.memmap import release_pages

ARRAY = 1
CHUNKED = "__msgpack_chunked_array__"
MOST_BYTES = 1 << 30
_BLOCK = 1 << 22


def pieces(tree: Any) -> Iterator[Any]:
    """The bytes of a tree of `dict`, `str`, `int`, `bool`, `None` and arrays, in pieces.

    Args:
        tree: the tree; keys are `str`, and written in order.
    """
    packer = msgpack.Packer()
    if isinstance(tree, dict):
        yield packer.pack_map_header(len(tree))
        for key, value in sorted(tree.items()):
            yield packer.pack(key)
            yield from pieces(value)
    elif isinstance(tree, np.ndarray | jax.Array):
        yield from _array(tree)
    else:
        yield packer.pack(tree)


def _array(array: Any) -> Iterator[Any]:
    if array.nbytes <= MOST_BYTES:
        yield from _whole(np.asarray(array))
        release_pages(array)
        return
    flat = np.asarray(array).reshape(-1)
    step = max(1, MOST_BYTES // flat.itemsize)
    starts = range(0, flat.size, step)
    packer = msgpack.Packer()
    yield packer.pack_map_header(3) + packer.pack(CHUNKED) + packer.pack(True) + packer.pack("shape")
    yield packer.pack({str(axis): size for axis, size in enumerate(array.shape)})
    yield packer.pack("chunks") + packer.pack_map_header(len(starts))
    for number, start in enumerate(starts):
        yield packer.pack(str(number))
        yield from _whole(flat[start : start + step])
        release_pages(array)


def _whole(array: np.ndarray) -> Iterator[Any]:
    packer = msgpack.Packer()
    head = packer.pack_array_header(3) + packer.pack(array.shape) + packer.pack(array.dtype.name)
    head += _bin_header(array.nbytes)
    yield _ext_header(len(head) + array.nbytes) + head
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, raw.size, _BLOCK):
        yield raw[start : start + _BLOCK]


def _bin_header(size: int) -> bytes:
    for code, layout, most in ((0xC4, ">BB", 0xFF), (0xC5, ">BH", 0xFFFF)):
        if size <= most:
            return struct.pack(layout, code, size)
    return struct.pack(">BI", 0xC6, size)


def _ext_header(size: int) -> bytes:
    if size in (1, 2, 4, 8, 16):
        return struct.pack(">BB", 0xD4 + size.bit_length() - 1, ARRAY)
    for code, layout, most in ((0xC7, ">BBB", 0xFF), (0xC8, ">BHB", 0xFFFF)):
        if size <= most:
            return struct.pack(layout, code, size, ARRAY)
    return struct.pack(">BIB", 0xC9, size, ARRAY)
