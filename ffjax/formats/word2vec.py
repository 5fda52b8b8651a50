"""word2vec's binary format.

    rows SP dims LF
    word SP float32[dims] [LF]
    ...

Little endian. Some writers, such as the one of the GoogleNews vectors, leave out the LF after a
row; it is never part of a word: words hold neither space nor LF. Words are UTF-8.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Unpack

import numpy as np

from ffjax._internal.atomic_write import open_output
from ffjax._internal.cpus import in_order
from ffjax._internal.file_arguments import check_limit
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats import word2vec_rows
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows import export, row_blocks
from ffjax.formats.text.fields import shown
from ffjax.formats.text.header import check_rows, limit_hint, read_header
from ffjax.formats.word2vec_rows import SHIFT_HINT, RowChunk, find_vectors
from ffjax.strings.string_table import StringTable

_READ_BYTES = 1 << 22
_MAX_WORD_BYTES = 1 << 20


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
    path: File | Stream,
    *,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
    in_place: bool = False,
) -> Iterator[row_blocks.Blocks]:
    """Opens a word2vec file; `in_place` puts all rows into one array if the size is known."""
    check_limit(limit)
    with open_stream(path) as stream:
        n_rows, dims = read_header(stream)
        check_rows(stream, n_rows, 4 * dims + 1, limit)
        n_read = n_rows if limit is None else min(limit, n_rows)
        matrix = None
        if in_place and stream.remaining is not None:
            matrix = row_blocks.RowBuffer(dims, n_read).array
        reader = _Reader(stream, n_rows, dims, lossy, unit, matrix, limit is None)
        with closing(in_order(reader.parse, reader.chunks(n_read), spare=1)) as blocks:
            yield row_blocks.Blocks(dims, n_rows, blocks, matrix, unit)


@dataclass(frozen=True)
class _Reader(row_blocks.BlockReader):
    """Cuts a stream into chunks of complete rows, and chunks into words and vectors."""

    n_rows: int  # as the file declares
    matrix: np.ndarray | None = None  # where all rows go, if they go into one array
    is_complete: bool = True  # all rows are read, and nothing may follow them

    def chunks(self, n_read: int) -> Iterator[RowChunk]:
        """The first `n_read` rows."""
        carry, row, size, chunk = b"", 0, 4 * self.dims, None
        while row < n_read:
            offset = self.stream.position - len(carry)
            data = carry + self.stream.read(max(_READ_BYTES, size))
            vectors = find_vectors(data, self.dims, n_read - row)
            if len(vectors):
                where = offset, row
                chunk = RowChunk(self.stream, self.n_rows, self.dims, data, vectors, *where)
                if not self.is_complete and row + len(vectors) == n_read:
                    # Rows after the last one show whether it is shifted.
                    n_rows = min(n_read + word2vec_rows.SAMPLE_ROWS, self.n_rows) - row
                    sample = replace(chunk, vectors=find_vectors(data, self.dims, n_rows))
                    sample.last(2 * word2vec_rows.SAMPLE_ROWS).check_sample()
                yield chunk
                carry, row = data[int(vectors[-1]) + size :], row + len(vectors)
            elif len(data) == len(carry) or len(data) > size + _MAX_WORD_BYTES:
                if chunk is not None:
                    self._check(chunk)
                raise self._incomplete(data, offset, row)
            else:
                carry = data
        if self.is_complete:
            self._check_end(carry, chunk)

    def parse(self, chunk: RowChunk) -> row_blocks.Block:
        """The rows of a chunk."""
        starts, ends = chunk.word_bounds
        matrix, end = self.matrix, chunk.row + len(starts)
        rows = chunk.numbers(None if matrix is None else matrix[chunk.row : end])
        words = StringTable.from_spans(np.frombuffer(chunk.data, np.uint8), starts, ends)
        invalid = words.first_invalid()
        norms, n_infinite = self.norms(rows)
        data = words.host_data[: words.host_offsets[-1]]
        lengths, is_utf8 = word2vec_rows.finite_lengths(rows, norms, n_infinite), invalid is None
        chunk.check_shift(data, words.host_offsets, lengths, is_utf8=is_utf8)
        words = self.checked_words(words, invalid, starts, chunk.offset)
        return row_blocks.Block(words, rows, norms, n_infinite)

    def _check(self, chunk: RowChunk) -> None:
        """Raises the error of a chunk, if it has one, which causes those after it."""
        replace(self, matrix=None).parse(chunk)  # another thread may be writing its rows

    def _incomplete(self, data: bytes, offset: int, row: int) -> FormatError:
        rest = data.lstrip(b"\n")
        offset += len(data) - len(rest)
        chunk = f"row {row + 1} of {self.n_rows}"
        word, space, vector = rest.partition(b" ")
        if not space:
            got = shown(rest) if rest else "the end of the file"
            expected = "a word and a space"
            hint = SHIFT_HINT if rest else limit_hint(row)
            return self.stream.error(offset, expected, got, chunk=chunk, field="word", hint=hint)
        expected, got = f"{4 * self.dims} bytes", f"{len(vector)} before the end"
        field, hint = f"vector of {shown(word)}", f"Is the file complete? {SHIFT_HINT}"
        offset += len(word) + 1
        return self.stream.error(offset, expected, got, chunk=chunk, field=field, hint=hint)

    def _check_end(self, carry: bytes, last: RowChunk | None) -> None:
        """Checks that nothing but line feeds follows the last row."""
        rest = carry
        while not (surplus := rest.lstrip(b"\n")):
            if not (rest := self.stream.read(_READ_BYTES)):
                return
        if last is not None:
            self._check(last)
        expected = f"the end after {self.n_rows} rows, as the first line says"
        hint = f"`limit={self.n_rows}` reads these rows. {SHIFT_HINT}"
        offset, got = self.stream.position - len(surplus), f"{shown(surplus)} and more"
        raise self.stream.error(offset, expected, got, hint=hint)


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
    export.check_without("\n", table, "word2vec files")
    export.check_without(" ", table, "word2vec files", " Text files can.")
    with open_output(file) as out:
        out.write(f"{len(table)} {embeddings.dims}\n".encode())
        for words, rows in export.word_blocks(embeddings, unnormalize):
            out.write(_encode(words, rows))


def _encode(words: list[bytes], rows: np.ndarray) -> bytes:
    vectors = np.ascontiguousarray(rows, "<f4").view(f"V{4 * rows.shape[1]}")
    lines = zip(words, repeat(b" "), vectors.reshape(-1).tolist(), repeat(b"\n"))
    return b"".join(chain.from_iterable(lines))
