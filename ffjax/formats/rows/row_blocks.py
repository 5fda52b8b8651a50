"""Embeddings a block of rows at a time: what readers of long files yield, and how it is collected.

A reader yields `Blocks` and keeps a few of them in memory. `collect` makes embeddings of them for
`load`; `convert` appends them to a temporary file.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ffjax._internal.arrays import aligned_empty
from ffjax._internal.file_arguments import counted
from ffjax._internal.memmap import FileRows, release_array_pages
from ffjax._internal.warn import warn_user
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import Array
from ffjax.formats.io.streams import Stream
from ffjax.formats.rows.encodings import not_utf8
from ffjax.kernels.unit_length import row_norms, unit_length
from ffjax.storage import NdArray
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import InvalidString, StringTable
from ffjax.vocab import SimpleVocab, Vocab

_FIRST_BYTES = 1 << 24
_MOVE_BYTES = 1 << 22


@dataclass(frozen=True)
class Block:
    """Some rows of a file, in its order."""

    words: StringTable
    rows: np.ndarray  # float32 [n, dims]
    norms: np.ndarray  # of the rows in the file, 1 if not finite
    n_infinite: int  # how many rows have no finite norm

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class Blocks:
    """The rows of a file in blocks, which can be iterated over once."""

    dims: int
    n_rows: int | None  # as the file declares; checked with the last block
    blocks: Iterator[Block]
    matrix: np.ndarray | None = None  # which the rows of all blocks fill, one after the other
    unit: bool = False  # whether rows are scaled to unit length
    metadata: Metadata | None = None
    vocab: Vocab | None = None  # if words are not words but numbers of rows

    def __iter__(self) -> Iterator[Block]:
        return self.blocks


def to_block(words: StringTable, rows: np.ndarray, *, unit: bool) -> Block:
    """A block of rows, which are scaled in place if `unit` is set."""
    return Block(words, rows, *(unit_length(rows) if unit else row_norms(rows)))


def checked_words(
    stream: Stream, words: StringTable, invalid: InvalidString | None, offsets: Any, *, lossy: bool
) -> StringTable:
    """Words in UTF-8; `invalid` is the first that isn't, `offsets` where they are in the file."""
    if invalid is None:
        return words
    if lossy:
        return words.replace_invalid()
    raw = map(words.raw, range(len(words)))
    raise not_utf8(stream, int(offsets[invalid.index]), raw, *invalid)


class RowBuffer:
    """Rows in one array, which grows without a copy where the system can do that."""

    def __init__(self, dims: int, capacity: int | None = None) -> None:
        if capacity is None:
            capacity = max(1, _FIRST_BYTES // max(4 * dims, 1))
        self._dims, self._n = dims, 0
        self._map = _allocate(4 * dims * capacity)
        self.array = self._rows(capacity)

    def append(self, rows: np.ndarray) -> None:
        """Copies rows to the end."""
        stop = self._n + len(rows)
        if stop > len(self.array):
            self._grow(max(stop, len(self.array) * 3 // 2))
        self.array[self._n : stop] = rows
        self._n = stop

    def finish(self) -> np.ndarray:
        """All rows."""
        return self.array[: self._n]

    def _grow(self, capacity: int) -> None:
        n_bytes = 4 * self._dims * capacity
        self.array = self.array[:0].copy()  # a map with views cannot move
        try:
            self._map.resize(n_bytes)
        except (SystemError, ValueError, OSError):  # where the system can't
            smaller, self._map = self._map, _allocate(n_bytes)
            self._map[: len(smaller)] = smaller
        self.array = self._rows(capacity)

    def _rows(self, capacity: int) -> np.ndarray:
        numbers = np.frombuffer(self._map, np.float32, capacity * self._dims)
        return numbers.reshape(capacity, self._dims)


def _allocate(n_bytes: int) -> Any:
    """Memory that begins at a page, and can grow."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, max(n_bytes, 1))
    memory = mmap.mmap(-1, max(n_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # as NumPy does: random rows are read faster
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def collect(blocks: Blocks, rows: RowBuffer | FileRows | None = None) -> Embeddings:
    """Makes embeddings of blocks of rows, with norms if these have unit length.

    The first row of a word counts, rows with NaN or infinity stay, and warnings count both. Rows
    are appended to `rows`, by default to a new `RowBuffer`. If blocks have a vocabulary,
    all rows stay.
    """
    if rows is None and blocks.matrix is None:
        rows = RowBuffer(blocks.dims)
    tables, norms, n_infinite = [], [np.empty(0, np.float32)], 0
    for block in blocks:
        tables.append(block.words)
        n_infinite += block.n_infinite
        norms.append(block.norms)
        if rows is not None:
            rows.append(block.rows)
    if n_infinite:
        what, state = "vector", "without a finite length; kept as read, with norm 1"
        if blocks.vocab is not None:
            what, state = "row", "with NaN or infinity; kept as read"
        warn_user(f"{counted(n_infinite, what)} {state}")
    matrix = blocks.matrix if rows is None else rows.finish()
    assert matrix is not None
    table, lengths = StringTable.concat(tables), np.concatenate(norms)
    try:
        vocab = SimpleVocab(table) if blocks.vocab is None else blocks.vocab
    except ValueError:
        ids = table.first_occurrences()
        n_repeated = len(table) - len(ids)
        words, occur = counted(n_repeated, "word"), "occurs" if n_repeated == 1 else "occur"
        warn_user(f"{words} {occur} again; the first vector of each counts")
        vocab, lengths = SimpleVocab(table.take(ids)), lengths[ids]
        step = max(1, _MOVE_BYTES // max(1, matrix[:1].nbytes))
        for start in range(0, len(ids), step):  # to the front, in place; numbers ascend
            block = ids[start : start + step]
            matrix[start : start + len(block)] = matrix[block]
            release_array_pages(matrix)
        matrix = matrix[: len(ids)]
    norms = Norms(lengths) if blocks.unit else None
    return Embeddings(to_storage(matrix), vocab, norms, blocks.metadata)


def read_floats(array: Array, rows: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Some rows in memory, or the first ones in `out`: floats of 16 or 32 bits."""
    values = array.view()[rows]
    if out is None:
        is_half = array.dtype.newbyteorder("=") == np.float16
        out = aligned_empty(values.shape, np.float16 if is_half else np.float32)
    if isinstance(rows, slice) and array.dtype == out.dtype and not array.fortran_order:
        array.source.read_into(array.start, out)
    else:
        with np.errstate(over="ignore"):
            out[:] = values
        if array.dtype.itemsize > out.dtype.itemsize:  # larger numbers become infinity, as in text
            n_infinite = int(np.count_nonzero(~np.isfinite(out).all(axis=1)))
            if n_infinite:
                warn_user(f"{counted(n_infinite, 'row')} with NaN or infinity; kept as read")
    return out


def to_storage(matrix: np.ndarray) -> NdArray:
    """Rows as a storage: on the device, or on the host if they are mapped."""
    return NdArray(matrix if isinstance(matrix, np.memmap) else jax.device_put(matrix))
