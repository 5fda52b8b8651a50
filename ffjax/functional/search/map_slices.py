"""Stretches of memory maps: read ahead of their use, handed to the device without a copy, forgotten afterwards."""

from typing import NamedTuple

import numpy as np

from ffjax._internal.arrays import ALIGNMENT as _ALIGNMENT


class Window(NamedTuple):
    """Some rows of a matrix.

    Attributes:
        flat: an aligned stretch of memory that holds them, `[(size + 1) * dims rounded up]`.
        lead: where in it the first row begins.
    """

    flat: np.ndarray
    lead: int


def window(matrix: np.ndarray, first: int, size: int) -> Window:
    """`size` rows from row `first` on, where they lie if that is possible, or else copied.

    All windows of one size into one matrix have one shape, so they share compiled programs.

    Args:
        matrix: the rows, contiguous; in memory or a map.
        first: the first row.
        size: how many, at least one.
    """
    dims, item = matrix.shape[1], matrix.itemsize
    step = max(1, _ALIGNMENT // item)
    length = -(-(size * dims + step - 1) // step) * step
    begin = matrix.ctypes.data + first * dims * item
    lead, odd = divmod(begin % _ALIGNMENT, item)
    at = first * dims - lead
    if not odd and matrix.flags.c_contiguous and at >= 0 and at + length <= matrix.size:
        return Window(matrix.reshape(-1)[at : at + length], lead)
    raw = np.empty(length * item + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    flat = raw[start : start + length * item].view(matrix.dtype)
    flat[: size * dims] = matrix[first : first + size].reshape(-1)
    flat[size * dims :] = 0
    return Window(flat, 0)
