"""Memory maps behind arrays, and rows of large ones that are read without them.

A row that is read through a map brings as much of the file into the process's memory as the system has in one piece
there (Linux: half a megabyte for a row of a kilobyte), and takes longer than to read the row from the file. A large map
therefore remembers its file.
"""

import mmap
import os
import weakref
from io import BufferedIOBase, RawIOBase
from typing import Any

import numpy as np
from jaxtyping import Integer

# Smaller files are in memory after a while, which does no harm and is faster.
_LARGE = 1 << 28

# The descriptor of the file of each large map, and where in the file the map begins.
_files: weakref.WeakKeyDictionary[mmap.mmap, tuple[int, int]] = weakref.WeakKeyDictionary()


def map_file(file: RawIOBase | BufferedIOBase, start: int, shape: tuple[int, ...], dtype: Any) -> np.memmap:
    """A read-only map of an array in a file, of which `RowsInFile` can read rows if it is large.

    Args:
        file: the file, which may be closed afterwards.
        start: where in it the array begins.
        shape: its shape.
        dtype: its element type.
    """
    array = np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape)
    held = map_behind(array)
    if held is not None and array.nbytes >= _LARGE and hasattr(os, "preadv"):
        descriptor = os.dup(file.fileno())
        weakref.finalize(held, os.close, descriptor)
        _files[held] = descriptor, start - start % mmap.ALLOCATIONGRANULARITY
    return array


def map_behind(array: Any) -> mmap.mmap | None:
    """The map in whose memory an array lies, or `None` if it lies in none.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     rows = np.memmap(file, np.float32, "w+", shape=(2, 2))
        >>> map_behind(rows[1:]) is not None, map_behind(np.zeros(2))
        (True, None)
    """
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def begin_of(held: mmap.mmap) -> int:
    """The address at which a map begins."""
    return np.frombuffer(held, np.uint8, 1).ctypes.data


def release_pages(held: mmap.mmap, first: int = 0, size: int | None = None) -> None:
    """Takes pages of a map out of this process's memory, where the system can; they are read again when needed.

    Not for maps that are private to the process and written to: what is written would be lost.

    Args:
        held: the map.
        first: the first byte, a multiple of the page size.
        size: how many bytes; all behind without it.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        held.madvise(mmap.MADV_DONTNEED, first, len(held) - first if size is None else size)


class RowsInFile:
    """Reads rows of a map from its file.

    Args:
        matrix: the map, or some of its rows one after the other.
        descriptor: the file.
        start: where in the file the first row begins.
    """

    def __init__(self, matrix: np.memmap, descriptor: int, start: int) -> None:
        self._matrix, self._descriptor, self._start = matrix, descriptor, start

    @classmethod
    def of(cls, matrix: Any) -> "RowsInFile | None":
        """For a matrix, or `None` if it is no large map that `map_file` has made."""
        if not isinstance(matrix, np.memmap) or not matrix.flags.c_contiguous or not matrix.size:
            return None
        held = map_behind(matrix)
        if held is None or held not in _files:
            return None
        descriptor, start = _files[held]
        return cls(matrix, descriptor, start + matrix.ctypes.data - begin_of(held))

    def read(self, ids: Integer[np.ndarray, " n"]) -> np.ndarray:
        """Some rows, `[n, dims]`.

        Args:
            ids: their numbers, none of them below zero or too large.

        Raises:
            OSError: the file has become shorter since it was mapped.
        """
        found = np.empty((len(ids), self._matrix.shape[1]), self._matrix.dtype)
        size = found.shape[1] * found.itemsize
        into = memoryview(found.view(np.uint8).reshape(-1))
        read, descriptor, start = os.preadv, self._descriptor, self._start
        for at, row in enumerate(ids.tolist()):
            if read(descriptor, [into[at * size : at * size + size]], start + row * size) != size:
                raise OSError(f"{self._matrix.filename}: expected row {row}, got the end of the file. It has been cut.")
        return found

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """A copy of a map is no map."""
        return _nothing, ()


def _nothing() -> None:
    return None
