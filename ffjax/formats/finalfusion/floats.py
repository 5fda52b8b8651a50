"""Arrays of 32-bit floats, as chunks hold them.

Before them stand `4 - position % 4` bytes, 1 to 4 and never none, counted from the start of the file; a chunk's length
includes them, so it depends on where the chunk stands.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ffjax._internal.released_pages import release_pages
from ffjax.formats.io.arrays import read_array
from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage.arrays import host_view

F32 = np.dtype("<f4")
# Rows are numbered in 32 bits, and JAX counts the elements of an axis in them.
MAX_ROWS = 2**31 - 1
_BLOCK = 1 << 24


def padding(position: int) -> int:
    """The bytes that are left free before floats at `position`."""
    return 4 - position % 4


def skip_padding(cursor: Cursor) -> None:
    """Steps over the bytes before floats; programs write zeros there and do not look at them.

    Raises:
        FinalfusionFormatError: the chunk ends before.
    """
    cursor.skip("padding", padding(cursor.position))


def skip_array(cursor: Cursor, field: str, shape: tuple[int, ...], dtype: Any = F32) -> int:
    """Checks that an array of this shape is there, steps over it, and returns where it begins.

    Raises:
        FinalfusionFormatError: the chunk ends before.
    """
    claimed = math.prod(shape) * np.dtype(dtype).itemsize
    if claimed > cursor.remaining:
        asked = " x ".join(map(str, shape))
        got = f"{cursor.remaining} before the end of the chunk"
        raise cursor.error(field, f"{claimed} bytes for {asked} numbers", got)
    return cursor.skip(field, claimed)


def read_floats(cursor: Cursor, field: str, shape: tuple[int, ...]) -> jax.Array:
    """Reads floats onto the device.

    Raises:
        FinalfusionFormatError: the chunk ends before.
    """
    return read_array(cursor.source, skip_array(cursor, field, shape), shape, F32)


def write_array(out: Output, array: Any) -> None:
    """Writes an array in blocks of rows, so that one that lives elsewhere is never whole on the host."""
    for block in host_blocks(array):
        out.write(block)


def host_blocks(array: Any) -> Iterator[np.ndarray]:
    """The rows of an array as contiguous NumPy arrays, a few at a time."""
    if not array.size:
        return
    host = host_view(array)
    step = max(1, _BLOCK // max(1, array.nbytes // len(array)))
    for first in range(0, len(array), step):
        block = array[first : first + step] if host is None else host[first : first + step]
        yield np.ascontiguousarray(block)
        release_pages(array)
