"""Memory maps that are gone through once: rows in a file instead of in memory, and pages that are let go."""

import os
import tempfile
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Integer

from ffjax._internal import memmap as _maps
from ffjax._internal.memmap import map_behind

_BLOCK_BYTES = 1 << 22
# What is private to the process would be lost with its pages.
_SHARED = ("r", "r+", "w+")


class FileRows:
    """Rows one after the other in a temporary file without a name, which is gone when nothing refers to it any more.

    To be used in a `with` block; the rows outlive it.

    Args:
        dims: columns of each row.
        folder: where the file is; the system's place for temporary files without it.
    """

    def __init__(self, dims: int, folder: str | bytes | os.PathLike[str] | None = None) -> None:
        self._dims, self._n = dims, 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)

    def append(self, rows: Float32[np.ndarray, "n dims"]) -> None:
        """Writes rows to the end.

        Raises:
            OSError: there is no room.
        """
        left = memoryview(np.ascontiguousarray(rows)).cast("B") if rows.size else memoryview(b"")
        while left:
            left = left[self._file.write(left) :]
        self._n += len(rows)

    def __enter__(self) -> "FileRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finish(self, kept: Integer[np.ndarray, " kept"] | None = None) -> Float32[np.ndarray, "n dims"]:
        """All rows, or those `kept` (ascending), as a map of the file; an array if there are no numbers to map."""
        shape = (self._n, self._dims)
        if not self._n * self._dims:
            return np.empty(shape, np.float32)
        rows = np.memmap(self._file, np.float32, "r+", shape=shape)  # type: ignore[call-overload]
        if kept is None:
            return rows
        step = max(1, _BLOCK_BYTES // (4 * self._dims))
        for at in range(0, len(kept), step):
            some = kept[at : at + step]
            rows[at : at + len(some)] = rows[some]
            release_pages(rows)
        return rows[: len(kept)]


def release_pages(tree: Any) -> None:
    """Takes the pages of memory maps out of this process's memory; they are read again when they are needed.

    Whoever goes through a map once, a block at a time, needs memory for a block if he calls this behind each.

    Args:
        tree: an array, a storage, or anything else whose leaves may be maps.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     rows = np.memmap(file, np.float32, "w+", shape=(2, 2))
        >>> rows[:] = 1
        >>> release_pages(rows)
        >>> rows.tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, np.memmap) and leaf.mode in _SHARED and (held := map_behind(leaf)) is not None:
            _maps.release_pages(held)
