"""word2vec's binary format.

    rows SP dims LF
    word SP float32[dims] [LF]
    ...

Little endian. Some writers, such as the one of the GoogleNews vectors, leave out the LF after a
row; it is never part of a word: words hold neither space nor LF. Words are UTF-8.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Unpack

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ffjax._internal.atomic_write import open_output
from ffjax._internal.file_arguments import check_limit
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows import export, row_blocks
from ffjax.formats.text.fields import is_plain, shown
from ffjax.formats.text.header import check_rows, limit_hint, read_header
from ffjax.strings.string_table import StringTable

_READ_BYTES = 1 << 22
_MAX_WORD_BYTES = 1 << 20
_LF, _SPACE = b"\n "
# Text and shifted bytes, read as numbers, soon give such ratios between rows and within one.
_ABSURD, _TINY = 1e15, 1e-10
_MAX_SHIFT = 8  # numbers at the start of a vector among which text is looked for
_SHIFT_HINT = (
    "A word with a space in it, which this format cannot hold, shifts all rows after it. Write the "
    "file again with `_` for spaces, or as text."
)


def load_word2vec(file: File | Stream, lossy: bool = False, limit: int | None = None) -> Embeddings:
    r"""Reads embeddings in word2vec's binary format.

    Vectors are scaled to unit length, and `norms` holds the lengths that they had; zero vectors
    stay zero. The file may be compressed (gzip, bzip2, xz, zstd) or the one file in a zip or tar
    archive.

    The first vector of a repeated word counts, with one warning; vectors with NaN or infinity are
    kept with norm 1, with one warning.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace bytes of words that are not UTF-8 by U+FFFD.
        limit: how many words to read at most; all of them by default.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` and norms.

    Raises:
        FormatError: if the first line is not `rows dims`, the file has fewer rows or goes on after
            them, a word is not UTF-8, or what wraps the file is corrupt. The error has the byte,
            counted after decompression.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.bin"
        >>> _ = path.write_bytes(b"1 2\none \x00\x00@@\x00\x00\x80@")
        >>> emb = ffjax.load_word2vec(path)
        >>> emb.vocab.words, emb["one"].tolist(), float(emb.norms[0])
        (['one'], [0.6000000238418579, 0.800000011920929], 5.0)
    """
    options = {"lossy": lossy, "limit": limit}
    with read_word2vec_blocks(file, unit=True, in_place=True, **options) as blocks:
        return row_blocks.collect(blocks)


@contextmanager
def read_word2vec_blocks(
    file: File | Stream,
    *,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
    in_place: bool = False,
) -> Iterator[row_blocks.Blocks]:
    """Opens a word2vec file; `in_place` puts all rows into one array if the size is known."""
    check_limit(limit)
    with open_stream(file) as stream:
        n_rows, dims = read_header(stream)
        check_rows(stream, n_rows, 4 * dims + 1, limit)
        n_read = n_rows if limit is None else min(limit, n_rows)
        matrix = None
        if in_place and stream.remaining is not None:
            matrix = row_blocks.RowBuffer(dims, n_read).array
        reader = _Reader(stream, n_rows, dims, lossy, unit, matrix, limit is None)
        with closing(row_blocks.in_order(reader.parse, reader.chunks(n_read), spare=1)) as blocks:
            yield row_blocks.Blocks(dims, n_rows, blocks, matrix, unit)


@dataclass(frozen=True)
class _Chunk:
    data: bytes
    vectors: list[int]  # where the vectors of complete rows begin
    offset: int  # of the bytes in the file
    row: int  # the number of the first row


@dataclass(frozen=True)
class _Reader(row_blocks.BlockReader):
    """Cuts a stream into chunks of complete rows, and chunks into words and vectors."""

    matrix: np.ndarray | None = None  # where all rows go, if they go into one array
    is_complete: bool = True  # all rows are read, and nothing may follow them

    def chunks(self, n_read: int) -> Iterator[_Chunk]:
        """The first `n_read` rows."""
        carry, row, size, chunk = b"", 0, 4 * self.dims, None
        while row < n_read:
            offset = self.stream.position - len(carry)
            data = carry + self.stream.read(max(_READ_BYTES, size))
            vectors = self._vectors(data, n_read - row)
            if vectors:
                chunk = _Chunk(data, vectors, offset, row)
                yield chunk
                carry, row = data[vectors[-1] + size :], row + len(vectors)
            elif len(data) == len(carry) or len(data) > size + _MAX_WORD_BYTES:
                if chunk is not None:
                    self.parse(chunk)  # an error there is the cause of this one
                raise self._incomplete(data, offset, row)
            else:
                carry = data
        if self.is_complete:
            self._check_end(carry, chunk)

    def _vectors(self, data: bytes, limit: int) -> list[int]:
        """Where the vectors of complete rows begin: after the first space that follows a vector."""
        vectors: list[int] = []
        size, space = 4 * self.dims, -1 - 4 * self.dims
        with suppress(ValueError):
            for _ in range(limit):
                space = data.index(b" ", space + size + 1)
                vectors.append(space + 1)
        while vectors and vectors[-1] > len(data) - size:
            vectors.pop()
        return vectors

    def parse(self, chunk: _Chunk) -> row_blocks.Block:
        """The rows of a chunk."""
        data = np.frombuffer(chunk.data, np.uint8)
        vectors = np.array(chunk.vectors, np.int64)
        ends = vectors - 1
        starts = np.concatenate([[0], vectors[:-1] + 4 * self.dims])
        starts += (data[starts] == _LF) & (starts < ends)
        for i in np.flatnonzero((data[starts] == _LF) & (starts < ends)).tolist():
            word = chunk.data[starts[i] : ends[i]]
            starts[i] += len(word) - len(word.lstrip(b"\n"))
        rows = sliding_window_view(data, 4 * self.dims)[vectors].view("<f4")
        words = row_blocks.slice_words(data, starts, ends)
        invalid = words.first_invalid()
        spaces = np.argwhere(rows.view("<u4")[:, :_MAX_SHIFT] >> 24 == _SPACE)
        norms, n_infinite = self.norms(rows)
        lengths = norms
        if n_infinite:
            finite = np.isfinite(rows)
            lengths = np.maximum(norms, np.abs(rows).max(axis=1, where=finite, initial=0))
        self._check_shift(chunk, words, lengths, spaces, is_text=invalid is None)
        words = self.checked_words(words, invalid, starts, chunk.offset)
        if self.matrix is not None:
            self.matrix[chunk.row : chunk.row + len(rows)] = rows
        return row_blocks.Block(words, rows, norms, n_infinite)

    def _check_shift(
        self,
        chunk: _Chunk,
        table: StringTable,
        lengths: np.ndarray,
        spaces: np.ndarray,
        *,
        is_text: bool,
    ) -> None:
        """Checks for what shifted rows have: line feeds in words, absurd vectors, text in them."""
        data = table.host_data[: table.host_offsets[-1]]
        feeds = np.flatnonzero(data == _LF)
        if len(feeds):
            i = int(np.searchsorted(table.host_offsets, feeds[0], side="right")) - 1
            raise self._shifted(chunk, table, i, "with a line feed in it")
        is_text = is_text and bool((data >= _SPACE).all())
        for i in _too_long(lengths, is_text=is_text).tolist():
            numbers = np.abs(np.frombuffer(chunk.data, "<f4", self.dims, chunk.vectors[i]))
            if not is_text or np.fmin.reduce(numbers) < lengths[i] / _ABSURD:
                raise self._shifted(chunk, table, i, "and a vector of absurd length")
        # A shift by whole numbers leaves lengths as they are. The space after the rest of the word
        # then is the high byte of a number of 1e-19.
        for i, j in spaces.tolist():
            start = chunk.vectors[i]
            text = chunk.data[start : start + 4 * j + 4]
            if lengths[i] > _TINY and is_plain(text) and b"\n" not in text:
                raise self._shifted(chunk, table, i, "and a vector that begins with text")

    def _shifted(self, chunk: _Chunk, table: StringTable, i: int, problem: str) -> FormatError:
        offset = chunk.offset + (chunk.vectors[i - 1] + 4 * self.dims if i else 0)
        where = {"chunk": f"row {chunk.row + i + 1} of {self.n_rows}", "field": "word"}
        got, hint = f"{shown(table.raw(i))}, {problem}", f"The rows are shifted. {_SHIFT_HINT}"
        return self.stream.error(offset, "a word and its vector", got, hint=hint, **where)

    def _incomplete(self, data: bytes, offset: int, row: int) -> FormatError:
        rest = data.lstrip(b"\n")
        offset += len(data) - len(rest)
        chunk = f"row {row + 1} of {self.n_rows}"
        word, space, vector = rest.partition(b" ")
        if not space:
            got = shown(rest) if rest else "the end of the file"
            expected = "a word and a space"
            hint = _SHIFT_HINT if rest else limit_hint(row)
            return self.stream.error(offset, expected, got, chunk=chunk, field="word", hint=hint)
        expected, got = f"{4 * self.dims} bytes", f"{len(vector)} before the end"
        field, hint = f"vector of {shown(word)}", f"Is the file complete? {_SHIFT_HINT}"
        offset += len(word) + 1
        return self.stream.error(offset, expected, got, chunk=chunk, field=field, hint=hint)

    def _check_end(self, carry: bytes, last: _Chunk | None) -> None:
        """Checks that nothing but line feeds follows the last row."""
        rest = carry
        while not (surplus := rest.lstrip(b"\n")):
            if not (rest := self.stream.read(_READ_BYTES)):
                return
        if last is not None:
            self.parse(last)  # an error there is the cause of this one
        expected = f"the end after {self.n_rows} rows, as the first line says"
        hint = f"`limit={self.n_rows}` reads these rows. {_SHIFT_HINT}"
        offset, got = self.stream.position - len(surplus), f"{shown(surplus)} and more"
        raise self.stream.error(offset, expected, got, hint=hint)


def _too_long(lengths: np.ndarray, *, is_text: bool) -> np.ndarray:
    """The rows that are far longer than most, or than any should be if words are not text."""
    positive = lengths[lengths > 0]
    usual = np.quantile(positive, 0.5, method="lower") if len(positive) else 1
    return np.flatnonzero(lengths / _ABSURD > (usual if is_text else min(usual, 1)))


def write_word2vec(
    file: File,
    embeddings: Embeddings,
    *,
    unnormalize: bool = True,
    **options: Unpack[export.ExportOptions],
) -> None:
    """Writes words and vectors in word2vec's binary format, with a line feed after each vector.

    The old file stays complete until the new one is. If the format cannot hold something, you get
    an error naming the option that permits dropping it.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write.
        unnormalize: whether to multiply the vectors by their norms. Otherwise norms are lost.
        **options: what to drop, as in `write_text`.

    Raises:
        TypeError: if `embeddings` is something else, or an option does not exist.
        ValueError: if something would be lost without its option, or a word has a space or a line
            feed.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.bin"
        >>> rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
        >>> ffjax.write_word2vec(path, ffjax.Embeddings(rows, ffjax.SimpleVocab(["one", "two"])))
        >>> ffjax.load_word2vec(path)["two"]
        array([0., 1.], dtype=float32)
    """
    embeddings = export.check_plain(embeddings, "word2vec files", options)
    table = embeddings.vocab.table
    export.check_line_feeds(table, "word2vec files")
    with_space = export.words_with(table, _SPACE)
    if len(with_space):
        raise ValueError(
            "`embeddings`: expected words without spaces, since word2vec files can't hold them, "
            f"got {table[int(with_space[0])]!r}. Text files can."
        )
    with open_output(file) as out:
        out.write(f"{len(table)} {embeddings.dims}\n".encode())
        for words, rows in export.word_blocks(embeddings, unnormalize):
            out.write(_encode(words, rows))


def _encode(words: list[bytes], rows: np.ndarray) -> bytes:
    vectors = np.ascontiguousarray(rows, "<f4").view(f"V{4 * rows.shape[1]}")
    lines = zip(words, repeat(b" "), vectors.reshape(-1).tolist(), repeat(b"\n"))
    return b"".join(chain.from_iterable(lines))
