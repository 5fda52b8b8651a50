"""Arrays of 32-bit floats in chunks.

Padding of `4 - position % 4` bytes, 1 to 4 and never 0, precedes them, counted from the start of
the file; a chunk's length includes it and so depends on where the chunk stands.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ffjax._internal.arrays import host_view, read_array, release_pages
from ffjax.formats.io.binary import Cursor, Output

F32 = np.dtype("<f4")
# Rows are numbered in 32 bits, and JAX counts the elements of an axis in them.
MAX_ROWS = 2**31 - 1
_BLOCK_BYTES = 1 << 24


def skip_padding(cursor: Cursor) -> None:
    """Steps over the padding, whatever its bytes are."""
    cursor.skip("padding", 4 - cursor.position % 4)


def write_padding(out: Output) -> None:
    """Writes the padding, as zeros."""
    out.write(bytes(4 - out.position % 4))


def skip_array(cursor: Cursor, field: str, shape: tuple[int, ...], dtype: Any = F32) -> int:
    """Steps over an array, which must lie within the chunk, and returns where it begins."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > cursor.remaining:
        expected = f"{size} bytes for {' x '.join(map(str, shape))} numbers"
        raise cursor.error(field, expected, f"{cursor.remaining} before the end of the chunk")
    return cursor.skip(field, size)


def read_floats(cursor: Cursor, field: str, shape: tuple[int, ...]) -> jax.Array:
    """Reads floats onto the device."""
    return read_array(cursor.source, skip_array(cursor, field, shape), shape, F32)


def write_array(out: Output, array: Any) -> None:
    """Writes an array in blocks of rows, so that a device's array is never copied at once."""
    out.write_blocks(array.nbytes, host_blocks(array))


def host_blocks(array: Any) -> Iterator[np.ndarray]:
    """The rows of an array as contiguous NumPy arrays, a few at a time."""
    if not array.size:
        return
    host = host_view(array)
    step = max(1, _BLOCK_BYTES // max(1, array.nbytes // len(array)))
    for start in range(0, len(array), step):
        yield np.ascontiguousarray((array if host is None else host)[start : start + step])
        release_pages(array)
