"""word2vec's binary format.

    rows SP dims LF
    word SP float32[dims] [LF]
    ...

Little endian. Some writers, such as the one of the GoogleNews vectors, leave out the LF after a
row; it is never part of a word: words hold neither space nor LF. Words are UTF-8.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from typing import Unpack

import numpy as np

from ffjax._internal.atomic_write import open_output
from ffjax._internal.cpus import in_order
from ffjax._internal.file_arguments import check_limit
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows import export, row_blocks
from ffjax.formats.text.fields import shown
from ffjax.formats.text.header import check_rows, limit_hint, read_header
from ffjax.formats.word2vec_rows import (
    SAMPLE_ROWS,
    SHIFT_HINT,
    RowChunk,
    find_vectors,
    finite_lengths,
)
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
        check = partial(_parse, lossy=lossy, unit=unit, matrix=None)
        chunks = _cut_rows(stream, n_rows, dims, n_read, check, is_complete=limit is None)
        parse = partial(_parse, lossy=lossy, unit=unit, matrix=matrix)
        with closing(in_order(parse, chunks, spare=1)) as blocks:
            yield row_blocks.Blocks(dims, n_rows, blocks, matrix, unit)


def _cut_rows(
    stream: Stream,
    n_rows: int,
    dims: int,
    n_read: int,
    check: Callable[[RowChunk], object],
    *,
    is_complete: bool,
) -> Iterator[RowChunk]:
    """The first `n_read` rows; if these are all, nothing may follow them.

    Before an error, `check` raises that of the last chunk, if it has one.
    """
    carry, row, size, chunk = b"", 0, 4 * dims, None
    while row < n_read:
        offset = stream.position - len(carry)
        data = carry + stream.read(max(_READ_BYTES, size))
        vectors = find_vectors(data, dims, n_read - row)
        if len(vectors):
            chunk = RowChunk(stream, n_rows, dims, data, vectors, offset, row)
            if not is_complete and row + len(vectors) == n_read:
                # Rows after the last one show whether it is shifted.
                n_checked = min(n_read + SAMPLE_ROWS, n_rows) - row
                replace(chunk, vectors=find_vectors(data, dims, n_checked)).check()
            yield chunk
            carry, row = data[int(vectors[-1]) + size :], row + len(vectors)
        elif len(data) == len(carry) or len(data) > size + _MAX_WORD_BYTES:
            if chunk is not None:
                check(chunk)  # an error there may cause this one
            raise _incomplete(stream, data, offset, f"row {row + 1} of {n_rows}", dims, row)
        else:
            carry = data
    while is_complete:  # nothing but line feeds may follow
        if surplus := carry.lstrip(b"\n"):
            if chunk is not None:
                check(chunk)
            expected = f"the end after {n_rows} rows, as the first line says"
            hint = f"`limit={n_rows}` reads these rows. {SHIFT_HINT}"
            at, got = stream.position - len(surplus), f"{shown(surplus)} and more"
            raise stream.error(at, expected, got, hint=hint)
        carry = stream.read(_READ_BYTES)
        is_complete = bool(carry)


def _incomplete(
    stream: Stream, data: bytes, offset: int, chunk: str, dims: int, row: int
) -> FormatError:
    rest = data.lstrip(b"\n")
    offset += len(data) - len(rest)
    word, space, vector = rest.partition(b" ")
    if not space:
        got, hint = "the end of the file", limit_hint(row)
        if rest:
            got, hint = shown(rest), SHIFT_HINT
        where = {"chunk": chunk, "field": "word", "hint": hint}
        return stream.error(offset, "a word and a space", got, **where)
    expected, got = f"{4 * dims} bytes", f"{len(vector)} before the end"
    where = {"chunk": chunk, "field": f"vector of {shown(word)}"}
    hint = f"Is the file complete? {SHIFT_HINT}"
    return stream.error(offset + len(word) + 1, expected, got, hint=hint, **where)


def _parse(
    chunk: RowChunk, *, lossy: bool, unit: bool, matrix: np.ndarray | None
) -> row_blocks.Block:
    """The rows of a chunk, which go into their part of a matrix if there is one."""
    starts, ends = chunk.word_bounds
    rows = chunk.numbers(None if matrix is None else matrix[chunk.row : chunk.row + len(starts)])
    words = StringTable.from_spans(np.frombuffer(chunk.data, np.uint8), starts, ends)
    invalid = words.first_invalid()
    block = row_blocks.to_block(words, rows, unit=unit)
    lengths = finite_lengths(rows, block.norms, block.n_infinite)
    data = words.host_data[: words.host_offsets[-1]]
    chunk.check_shift(data, words.host_offsets, lengths, is_utf8=invalid is None)
    offsets = chunk.offset + starts
    words = row_blocks.checked_words(chunk.stream, words, invalid, offsets, lossy=lossy)
    return replace(block, words=words)


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
    table, dims = embeddings.vocab.table, embeddings.dims
    export.check_without("\n", table, "word2vec files")
    export.check_without(" ", table, "word2vec files", " Text files can.")
    with open_output(file) as out:
        out.write(f"{len(table)} {dims}\n".encode())
        for words, rows in export.word_blocks(embeddings, unnormalize):
            vectors = np.ascontiguousarray(rows, "<f4").view(f"V{4 * dims}").reshape(-1).tolist()
            lines = zip(words, repeat(b" "), vectors, repeat(b"\n"))
            out.write(b"".join(chain.from_iterable(lines)))
