"""Stretches of memory maps: read ahead of their use, handed to the device without a copy, forgotten afterwards."""

import mmap
import os
from typing import NamedTuple

import numpy as np

from ffjax._internal import memmap as _maps
from ffjax._internal.memmap import map_behind

_ALIGNMENT = 64  # JAX's CPU device takes over a NumPy array that begins at a multiple of this many bytes


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


def read_ahead(flat: np.ndarray) -> None:
    """Has the system read a stretch of a map into memory, and waits until it has."""
    found = _mapped(flat)
    if found is None:
        return
    held, first, last = found
    if hasattr(mmap, "MADV_WILLNEED"):
        held.madvise(mmap.MADV_WILLNEED, first, last - first)
    # Touching each page also enters it in the page table; NumPy does so without Python's lock.
    flat.view(np.uint8)[:: mmap.PAGESIZE].max(initial=0)


def release_pages(flat: np.ndarray, share: float = 0.25) -> None:
    """Takes a stretch of a read-only map out of the process's memory; its pages may stay in the system's cache.

    Args:
        flat: the stretch.
        share: leave it if the whole map takes no more than this share of the machine's memory: to enter the pages in
            the page table again would cost the next search more time than the search itself.
    """
    found = None if flat.flags.writeable else _mapped(flat)
    if found is None or len(found[0]) <= share * _memory():
        return
    held, first, last = found
    _maps.release_pages(held, first, last - first)


def _mapped(flat: np.ndarray) -> tuple[mmap.mmap, int, int] | None:
    """The map that an array lies in, and the bytes of the pages that it lies in; `None` if it lies in none."""
    base = map_behind(flat)
    if base is None:
        return None
    begin = flat.ctypes.data - _maps.begin_of(base)
    first = begin // mmap.PAGESIZE * mmap.PAGESIZE
    return base, first, min(len(base), begin + flat.nbytes)


def _memory() -> int:
    """Bytes of the machine's memory; 0 where the system doesn't say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
