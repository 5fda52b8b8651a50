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
from dataclasses import dataclass

from ffjax._internal.file_arguments import check_limit
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.row_blocks import Block, BlockReader, Blocks, collect, in_order
from ffjax.formats.text.fields import ends_with_value
from ffjax.formats.text.header import limit_hint, no_header_hint
from ffjax.formats.text.line_chunks import LineChunk, first_lines
from ffjax.formats.text.lines import IsSurplus, n_values
from ffjax.formats.text.table import open_table, parse_chunk


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
        return collect(blocks)


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
        return collect(blocks)


@contextmanager
def read_text_blocks(
    file: File | Stream,
    *,
    header: bool,
    dims: int | None = None,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
    values: bool = True,
) -> Iterator[Blocks]:
    """Opens a text file to read it a block at a time, with the options of `BlockReader`."""
    check_limit(limit)
    with open_stream(file) as stream:
        table = open_table(stream, header=header, dims=dims, limit=limit)
        reader = TextReader(
            stream,
            table.n_rows,
            table.dims,
            lossy,
            unit,
            values,
            is_surplus=table.is_surplus,
            aligned=table.aligned,
        )
        with closing(reader.read(table.chunks, limit)) as blocks:
            yield Blocks(table.dims, table.n_rows, blocks, unit=unit)


@dataclass(frozen=True)
class TextReader(BlockReader):
    """Parses chunks of lines into blocks of rows."""

    is_surplus: IsSurplus | None = ends_with_value
    aligned: bool = False  # runs of spaces or tabs separate fields
    table: bool = False  # of numbered rows, which are all needed

    def read(
        self, chunks: Iterator[LineChunk], limit: int | None = None
    ) -> Generator[Block, None, None]:
        """The rows of all lines, which must be `n_rows`, or of the first `limit` ones."""
        if limit is not None:
            chunks = first_lines(chunks, limit)
        n_read, blank = 0, None
        for block, offset in in_order(self._parse, chunks):
            if blank is not None and len(block):
                expected = f"a word and {n_values(self.dims)}"
                raise self.stream.error(blank, expected=expected, got="an empty line")
            blank = offset if blank is None else blank
            n_read += len(block)
            if len(block):
                yield block
        if self.n_rows is None:
            return
        least = self.n_rows if limit is None else min(limit, self.n_rows)
        if n_read < least or (limit is None and n_read > least):
            raise self.stream.error(
                self.stream.position,
                expected=f"{self.n_rows} rows, as the first line says",
                got=f"{n_read} up to the end",
                hint=None if self.table else no_header_hint(self.dims) or limit_hint(n_read),
            )

    def _parse(self, chunk: LineChunk) -> tuple[Block, int | None]:
        """The rows of a chunk, and where in the file the empty lines start that end it."""
        lines = parse_chunk(
            self.stream,
            chunk,
            self.dims,
            is_surplus=self.is_surplus,
            aligned=self.aligned,
            values=self.values,
        )
        words = self.words(chunk.text, lines.starts, lines.ends, chunk.offset)
        blank = None if lines.blank is None else chunk.offset + lines.blank
        return self.block(words, lines.values), blank
