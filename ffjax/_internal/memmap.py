"""Memory maps: detecting them, reading rows past them, and keeping them out of memory.

A row that is read through a map brings as much of the file into memory as the system reads at once
(Linux: half a megabyte for a row of a kilobyte), and takes longer than reading the row from the
file. A large map therefore remembers its file.
"""

import mmap
import os
import tempfile
import weakref
from typing import Any, NamedTuple

import numpy as np

# Smaller files are in memory after a while, which does no harm and is faster.
_LARGE_BYTES = 1 << 28
_ROWS_AT_ONCE = 256
# The pages of a private map hold what was written to it: releasing them would lose that.
_SHARED_MODES = ("r", "r+", "w+")


def release_array_pages(array: Any, *, keep: float = 0.0) -> None:
    """`arrays.release_pages` for one array."""
    root = _root(array)
    if not isinstance(root, np.memmap) or root.mode not in _SHARED_MODES:
        return
    stretch = _stretch(array)
    if stretch is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    pages, start, stop = stretch
    if len(pages) > keep * _memory_bytes():
        pages.madvise(mmap.MADV_DONTNEED, start, stop - start)


def read_ahead(array: np.ndarray) -> None:
    """Reads a stretch of a map into memory; does nothing for other arrays."""
    if (stretch := _stretch(array)) is None:
        return
    pages, start, stop = stretch
    if hasattr(mmap, "MADV_WILLNEED"):
        pages.madvise(mmap.MADV_WILLNEED, start, stop - start)
    # Touching each page also enters it in the page table; NumPy does so without Python's lock.
    array.view(np.uint8)[:: mmap.PAGESIZE].max(initial=0)


def map_file(file: Any, start: int, shape: tuple[int, ...], dtype: Any) -> np.memmap:
    """A read-only map of an array at byte `start` of a file, which may be closed afterwards."""
    array = np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape)
    if array.nbytes >= _LARGE_BYTES and hasattr(os, "pread"):
        descriptor = os.dup(file.fileno())
        # Not at exit: handlers and threads that run then may still read rows.
        weakref.finalize(array, os.close, descriptor).atexit = False
        # An attribute of the map, and not of its slices, which refer to it as their base.
        array.open_file = descriptor, start  # type: ignore[attr-defined]
    return array


class RowsInFile(NamedTuple):
    """Reads rows of a map from its file, in which the first row begins at byte `start`."""

    matrix: np.memmap
    descriptor: int
    start: int

    @classmethod
    def of(cls, matrix: Any) -> "RowsInFile | None":
        """For a matrix, or `None` unless it is a large map of `map_file`, or rows of one."""
        if not isinstance(matrix, np.memmap) or not matrix.flags.c_contiguous or not matrix.size:
            return None
        root = _root(matrix)
        if not hasattr(root, "open_file"):
            return None
        descriptor, start = root.open_file
        return cls(matrix, descriptor, start + matrix.ctypes.data - root.ctypes.data)

    def read(self, ids: np.ndarray) -> np.ndarray:
        """The rows with these numbers, `[n, dims]`, all of which exist."""
        matrix, descriptor, start = self
        rows = np.empty((len(ids), matrix.shape[1]), matrix.dtype)
        size, pread = rows.shape[1] * rows.itemsize, os.pread
        for first in range(0, len(ids), _ROWS_AT_ONCE):
            block = ids[first : first + _ROWS_AT_ONCE].tolist()
            read = [pread(descriptor, size, start + row * size) for row in block]
            raw = b"".join(read)
            if len(raw) != len(block) * size:
                row = next(row for row, raw in zip(block, read, strict=True) if len(raw) != size)
                expected = f"expected row {row}, got the end of the file"
                raise OSError(f"{matrix.filename}: {expected}. It has been cut.")
            rows[first : first + len(block)].reshape(-1)[:] = np.frombuffer(raw, rows.dtype)
        return rows


class FileRows:
    """Rows in a temporary file without a name, which goes when nothing refers to it any more.

    Use it in a `with` block; the rows outlive it. `folder` is where the file is.
    """

    def __init__(self, dims: int, folder: Any = None, dtype: Any = np.float32) -> None:
        self._dims, self._n, self._dtype = dims, 0, dtype
        self._file = tempfile.TemporaryFile(dir=folder)

    def append(self, rows: np.ndarray) -> None:
        """Writes rows `[n, dims]` to the end."""
        self._file.write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8))
        self._n += len(rows)

    def __enter__(self) -> "FileRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finish(self) -> np.ndarray:
        """All rows, as a map of the file."""
        shape = (self._n, self._dims)
        self._file.flush()
        if not self._n * self._dims:
            return np.empty(shape, self._dtype)  # there is nothing to map
        return np.memmap(self._file, self._dtype, "r+", shape=shape)  # type: ignore[call-overload]


def _root(array: Any) -> Any:
    """The array that owns the memory in which an array lies."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _stretch(array: Any) -> tuple[mmap.mmap, int, int] | None:
    """The map in which an array lies and the bytes, from a page's start on, that it takes there."""
    root = _root(array)
    if not isinstance(root, np.ndarray) or not isinstance(root.base, mmap.mmap) or not array.size:
        return None
    pages = root.base
    first, last = np.lib.array_utils.byte_bounds(array)
    origin = np.frombuffer(pages, np.uint8, 1).ctypes.data
    start = (first - origin) // mmap.PAGESIZE * mmap.PAGESIZE
    return pages, start, min(len(pages), last - origin)


def _memory_bytes() -> int:
    """The machine's memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
