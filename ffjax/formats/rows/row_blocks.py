"""Embeddings a block of rows at a time: what readers of long files give, and how it becomes one value.

A reader gives `Blocks`, and whoever reads holds one block, or a few. `collect` puts them together for `load`; a
converter writes each one out and forgets it.
"""

import mmap
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float32, Integer

from ffjax._internal.aligned import aligned_empty
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.storage import NdArray
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import SimpleVocab

T = TypeVar("T")
U = TypeVar("U")

_MAX_THREADS = 4
_AHEAD = 2  # blocks that wait for each thread
_FIRST_BYTES = 1 << 24
_PIECE = 1 << 15  # numbers that fit the cache


@dataclass(frozen=True)
class Block:
    """Some rows of a file, in its order.

    Attributes:
        words: the word of each row.
        rows: the rows as the file has them, float32 `[n, dims]`; without any columns if only words were asked for.
        norms: the length that each row had, if the rows have been scaled to unit length, float32 `[n]`.
        n_odd: how many rows have no finite length, counted when the rows are scaled.
    """

    words: StringTable
    rows: Float32[np.ndarray, "n dims"]
    norms: Float32[np.ndarray, " n"] | None = None
    n_odd: int = 0

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class Blocks:
    """The rows of a file in blocks; they can be gone through once.

    Attributes:
        dims: columns of each row.
        n_rows: the number of rows that the file declares, or `None`; it is checked when the last block is read.
        blocks: the blocks.
        matrix: an array in which the rows of all blocks lie one after the other when they have been gone through, or
            `None`.
    """

    dims: int
    n_rows: int | None
    blocks: Iterator[Block]
    matrix: Float32[np.ndarray, "n_rows dims"] | None = None

    def __iter__(self) -> Iterator[Block]:
        return self.blocks


def in_order(work: Callable[[T], U], items: Iterable[T], *, spare: int = 0) -> Generator[U, None, None]:
    """`map` on a few threads (NumPy computes without Python's lock), a few items ahead, results in order.

    Args:
        work: what to do with each item.
        items: the items; they are made on the caller's thread.
        spare: how many processors to leave to the caller, who has work of its own.
    """
    n_threads = min(_MAX_THREADS, _n_cpus())
    if n_threads == 1:
        yield from map(work, items)
        return
    n_threads = max(1, n_threads - spare)
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="ffjax") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > n_threads * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_words(
    data: np.ndarray, offsets: np.ndarray, lossy: bool, fail: Callable[[int, str, str], FormatError]
) -> StringTable:
    """A table of words whose bytes may or may not be UTF-8.

    Args:
        data: the bytes of the words, one after the other.
        offsets: where each starts and where the last one ends.
        lossy: whether to replace what is no UTF-8 by U+FFFD.
        fail: makes the error for a word by its number, from what was expected and what was found.

    Raises:
        FormatError: a word is no UTF-8, and `lossy` is false.
    """
    table = StringTable.from_buffer(data, offsets)
    if (data < 0x80).all() or _is_utf8(data, offsets):
        return table
    words = [table.raw(i) for i in range(len(table))]
    for i, word in enumerate(words):
        try:
            word.decode()
        except UnicodeDecodeError as error:
            if not lossy:
                raise fail(i, "UTF-8", f"{word!r}, where byte {error.start} is wrong ({error.reason})") from error
            words[i] = word.decode(errors="replace").encode()
    return StringTable.from_strings(words)


