"""A table in text before its words and numbers become values: lines, and what tells them apart."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from ffjax._internal.file_arguments import check_dims
from ffjax.errors import FormatError
from ffjax.formats.io.streams import Stream
from ffjax.formats.rows.encodings import encoding_hint
from ffjax.formats.text.header import (
    begin_text,
    check_next_line,
    check_rows,
    no_header_hint,
    read_header,
)
from ffjax.formats.text.line_chunks import LineChunk, cut_lines, squeeze
from ffjax.formats.text.lines import IsSurplus, Lines, n_values, parse_lines
from ffjax.formats.text.sample import count_dims, is_aligned, sample_lines, surplus_check


class TextTable(NamedTuple):
    """The lines of a table, and how to read them.

    Attributes:
        dims: values on each line.
        n_rows: how many rows the first line promises, `None` without one.
        chunks: the lines, which can be read once.
        is_surplus: which words have values in them, so that a line has too many.
        aligned: whether runs of spaces or tabs separate fields.
    """

    dims: int
    n_rows: int | None
    chunks: Iterator[LineChunk]
    is_surplus: IsSurplus | None
    aligned: bool


def open_table(
    stream: Stream, *, header: bool, dims: int | None = None, limit: int | None = None
) -> TextTable:
    """Reads a stream up to its first line with values."""
    check_dims(dims)
    exact, n_rows = dims is not None, None
    begin_text(stream)
    if header:
        n_rows, declared = read_header(stream)
        if dims not in (None, declared):
            raise ValueError(
                f"`dims`: expected {declared}, as the file's first line says, got {dims}."
            )
        dims = declared
        check_next_line(stream, n_rows, dims)
        check_rows(stream, n_rows, 2 * dims + 1, limit, no_header_hint(dims))
    chunks = cut_lines(stream, line=2 if header else 1)
    first = next(chunks, None)
    sample = [] if first is None else sample_lines(first)
    if first is not None:
        chunks = chain([first], chunks)
    elif dims is None:
        expected = "a word and its values on each line"
        raise stream.error(0, expected=expected, got="an empty file")
    dims = count_dims(stream, sample) if dims is None else dims
    is_surplus = None if exact else surplus_check(sample, dims, header=header)
    return TextTable(dims, n_rows, chunks, is_surplus, is_aligned(sample, dims, exact=exact))


def parse_chunk(
    stream: Stream,
    chunk: LineChunk,
    dims: int,
    *,
    is_surplus: IsSurplus | None,
    aligned: bool,
    values: bool,
) -> Lines:
    """`parse_lines` of a chunk; offsets count from the first byte of its text."""
    buffer, positions = chunk.buffer, None
    if aligned:
        buffer, positions = squeeze(chunk)

    def in_chunk(offset: Any) -> Any:
        return offset if positions is None else positions[offset]

    def fail(offset: int, **what: str | None) -> FormatError:
        start = int(in_chunk(offset))
        where = f"line {chunk.line_at(start)}"
        return stream.error(chunk.offset + start, chunk=where, **what)

    n_bytes = chunk.n_bytes if positions is None else len(positions)
    lines = parse_lines(buffer, n_bytes, dims, fail, is_surplus=is_surplus, values=values)
    blank = None if lines.blank is None else int(in_chunk(lines.blank))
    return Lines(in_chunk(lines.starts), in_chunk(lines.ends), lines.values, blank)


def count_words(stream: Stream, table: TextTable, *, lossy: bool) -> tuple[int, int]:
    """How many different words a table has, and how many rows; numbers are not read."""
    words: set[bytes] = set()
    n_rows, blank = 0, None
    for chunk in table.chunks:
        lines = parse_chunk(
            stream,
            chunk,
            table.dims,
            is_surplus=table.is_surplus,
            aligned=table.aligned,
            values=False,
        )
        if blank is not None and len(lines.starts):
            expected = f"a word and {n_values(table.dims)}"
            raise stream.error(blank, expected=expected, got="an empty line")
        if blank is None and lines.blank is not None:
            blank = chunk.offset + lines.blank
        text = chunk.text.tobytes()
        bounds = zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)
        chunk_words = [text[start:end] for start, end in bounds]
        words.update(_checked(stream, chunk_words, lines, chunk.offset, lossy))
        n_rows += len(chunk_words)
    return len(words), n_rows


def _checked(
    stream: Stream, words: list[bytes], lines: Lines, offset: int, lossy: bool
) -> list[bytes]:
    """Words that are UTF-8; `lossy` replaces what is not."""
    for i, word in enumerate(words):
        try:
            word.decode()
        except UnicodeDecodeError as error:
            if lossy:
                words[i] = word.decode("utf-8", "replace").encode()
                continue
            raise stream.error(
                offset + int(lines.starts[i]),
                field="word",
                expected="UTF-8",
                got=f"{word!r}, where byte {error.start} is wrong ({error.reason})",
                hint=encoding_hint(words),
            ) from None
    return words
