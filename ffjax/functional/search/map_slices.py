"""Rows of a memory map as an aligned flat array, which a device can take over without a copy."""

from typing import NamedTuple

import numpy as np

from ffjax._internal.arrays import ALIGNMENT, aligned_empty


class MapSlice(NamedTuple):
    """Some rows of a matrix.

    Attributes:
        flat: an aligned stretch of memory that contains them.
        offset: where in it the first row begins.
    """

    flat: np.ndarray
    offset: int


def map_slice(matrix: np.ndarray, first: int, size: int) -> MapSlice:
    """`size` rows from row `first` on, in place if that is possible, or else copied.

    All slices of one size of one matrix have one shape, so they share compiled programs.
    """
    dims, item = matrix.shape[1], matrix.itemsize
    step = max(1, ALIGNMENT // item)
    length = -(-(size * dims + step - 1) // step) * step
    address = matrix.ctypes.data + first * dims * item
    offset, misaligned = divmod(address % ALIGNMENT, item)
    start = first * dims - offset
    in_place = not misaligned and matrix.flags.c_contiguous
    if in_place and start >= 0 and start + length <= matrix.size:
        return MapSlice(matrix.reshape(-1)[start : start + length], offset)
    flat = aligned_empty((length,), matrix.dtype)
    flat[: size * dims] = matrix[first : first + size].reshape(-1)
    flat[size * dims :] = 0
    return MapSlice(flat, 0)