def _is_utf8(data: np.ndarray, offsets: np.ndarray) -> bool:
    # Each word by itself: no character may begin in one and end in the next.
    first = offsets[:-1][offsets[1:] > offsets[:-1]]
    if ((data[first] & 0xC0) == 0x80).any():
        return False
    try:
        data.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def unit_length(rows: Float32[np.ndarray, "n dims"]) -> tuple[Float32[np.ndarray, " n"], int]:
    """Scales rows to unit length in place.

    Zero rows stay zero, with length 0 (finalfusion-python divides them by it and gets NaN). Rows that have no finite
    length stay as they are, with length 1, so that nothing of them is lost.

    Returns:
        The lengths that the rows had, and how many had no finite one.
    """
    norms, n_odd = np.empty(len(rows), np.float32), 0
    step = max(1, _PIECE // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        piece, length = rows[start : start + step], norms[start : start + step]
        wide = piece.astype(np.float64)  # in which no square of a float32 overflows
        with np.errstate(over="ignore", invalid="ignore"):
            length[:] = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        odd = ~np.isfinite(length)
        length[odd] = 1
        n_odd += int(np.count_nonzero(odd))
        piece /= np.where(length > 0, length, np.float32(1))[:, None]
    return norms, n_odd


@runtime_checkable
class RowSink(Protocol):
    """What rows are put into, one block after the other."""

    def append(self, rows: Float32[np.ndarray, "n dims"]) -> None:
        """Puts rows to the end."""

    def finish(self, kept: Integer[np.ndarray, " kept"] | None = None) -> Float32[np.ndarray, "n dims"]:
        """All rows, or those `kept` (ascending)."""
        ...


class RowBuffer:
    """Rows one after the other in one array that grows without a copy where the system can do that.

    Args:
        dims: columns of each row.
        capacity: for how many rows there is room from the start.
    """

    def __init__(self, dims: int, capacity: int | None = None) -> None:
        self._dims = dims
        self._n = 0
        self._map: Any = None
        self._array = np.empty((0, dims), np.float32)
        self._grow(max(1, _FIRST_BYTES // max(4 * dims, 1)) if capacity is None else capacity)

    @property
    def array(self) -> Float32[np.ndarray, "capacity dims"]:
        """All that there is room for; it begins at a multiple of 64 bytes."""
        return self._array

    def append(self, rows: Float32[np.ndarray, "n dims"]) -> None:
        """Copies rows to the end."""
        if self._n + len(rows) > len(self._array):
            self._grow(max(self._n + len(rows), len(self._array) * 3 // 2))
        self._array[self._n : self._n + len(rows)] = rows
        self._n += len(rows)

    def finish(self, kept: Integer[np.ndarray, " kept"] | None = None) -> Float32[np.ndarray, "n dims"]:
        """All rows, or those `kept` (ascending); the array begins at a multiple of 64 bytes."""
        rows = self._array[: self._n]
        return rows if kept is None else keep_rows(rows, kept)

    def _grow(self, capacity: int) -> None:
        n_bytes = max(capacity * self._dims * 4, 1)
        if self._map is None and not len(self._array) and hasattr(mmap, "MAP_ANONYMOUS"):
            self._map = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):  # as NumPy does: random rows are read faster from large pages
                self._map.madvise(mmap.MADV_HUGEPAGE)
        elif self._map is not None and not self._remap(n_bytes):
            self._map = None
        if self._map is None:
            array = aligned_empty((capacity, self._dims), np.float32)
            array[: self._n] = self._array[: self._n]
            self._array = array
            return
        self._array = self._mapped(capacity)

    def _mapped(self, capacity: int) -> np.ndarray:
        return np.frombuffer(self._map, np.float32, capacity * self._dims).reshape(capacity, self._dims)

    def _remap(self, n_bytes: int) -> bool:
        capacity = len(self._array)
        self._array = np.empty((0, self._dims), np.float32)  # a map that is looked at cannot move
        try:
            self._map.resize(n_bytes)
        except (SystemError, ValueError, OSError):
            self._array = self._mapped(capacity)
            return False
        return True


def collect(blocks: Blocks, rows: RowSink | None = None) -> Embeddings:
    """Puts blocks of unit rows together, as embeddings with norms.

    Of a word that occurs several times, the first row counts. Rows with NaN or infinity are kept. Of both a warning
    says how many there are.

    Args:
        blocks: the blocks.
        rows: what the rows are put into; one array in memory without it.
    """
    parts: list[StringTable] = []
    if rows is None and blocks.matrix is None:
        rows = RowBuffer(blocks.dims)
    norms, odd = [np.empty(0, np.float32)], 0
    for block in blocks:
        assert block.norms is not None  # readers set it for `load`
        odd += block.n_odd
        parts.append(block.words)
        norms.append(block.norms)
        if rows is not None:
            rows.append(block.rows)
    lengths, kept = np.concatenate(norms), None
    if odd:
        warnings.warn(f"{odd} vectors have no finite length; they are kept as they are, with norm 1", stacklevel=3)
    table = joined(parts)
    try:
        vocab = SimpleVocab(table)
    except ValueError:
        kept = first_occurrences(table)
        if len(kept) == len(table):
            raise
        repeated = len(table) - len(kept)
        warnings.warn(f"{repeated} words occur again; the first vector of each counts", stacklevel=3)
        vocab, lengths = SimpleVocab(table.take(kept)), lengths[kept]
    if rows is not None:
        storage = stored(rows.finish(kept))
    else:
        assert blocks.matrix is not None
        storage = stored(blocks.matrix if kept is None else keep_rows(blocks.matrix, kept))
    return Embeddings(storage, vocab, Norms(lengths))


def stored(matrix: Float32[np.ndarray, "n dims"]) -> NdArray:
    """Rows as a storage: on the device, or where they are if they are mapped."""
    return NdArray(matrix if isinstance(matrix, np.memmap) else jax.device_put(matrix))


def joined(tables: list[StringTable]) -> StringTable:
    """One table of the words of several."""
    data = [table.host_data[: table.host_offsets[-1]] for table in tables]
    starts = np.cumsum([0, *map(len, data)])
    offsets = [table.host_offsets[:-1] + start for table, start in zip(tables, starts, strict=False)]
    return StringTable.from_buffer(
        np.concatenate([np.empty(0, np.uint8), *data]), np.concatenate([*offsets, starts[-1:]])
    )


def first_occurrences(table: StringTable) -> np.ndarray:
    """The numbers of the words that have not occurred before."""
    seen: dict[bytes, int] = {}
    data, offsets = table.host_data.tobytes(), table.host_offsets.tolist()
    for i, (start, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        seen.setdefault(data[start:end], i)
    return np.fromiter(seen.values(), np.int64, len(seen))


def keep_rows(rows: np.ndarray, kept: np.ndarray, step: int = 1 << 14) -> np.ndarray:
    """Moves the rows `kept` (ascending) to the front, in place; returns them as a view."""
    for at in range(0, len(kept), step):
        rows[at : at + step][: len(kept) - at] = rows[kept[at : at + step]]
    return rows[: len(kept)]
