"""Reading tables: words and vectors in blocks, or mapped."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from ffjax._internal.cpus import in_order
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.io.streams import Stream, open_source, open_stream
from ffjax.formats.registry import by_head
from ffjax.formats.rows.row_blocks import Block, Blocks, RowBuffer, collect, to_block
from ffjax.formats.tables.arrow import FORMATS as ARROW_FORMATS
from ffjax.formats.tables.arrow import open_arrow
from ffjax.formats.tables.columns import Batch, Named
from ffjax.formats.tables.layout import Layout, metadata_in, open_layout, words_beside
from ffjax.formats.tables.npy import read_npy
from ffjax.storage import ComposedArray, NdArray
from ffjax.storage.norms import Norms
from ffjax.strings.byte_views import byte_views
from ffjax.strings.string_table import StringTable
from ffjax.vocab import SimpleVocab


class TableOptions(TypedDict, total=False):
    """How to read a table, as in `load`."""

    lossy: bool
    limit: int | None
    words: Any
    vectors: str | None


def read_table(
    stream: Stream, format: str, *, mmap: bool = False, **options: Unpack[TableOptions]
) -> Embeddings:
    """Reads a table; with `mmap` its vectors are mapped if they lie in the file as in a storage.

    Vectors are scaled to unit length, and `norms` holds the lengths that they had. Files that ffjax
    wrote have norms beside the vectors, and are read as they were.
    """
    with _open(stream, format, **options) as table:
        if mmap and (mapped := table.mapped()) is not None:
            return mapped
        with table.blocks(unit=True) as blocks:
            return collect(blocks, RowBuffer(blocks.dims, table.n_rows))


@contextmanager
def read_table_blocks(
    stream: Stream, format: str, *, unit: bool = False, **options: Unpack[TableOptions]
) -> Iterator[Blocks]:
    """Opens a table to read it in blocks."""
    with _open(stream, format, **options) as table, table.blocks(unit) as blocks:
        yield blocks


@contextmanager
def _open(
    stream: Stream,
    format: str,
    words: Any = None,
    vectors: str | None = None,
    limit: int | None = None,
    lossy: bool = False,
) -> Iterator["_Table"]:
    with open_layout(stream, format, words, vectors) as layout:
        path, n_words, words_table = stream.file, layout.n_words, None
        if layout.words is None:
            path = words_beside(stream.file) if words is None else words
            words_table = read_words(path)
            n_words = len(words_table)
        n_rows = layout.n_rows
        if n_words != n_rows:
            expected = f"{n_rows} words, one for each vector"
            raise FormatError(path, field="words", expected=expected, got=str(n_words))
        metadata_in(layout, stream.file)  # an error if it is not TOML
        metadata = None if layout.toml is None else Metadata.from_toml(layout.toml)
        n_rows = n_rows if limit is None else min(limit, n_rows)
        yield _Table(stream.file, layout, words_table, n_rows, lossy, metadata)


class _Table(NamedTuple):
    """An open table, of which the first `n_rows` are read."""

    file: Any
    layout: Layout
    words: StringTable | None  # if they do not come with the vectors
    n_rows: int
    lossy: bool
    metadata: Metadata | None

    def mapped(self) -> Embeddings | None:
        """The embeddings with mapped vectors, unless that is impossible or words are repeated.

        Vectors without norms are scaled when they are read, as those of mapped fastText models.
        """
        if (matrix := self.layout.map()) is None:
            return None
        tables, lengths = [], [np.empty(0, np.float32)]
        for batch in self.layout.batches(self.n_rows):
            tables.append(self._words_of(batch))
            if batch.norms is not None:
                lengths.append(batch.norms)
        table = StringTable.concat(tables)
        storage, norms = NdArray(matrix[: self.n_rows]), None
        if not self.layout.is_exact:
            storage = ComposedArray(storage, table)
            norms = Norms.of_storage(storage, len(table))
        elif self.layout.norms is not None:
            norms = Norms(np.concatenate(lengths, dtype=np.float32))
        try:
            vocab = SimpleVocab(table)
        except ValueError:
            return None
        return Embeddings(storage, vocab, norms, self.metadata)

    @contextmanager
    def blocks(self, unit: bool) -> Iterator[Blocks]:
        """All rows in blocks, scaled to unit length if `unit`, unless ffjax wrote the file."""
        layout = self.layout
        is_unit = layout.norms is not None if layout.is_exact else unit

        def block(batch: Batch) -> Block:
            words = self._words_of(batch)
            with np.errstate(over="ignore"):
                # What lies in the file is copied.
                rows = np.require(batch.rows, np.float32, ["C", "W"])
            if layout.is_exact:
                norms = np.ones(len(rows)) if batch.norms is None else batch.norms
                return Block(words, rows, norms.astype(np.float32), 0)
            return to_block(words, rows, unit=unit)

        with closing(in_order(block, layout.batches(self.n_rows))) as blocks:
            yield Blocks(layout.dims, self.n_rows, blocks, None, is_unit, self.metadata)

    def _words_of(self, batch: Batch) -> StringTable:
        """The words of a batch, which are UTF-8."""
        words = batch.words
        if self.words is not None:
            stop = batch.first + len(batch.rows)
            words = self.words.host_data, self.words.host_offsets[batch.first : stop + 1]
        table = _table_of(words, self.file)
        invalid = table.first_invalid()
        if invalid is None:
            return table
        if self.lossy:
            return table.replace_invalid()
        index, byte, reason = invalid
        raise FormatError(
            self.file,
            chunk=f"row {batch.first + index + 1} of {self.layout.n_rows}",
            field="word",
            expected="UTF-8",
            got=f"{table.raw(index)!r}, where byte {byte} is wrong ({reason})",
            hint="`lossy=True` replaces bytes that are not UTF-8.",
        )


def _table_of(words: Any, file: Any) -> StringTable:
    """Strings of Arrow or NumPy, or bytes and their offsets, as a table."""
    has_offsets = isinstance(words, tuple)
    try:
        if has_offsets:
            return StringTable.from_buffer(*words)
        data, starts, lengths = byte_views(words)
        return StringTable.from_spans(data, starts, starts + lengths)
    except ValueError as error:  # or code points that do not exist
        field, expected = "words", "strings"
        if has_offsets:
            field, expected = "words.offsets", "where each word begins"
        raise FormatError(file, field=field, expected=expected, got=str(error)) from error


def read_words(file: Any) -> StringTable:
    r"""The words of a file: one a line, an array of strings (`.npy`), or a column of a table.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.txt"
        >>> _ = path.write_bytes(b"one\r\ntwo\r\n")
        >>> read_words(path).strings
        ['one', 'two']
    """
    if not isinstance(file, str | bytes | int | os.PathLike):
        raise TypeError(
            "`words`: expected the path of a file with a word in each line, got "
            f"{type(file).__name__}. For words in memory, use `ffjax.from_vectors(words, matrix)`."
        )
    with open_stream(file) as stream:
        format = by_head(stream.head(8))
        with open_source(stream) as source:
            if format is None or format.name not in ("npy", *ARROW_FORMATS):
                return _lines(source)
            if format.name != "npy":
                table = open_arrow(source, format.name, Named(file), has_vectors=False)
                batches = table.batches(table.n_rows)
                return StringTable.concat([_table_of(batch.words, file) for batch in batches])
            array = read_npy(source)
            if len(array.shape) != 1 or array.dtype.kind not in "SU":
                expected = "one dimension of strings"
                raise FormatError(file, field="shape", expected=expected, got=str(array))
            return _table_of(array.view(), file)


def _lines(source: ByteSource) -> StringTable:
    lines = bytes(source.data).removesuffix(b"\n").split(b"\n") if len(source) else []
    if all(line.endswith(b"\r") for line in lines):
        lines = [line[:-1] for line in lines]
    return StringTable.from_strings(lines)
