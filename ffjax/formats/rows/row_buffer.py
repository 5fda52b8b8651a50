"""Rows one after the other in memory, in one array that grows."""

import mmap
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ffjax._internal.arrays import aligned_empty

_FIRST_BYTES = 1 << 24
_MOVE_ROWS = 1 << 14


@runtime_checkable
class RowSink(Protocol):
    """What rows are appended to, a block at a time: in memory, or in a file."""

    def append(self, rows: np.ndarray) -> None:
        """Appends rows."""

    def finish(self, ids: np.ndarray | None = None) -> np.ndarray:
        """All rows, or those with some numbers (ascending)."""
        ...


class RowBuffer:
    """Rows in one array, which grows without a copy where the system can do that."""

    def __init__(self, dims: int, capacity: int | None = None) -> None:
        self._dims, self._n = dims, 0
        self._map: Any = None
        self.array = np.empty((0, dims), np.float32)  # later at a multiple of 64 bytes
        self._grow(max(1, _FIRST_BYTES // max(4 * dims, 1)) if capacity is None else capacity)

    def append(self, rows: np.ndarray) -> None:
        """Copies rows to the end."""
        stop = self._n + len(rows)
        if stop > len(self.array):
            self._grow(max(stop, len(self.array) * 3 // 2))
        self.array[self._n : stop] = rows
        self._n = stop

    def finish(self, ids: np.ndarray | None = None) -> np.ndarray:
        """All rows, or those with some numbers (ascending)."""
        rows = self.array[: self._n]
        return rows if ids is None else move_to_front(rows, ids)

    def _grow(self, capacity: int) -> None:
        n_bytes = max(capacity * self._dims * 4, 1)
        if self._map is None and not len(self.array) and hasattr(mmap, "MAP_ANONYMOUS"):
            self._map = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):  # as NumPy does: random rows are read faster
                self._map.madvise(mmap.MADV_HUGEPAGE)
        elif self._map is not None and not self._remap(n_bytes):
            self._map = None
        if self._map is not None:
            self.array = self._mapped(capacity)
            return
        array = aligned_empty((capacity, self._dims), np.float32)
        array[: self._n] = self.array[: self._n]
        self.array = array

    def _mapped(self, capacity: int) -> np.ndarray:
        numbers = np.frombuffer(self._map, np.float32, capacity * self._dims)
        return numbers.reshape(capacity, self._dims)

    def _remap(self, n_bytes: int) -> bool:
        """Grows the map in place; false where the system can't."""
        capacity = len(self.array)
        self.array = self.array[:0].copy()  # a map with views cannot move
        try:
            self._map.resize(n_bytes)
        except (SystemError, ValueError, OSError):
            self.array = self._mapped(capacity)
            return False
        return True


def move_to_front(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Moves the rows with some numbers (ascending) to the front in place; a view of them."""
    for start in range(0, len(ids), _MOVE_ROWS):
        block = ids[start : start + _MOVE_ROWS]
        rows[start : start + len(block)] = rows[block]
    return rows[: len(ids)]
