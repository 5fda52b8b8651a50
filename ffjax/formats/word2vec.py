"""word2vec's binary format.

    rows SP dims LF
    word SP float32[dims] [LF]
    ...

Little endian. The LF behind a row is left out by some writers, such as the one of the GoogleNews vectors, and belongs
to no word: words hold neither space nor LF. Words are UTF-8.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.export import check_line_feeds, check_plain, first_word_with, word_blocks
from ffjax.formats.rows.limits import check_limit
from ffjax.formats.rows.row_blocks import (
    Block,
    Blocks,
    RowBuffer,
    check_words,
    collect,
    in_order,
    unit_length,
)
from ffjax.formats.text.lines import shown
from ffjax.formats.text.read import check_rows, read_header

_BLOCK = 1 << 22
_STEP = 1 << 15  # numbers that fit the cache
_LONGEST_WORD = 1 << 20
_SPACE, _LF = 32, 10


def load_word2vec(file: File | Stream, lossy: bool = False, limit: int | None = None) -> Embeddings:
    r"""Reads embeddings in word2vec's binary format.

    Vectors are scaled to unit length, and `norms` has the lengths that they had; zero vectors stay zero. The file may
    be compressed (gzip, bzip2, xz, zstd) or the one file in a zip or tar archive.

    Of a word that occurs several times the first vector counts, with one warning; vectors with NaN or infinity are kept
    with norm 1, with one warning.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to read at most; all of them by default.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` and norms.

    Raises:
        FormatError: the first line is not `rows dims`, the file has fewer rows or goes on behind them, a word is no
            UTF-8, or what the file is wrapped in is corrupt. The error has the byte, counted after decompression.
        OSError: the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.bin"
        >>> _ = path.write_bytes(b"1 2\none \x00\x00@@\x00\x00\x80@")
        >>> emb = ffjax.load_word2vec(path)
        >>> emb.vocab.words, emb["one"].tolist(), float(emb.norms[0])
        (['one'], [0.6000000238418579, 0.800000011920929], 5.0)
    """
    with _open(file, lossy, limit, unit=True, values=True, in_place=True) as blocks:
        return collect(blocks)


@contextmanager
def read_word2vec_blocks(
    file: File | Stream,
    *,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
    values: bool = True,
) -> Iterator[Blocks]:
    r"""Opens a word2vec file to read it a block of rows at a time, in memory for a few blocks.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to read at most.
        unit: whether to scale the rows to unit length.
        values: whether to give the values too, or the words alone.

    Raises:
        FormatError: as `load_word2vec`; most errors come while the blocks are gone through.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.bin"
        >>> _ = path.write_bytes(b"1 2\none \x00\x00@@\x00\x00\x80@")
        >>> with read_word2vec_blocks(path) as blocks:
        ...     [(block.words.strings, block.rows.tolist()) for block in blocks]
        [(['one'], [[3.0, 4.0]])]
    """
    with _open(file, lossy, limit, unit=unit, values=values, in_place=False) as blocks:
        yield blocks


@contextmanager
def _open(
    file: File | Stream, lossy: bool, limit: int | None, *, unit: bool, values: bool, in_place: bool
) -> Iterator[Blocks]:
    """Opens a file; `in_place` puts the rows into one array if the file's size vouches for their number."""
    check_limit(limit)
    with open_stream(file) as stream:
        n_rows, dims = read_header(stream)
        check_rows(stream, n_rows, 4 * dims + 1)
        n_read = n_rows if limit is None else min(limit, n_rows)
        matrix = RowBuffer(dims, n_read).array if in_place and stream.remaining is not None else None
        reader = _Reader(stream, n_rows, dims, lossy, unit, values, matrix)
        with closing(in_order(reader.block, reader.pieces(n_read), spare=1)) as blocks:
            yield Blocks(dims, n_rows, blocks, matrix)


@dataclass(frozen=True)
class _Piece:
    """Bytes of the file from `offset` on that begin with row number `row`, and where complete rows' vectors begin."""

    data: bytes
    vectors: list[int]
    offset: int
    row: int


class _Reader:
    """Cuts a stream into pieces of whole rows, and pieces into words and vectors."""

    def __init__(
        self,
        stream: Stream,
        n_rows: int,
        dims: int,
        lossy: bool,
        unit: bool,
        values: bool,
        matrix: np.ndarray | None,
    ) -> None:
        self._stream, self._n_rows, self._dims = stream, n_rows, dims
        self._lossy, self._unit, self._values, self._matrix = lossy, unit, values, matrix

    def pieces(self, n_read: int) -> Iterator[_Piece]:
        """The first `n_read` rows.

        Raises:
            FormatError: a row is incomplete, or the file goes on behind the last one.
        """
        carry, done, size = b"", 0, 4 * self._dims
        while done < n_read:
            offset = self._stream.position - len(carry)
            data = carry + self._stream.read(max(_BLOCK, size))
            vectors = self._vectors(data, n_read - done)
            if vectors:
                yield _Piece(data, vectors, offset, done)
                carry, done = data[vectors[-1] + size :], done + len(vectors)
            elif len(data) == len(carry) or len(data) > size + _LONGEST_WORD:
                raise self._incomplete(data, offset, done)
            else:
                carry = data
        if n_read == self._n_rows:
            self._finish(carry)

    def _vectors(self, data: bytes, most: int) -> list[int]:
        """Where the vectors of complete rows begin: each behind the first space behind the one before."""
        vectors: list[int] = []
        step, space, index, append = 4 * self._dims + 1, -4 * self._dims - 1, data.index, vectors.append
        try:
            for _ in range(most):
                space = index(b" ", space + step)
                append(space + 1)
        except ValueError:
            pass
        while vectors and vectors[-1] > len(data) - 4 * self._dims:
            vectors.pop()
        return vectors

    def block(self, piece: _Piece) -> Block:
        """The rows of a piece."""
        data = np.frombuffer(piece.data, np.uint8)
        after = np.array(piece.vectors, np.int64)
        ends = after - 1
        begin = np.concatenate([[0], after[:-1] + 4 * self._dims])
        begin += (data[begin] == _LF) & (begin < ends)
        for i in np.flatnonzero((data[begin] == _LF) & (begin < ends)).tolist():
            word = piece.data[begin[i] : ends[i]]
            begin[i] += len(word) - len(word.lstrip(b"\n"))

        def bad_word(i: int, expected: str, got: str) -> FormatError:
            hint = "`lossy=True` replaces what is no UTF-8."
            return self._stream.error(piece.offset + int(begin[i]), field="word", expected=expected, got=got, hint=hint)

        lengths = ends - begin
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        words = data[np.repeat(begin - offsets[:-1], lengths) + np.arange(offsets[-1])]
        table = check_words(words, offsets, self._lossy, bad_word)
        if not self._values:
            return Block(table, np.empty((len(begin), 0), np.float32))
        rows = np.empty((len(after), self._dims), np.float32)
        if self._matrix is not None:
            rows = self._matrix[piece.row : piece.row + len(after)]
        norms, n_odd = np.empty(len(after), np.float32), 0
        windows, step = sliding_window_view(data, 4 * self._dims), max(1, _STEP // self._dims)
        for start in range(0, len(after), step):
            some = slice(start, start + step)
            rows[some] = windows[after[some]].view("<f4")
            if self._unit:
                norms[some], odd = unit_length(rows[some])
                n_odd += odd
        return Block(table, rows, norms, n_odd) if self._unit else Block(table, rows)

    def _incomplete(self, data: bytes, offset: int, done: int) -> FormatError:
        rest = data.lstrip(b"\n")
        offset += len(data) - len(rest)
        chunk = f"row {done + 1} of {self._n_rows}"
        word, space, vector = rest.partition(b" ")
        if not space:
            got = shown(rest) if rest else "the end of the file"
            return self._stream.error(offset, chunk=chunk, field="word", expected="a word and a space", got=got)
        return self._stream.error(
            offset + len(word) + 1,
            chunk=chunk,
            field=f"vector of {shown(word)}",
            expected=f"{4 * self._dims} bytes",
            got=f"{len(vector)} before the end",
        )

    def _finish(self, carry: bytes) -> None:
        rest = carry
        while not (more := rest.lstrip(b"\n")):
            if not (rest := self._stream.read(_BLOCK)):
                return
        raise self._stream.error(
            self._stream.position - len(more),
            expected=f"the end behind {self._n_rows} rows, as the first line says",
            got=f"{shown(more)} and more",
        )


def write_word2vec(
    file: File,
    embeddings: Embeddings,
    *,
    unnormalize: bool = True,
    drop_subwords: bool = False,
    drop_metadata: bool = False,
    drop_training: bool = False,
    reconstruct: bool = False,
) -> None:
    """Writes the words and their vectors in word2vec's binary format, with a line feed behind each vector.

    The old file stays whole until the new one is complete.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write.
        unnormalize: whether to give the vectors the lengths that the norms say. Without that the norms are left out.
        drop_subwords: whether to leave n-grams out; the words' own vectors are written in any case.
        drop_metadata: whether to leave metadata out.
        drop_training: whether to leave counts, labels and the output matrix out.
        reconstruct: whether to write quantized vectors as the plain ones that they stand for.

    Raises:
        TypeError: `embeddings` is something else.
        ValueError: `embeddings` has n-grams, metadata, `training` or quantized vectors and the option that allows for
            it is not set, or a word has a space or a line feed.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.bin"
        >>> emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab(["one", "two"]))
        >>> ffjax.write_word2vec(path, emb)
        >>> ffjax.load_word2vec(path)["two"]
        array([0., 1.], dtype=float32)
    """
    embeddings = check_plain(
        embeddings,
        "word2vec files",
        drop_subwords=drop_subwords,
        drop_metadata=drop_metadata,
        drop_training=drop_training,
        reconstruct=reconstruct,
    )
    table = embeddings.vocab.table
    check_line_feeds(table, "word2vec files")
    word = first_word_with(table, _SPACE)
    if word is not None:
        raise ValueError(
            f"`embeddings`: expected words without spaces, since word2vec files can't hold them, got {word!r}. "
            "Text files can."
        )
    with open_output(file) as out:
        out.write(f"{len(table)} {embeddings.dims}\n".encode())
        size = 4 * embeddings.dims
        for words, rows in word_blocks(embeddings, unnormalize):
            raw = rows.astype("<f4", copy=False).tobytes()
            out.write(b"".join(b"%s %s\n" % (word, raw[i * size : (i + 1) * size]) for i, word in enumerate(words)))
