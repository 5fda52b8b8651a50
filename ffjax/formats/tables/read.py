"""Reading tables: words and vectors in blocks, or mapped."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.cpus import in_order
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.streams import Stream
from ffjax.formats.rows.row_blocks import Block, Blocks, RowBuffer, collect
from ffjax.formats.tables.arrow import ArrowTable, arrow_errors, matrix_of, row_error
from ffjax.formats.tables.layout import Layout, metadata_in, open_layout, words_beside
from ffjax.formats.tables.words import array_words, column_words, read_words
from ffjax.kernels.unit_length import row_norms, unit_length
from ffjax.storage import ComposedArray, NdArray
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import SimpleVocab

_BLOCK_BYTES = 1 << 22


class _Batch(NamedTuple):
    """Rows of a table as they lie in the file, of which `first` is the number of the first."""

    first: int
    words: StringTable
    rows: np.ndarray
    norms: np.ndarray | None


def read_table(
    stream: Stream,
    format: str,
    *,
    mmap: bool = False,
    lossy: bool = False,
    limit: int | None = None,
    words: Any = None,
    vectors: str | None = None,
) -> Embeddings:
    """Reads a table; with `mmap` its vectors are mapped if they lie in the file as in a storage.

    Vectors are scaled to unit length, and `norms` holds the lengths that they had. Files that ffjax
    wrote have norms beside the vectors, and are read as they were.
    """
    with _open(stream, format, lossy, limit, words, vectors) as table:
        if mmap and (mapped := table.mapped()) is not None:
            return mapped
        with table.blocks(unit=True) as blocks:
            return collect(blocks, RowBuffer(table.layout.dims, table.n_rows))


@contextmanager
def read_table_blocks(
    stream: Stream,
    format: str,
    *,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
    words: Any = None,
    vectors: str | None = None,
) -> Iterator[Blocks]:
    """Opens a table to read it in blocks."""
    with _open(stream, format, lossy, limit, words, vectors) as table:
        with table.blocks(unit) as blocks:
            yield blocks


def _check_path(words: Any) -> None:
    """Checks that `words` names a file."""
    if not isinstance(words, str | bytes | int | os.PathLike):
        raise TypeError(
            "`words`: expected the path of a file with a word in each line, got "
            f"{type(words).__name__}. For words in memory, use "
            "`ffjax.from_vectors(words, matrix)`."
        )


@contextmanager
def _open(
    stream: Stream, format: str, lossy: bool, limit: int | None, words: Any, vectors: str | None
) -> Iterator["_Table"]:
    with open_layout(stream, format, words, vectors) as layout:
        all_words, name = None, stream.file
        if layout.words is None:
            name = words_beside(stream.file) if words is None else words
            _check_path(name)
            all_words = read_words(name)
        elif not isinstance(layout, ArrowTable):
            all_words = array_words(layout, stream.file)
        if all_words is not None and len(all_words) != layout.n_rows:
            expected = f"{layout.n_rows} words, one for each vector"
            raise FormatError(name, field="words", expected=expected, got=str(len(all_words)))
        n_rows = layout.n_rows if limit is None else min(limit, layout.n_rows)
        yield _Table(stream, layout, all_words, n_rows, lossy)


@dataclass(frozen=True)
class _Table:
    """An open table, of which the first `n_rows` are read."""

    stream: Stream
    layout: Layout
    words: StringTable | None  # of all rows, if they do not come in batches with the vectors
    n_rows: int
    lossy: bool

    def mapped(self) -> Embeddings | None:
        """The embeddings with mapped vectors, unless that is impossible or words are repeated.

        Vectors without norms are scaled when they are read, as those of mapped fastText models.
        """
        if (matrix := self.layout.map()) is None:
            return None
        batches = list(self._batches())
        table = StringTable.concat([self._checked(batch) for batch in batches])
        storage, norms = NdArray(matrix[: self.n_rows]), None
        if not self.layout.is_exact:
            storage = ComposedArray(storage, table)
            norms = Norms.of_storage(storage, len(table))
        elif self.layout.norms is not None:
            lengths = [np.empty(0), *(batch.norms for batch in batches)]
            norms = Norms(np.concatenate(lengths).astype(np.float32))
        try:
            vocab = SimpleVocab(table)
        except ValueError:
            return None
        return Embeddings(storage, vocab, norms, self._metadata())

    @contextmanager
    def blocks(self, unit: bool) -> Iterator[Blocks]:
        """All rows in blocks, scaled to unit length if `unit`, unless ffjax wrote the file."""
        layout = self.layout
        is_unit = layout.norms is not None if layout.is_exact else unit

        def block(batch: _Batch) -> Block:
            words = self._checked(batch)
            with np.errstate(over="ignore"):
                # What lies in the file is copied.
                rows = np.require(batch.rows, np.float32, ["C", "W"])
            if layout.is_exact:
                norms = np.ones(len(rows)) if batch.norms is None else batch.norms
                return Block(words, rows, norms.astype(np.float32), 0)
            return Block(words, rows, *(unit_length if unit else row_norms)(rows))

        with closing(in_order(block, self._batches())) as blocks:
            yield Blocks(layout.dims, self.n_rows, blocks, None, is_unit, self._metadata())

    def _batches(self) -> Iterator[_Batch]:
        layout = self.layout
        if isinstance(layout, ArrowTable):
            with arrow_errors(layout.source.name, layout.format):
                yield from self._arrow_batches(layout)
            return
        rows = layout.vectors.view()
        norms = None if layout.norms is None else layout.norms.view()
        step = max(1, _BLOCK_BYTES // max(1, 4 * layout.dims))
        for first in range(0, self.n_rows, step):
            block = slice(first, min(first + step, self.n_rows))
            block_norms = None if norms is None else norms[block]
            yield _Batch(first, self._words(block), rows[block], block_norms)
            layout.vectors.source.release_pages(0, len(layout.vectors.source))

    def _arrow_batches(self, layout: ArrowTable) -> Iterator[_Batch]:
        first = 0
        for batch in layout.batches():
            batch = batch.slice(0, self.n_rows - first)
            block = slice(first, first + batch.num_rows)
            words = column_words(batch, layout, first) if self.words is None else self._words(block)
            norms = None if layout.norms is None else batch.column(layout.norms).to_numpy()
            yield _Batch(first, words, matrix_of(batch, layout, first), norms)
            layout.source.release_pages(0, len(layout.source))
            first = block.stop
            if first == self.n_rows:
                return
        if first < self.n_rows:
            raise row_error(layout, first, "a row", "the end of the file")

    def _words(self, block: slice) -> StringTable:
        assert self.words is not None
        offsets = self.words.host_offsets[block.start : block.stop + 1]
        return StringTable.from_buffer(self.words.host_data, offsets)

    def _checked(self, batch: _Batch) -> StringTable:
        """The words of a batch, which are UTF-8."""
        invalid = batch.words.first_invalid()
        if invalid is None:
            return batch.words
        if self.lossy:
            return batch.words.replace_invalid()
        index, byte, reason = invalid
        raise FormatError(
            self.stream.file,
            chunk=f"row {batch.first + index + 1} of {self.layout.n_rows}",
            field="word",
            expected="UTF-8",
            got=f"{batch.words.raw(index)!r}, where byte {byte} is wrong ({reason})",
            hint="`lossy=True` replaces bytes that are not UTF-8.",
        )

    def _metadata(self) -> Metadata | None:
        toml = self.layout.toml
        if metadata_in(self.layout, self.stream.file) is None or toml is None:
            return None
        return Metadata.from_toml(toml)
