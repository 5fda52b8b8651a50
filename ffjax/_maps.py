"""Memory maps behind arrays, and the pages of them that stay in memory."""

import mmap
from typing import Any

import numpy as np

# What a map may keep in memory of what single rows have touched, as a share of it; smaller ones keep all.
_SHARE, _SMALL = 8, 1 << 28
# What one touch brings in at most: Linux enters as much of the file's cache as lies in one piece there.
_PER_TOUCH = 1 << 19


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


def forget(held: mmap.mmap, first: int = 0, size: int | None = None) -> None:
    """Takes pages of a map out of this process's memory, where the system can; they are read again when needed.

    Not for maps that are private to the process and written to: what is written would be lost.

    Args:
        held: the map.
        first: the first byte, a multiple of the page size.
        size: how many bytes; all behind without it.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        held.madvise(mmap.MADV_DONTNEED, first, len(held) - first if size is None else size)


class TouchedRows:
    """Counts the rows of a read-only map that are read, and lets its pages go when they may be too many.

    The map of a large model would otherwise be in memory as a whole after a few hundred words, each of whose n-grams
    lies somewhere else.
    """

    def __init__(self, held: mmap.mmap) -> None:
        self._held, self._most, self._count = held, len(held) // _SHARE // _PER_TOUCH, 0

    @classmethod
    def of(cls, matrix: Any) -> "TouchedRows | None":
        """A count for a matrix, or `None` if it is no large map."""
        if not isinstance(matrix, np.memmap) or matrix.flags.writeable:
            return None
        held = map_behind(matrix)
        return None if held is None or len(held) < _SMALL else cls(held)

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """A copy of a map is no map, and needs no count."""
        return _nothing, ()

    def add(self, n: int) -> None:
        """`n` more rows have been read."""
        self._count += n
        if self._count > self._most:
            self._count = 0
            forget(self._held)


def _nothing() -> None:
    return None
