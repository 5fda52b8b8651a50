"""Embeddings in text: a word and its values on each line, with or without a line of dimensions.

    [rows SP dims LF]
    word SP value SP ... value LF
    ...

GloVe writes the form without dimensions, word2vec and fastText (`.vec`) the one with. Words are
UTF-8. A byte order mark before the first word or number is skipped (gensim keeps it in the word,
and cannot read the number).
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial

from ffjax._internal.cpus import in_order
from ffjax._internal.file_arguments import check_limit
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows import row_blocks
from ffjax.formats.text.header import limit_hint, no_header_hint
from ffjax.formats.text.line_chunks import LineChunk, first_lines
from ffjax.formats.text.table import TextTable, open_table
from ffjax.strings.string_table import StringTable


def load_text(
    file: File | Stream, lossy: bool = False, limit: int | None = None, *, dims: int | None = None
) -> Embeddings:
    r"""Reads embeddings in text without a line of dimensions, such as GloVe's.

    Vectors are scaled to unit length, and `norms` holds the lengths that they had; zero vectors
    stay zero. The file may be compressed (gzip, bzip2, xz, zstd) or the one file in a zip or tar
    archive.

    Most of the first lines tell how many values a line has. Everything before those is the word,
    which may hold spaces. The first vector of a repeated word counts, with one warning; vectors
    with NaN or infinity are kept with norm 1, with one warning.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace bytes of words that are not UTF-8 by U+FFFD.
        limit: how many words to read at most; all of them by default.
        dims: how many values each line has. This settles lines like `python 2.7 0.5 0.25`, whose
            second field may belong to the word or be a value too many; without `dims` they are an
            error.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` and norms.

    Raises:
        FormatError: if a line has fewer or more values than others, or one that is not a number; a
            word is not UTF-8; or the file is empty, or wrapped in something corrupt. The error has
            the byte, counted after decompression.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> _ = path.write_text("one 3.0 4.0\nNew York 0.5 0.0\n")
        >>> emb = ffjax.load_text(path)
        >>> emb.vocab.words, emb["one"].tolist(), float(emb.norms[0])
        (['one', 'New York'], [0.6000000238418579, 0.800000011920929], 5.0)
    """
    options = {"dims": dims, "lossy": lossy, "limit": limit}
    with read_text_blocks(file, header=False, unit=True, **options) as blocks:
        return row_blocks.collect(blocks)


def load_text_dims(
    file: File | Stream, lossy: bool = False, limit: int | None = None, *, dims: int | None = None
) -> Embeddings:
    r"""Reads text with a first line `rows dims`, as word2vec and fastText (`.vec`) write it.

    Everything else is as in `load_text`.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace bytes of words that are not UTF-8 by U+FFFD.
        limit: how many words to read at most; all of them by default.
        dims: the dimensions of the file, given to say that surplus fields belong to the word,
            whatever they look like.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` and norms.

    Raises:
        FormatError: as `load_text`, or if there are more or fewer rows than the first line says.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.vec"
        >>> _ = path.write_text("2 2\none 3.0 4.0 \ntwo 0.5 0.0 \n")
        >>> ffjax.load_text_dims(path, limit=1)
        Embeddings(NdArray(1 x 2), SimpleVocab(1 words), Norms(1))
    """
    options = {"dims": dims, "lossy": lossy, "limit": limit}
    with read_text_blocks(file, header=True, unit=True, **options) as blocks:
        return row_blocks.collect(blocks)


@contextmanager
def read_text_blocks(
    path: File | Stream,
    *,
    header: bool,
    dims: int | None = None,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
) -> Iterator[row_blocks.Blocks]:
    """Opens a text file to read it a block at a time, scaled to unit length if `unit` is set."""
    check_limit(limit)
    with open_stream(path) as stream:
        table = open_table(stream, has_header=header, dims=dims, limit=limit)
        with closing(read_rows(table, lossy=lossy, unit=unit, limit=limit)) as blocks:
            yield row_blocks.Blocks(table.dims, table.n_rows, blocks, unit=unit)


read_blocks = partial(read_text_blocks, header=False)
read_blocks_with_dims = partial(read_text_blocks, header=True)


def read_rows(
    table: TextTable,
    *,
    lossy: bool = False,
    unit: bool = False,
    limit: int | None = None,
    is_numbered: bool = False,
) -> Generator[row_blocks.Block, None, None]:
    """The rows of all lines, which must be `n_rows`, or of the first `limit` ones.

    Rows that are numbered have no words, and all of them are needed.
    """

    def parse(chunk: LineChunk) -> tuple[row_blocks.Block, int | None]:
        lines = table.parse(chunk)
        words = StringTable.from_spans(chunk.text, lines.starts, lines.ends)
        offsets = chunk.offset + lines.starts
        invalid = words.first_invalid()
        words = row_blocks.checked_words(table.stream, words, invalid, offsets, lossy=lossy)
        return row_blocks.to_block(words, lines.values, unit=unit), lines.blank

    n_read, n_rows, stream = 0, table.n_rows, table.stream
    chunks = table.chunks if limit is None else first_lines(table.chunks, limit)
    with closing(in_order(parse, chunks)) as parsed:
        for block in table.without_blank_lines(parsed):
            n_read += len(block)
            yield block
    if n_rows is None:
        return
    least = n_rows if limit is None else min(limit, n_rows)
    if n_read < least or (limit is None and n_read > least):
        expected = f"{n_rows} rows, as the first line says"
        hint = None if is_numbered else no_header_hint(table.dims) or limit_hint(n_read)
        raise stream.error(stream.position, expected, f"{n_read} up to the end", hint=hint)
