"""A table in text before its words and numbers become values: lines, and what tells them apart.

Importing this does not import JAX; `info` describes text and floret files with it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from ffjax._internal.cpus import in_order
from ffjax._internal.file_arguments import check_dims, counted
from ffjax.errors import FormatError
from ffjax.formats.io.streams import Stream
from ffjax.formats.rows.encodings import not_utf8
from ffjax.formats.text import fields, header
from ffjax.formats.text.line_chunks import LineChunk, cut_lines, squeeze
from ffjax.formats.text.lines import IsSurplus, Lines, parse_lines

Rows = TypeVar("Rows", bound=Sized)

_LF, _SPACE = b"\n "
# The system would zero new memory for larger chunks each time, which takes longer than scanning.
_SCAN_BYTES = 1 << 19
_ROWS = "a word and its values on each line"
# A line of dimensions that has lost its line feed, or has too many digits.
_HEADER_AND_WORD = re.compile(rb"\d+[ \t](\d+)[^\d \t].*", re.DOTALL)
_LONG_HEADER = re.compile(rb"\d{19,}[ \t](\d+)\s*")
_RUN_BETWEEN_VALUES = re.compile(rb"[^ \t][ \t]{2,}[^ \t\r]")


@dataclass(frozen=True)
class TextTable:
    """The lines of a table, and how to read them."""

    stream: Stream
    dims: int
    n_rows: int | None  # as the first line promises
    chunks: Iterator[LineChunk]  # which can be read once
    is_surplus: IsSurplus | None = fields.ends_with_value  # which words have values in them
    aligned: bool = False  # runs of spaces or tabs separate fields

    def parse(self, chunk: LineChunk, *, values: bool = True) -> Lines:
        """`parse_lines` of a chunk; offsets count from the first byte of its text."""
        squeezed, positions = squeeze(chunk) if self.aligned else (chunk, None)

        def in_chunk(offset: Any) -> Any:
            return offset if positions is None else positions[offset]

        def fail(offset: int, *what: str, **where: str | None) -> FormatError:
            start = int(in_chunk(offset))
            line = chunk.line + np.count_nonzero(chunk.text[:start] == _LF)
            return self.stream.error(chunk.offset + start, *what, chunk=f"line {line}", **where)

        lines = parse_lines(squeezed, self.dims, fail, self.is_surplus, values)
        blank = None if lines.blank is None else chunk.offset + int(in_chunk(lines.blank))
        return Lines(in_chunk(lines.starts), in_chunk(lines.ends), lines.values, blank)

    def without_blank_lines(self, parsed: Iterable[tuple[Rows, int | None]]) -> Iterator[Rows]:
        """Rows and where empty lines follow them in the file, which must be at its end."""
        blank = None
        for rows, end in parsed:
            if blank is not None and len(rows):
                expected = f"a word and {counted(self.dims, 'value')}"
                raise self.stream.error(blank, expected, "an empty line")
            blank = end if blank is None else blank
            if len(rows):
                yield rows

    def count_words(self, *, lossy: bool) -> tuple[int, int]:
        """How many different words there are, and how many rows; numbers are not read."""
        words: set[bytes] = set()
        n_rows, parsed = 0, in_order(partial(self._words, lossy=lossy), self.chunks)
        for chunk_words in self.without_blank_lines(parsed):
            words.update(chunk_words)
            n_rows += len(chunk_words)
        return len(words), n_rows

    def _words(self, chunk: LineChunk, lossy: bool) -> tuple[list[bytes], int | None]:
        if not self.aligned and (plain := self._plain_words(chunk)) is not None:
            return plain, None
        lines = self.parse(chunk, values=False)
        words = lines.words(chunk.text)
        for i, word in enumerate(words):
            try:
                word.decode()
            except UnicodeDecodeError as error:
                if not lossy:
                    offset = chunk.offset + int(lines.starts[i])
                    problem = (i, error.start, error.reason)
                    raise not_utf8(self.stream, offset, words, *problem) from None
                words[i] = word.decode("utf-8", "replace").encode()
        return words, lines.blank

    def _plain_words(self, chunk: LineChunk) -> list[bytes] | None:
        """The words of UTF-8 lines with one space before each value, in half the time."""
        text = chunk.text
        feeds, is_separator = np.flatnonzero(text == _LF), text <= _SPACE
        # No line may have fewer spaces, so all have as many as they have together.
        n_spaces, n_separators = np.count_nonzero(text == _SPACE), np.count_nonzero(is_separator)
        if n_spaces != len(feeds) * self.dims or n_separators != n_spaces + len(feeds):
            return None
        if (is_separator[1:] & is_separator[:-1]).any():
            return None
        data = text.tobytes()
        starts = [0, *(feeds[:-1] + 1).tolist()]
        words = [data[start : data.index(b" ", start)] for start in starts]
        try:
            b"".join(words).decode()
        except UnicodeDecodeError:
            return None
        return words


def open_table(
    stream: Stream,
    *,
    has_header: bool,
    dims: int | None = None,
    limit: int | None = None,
    chunk_bytes: int | None = None,
) -> TextTable:
    """Reads a stream up to its first line with values."""
    check_dims(dims)
    exact, n_rows = dims is not None, None
    header.begin_text(stream)
    if has_header:
        n_rows, declared = header.read_header(stream)
        if dims not in (None, declared):
            expected = f"expected {declared}, as the file's first line says"
            raise ValueError(f"`dims`: {expected}, got {dims}.")
        dims = declared
        match = header.HEADER.match(stream.head(header.HEADER_BYTES))
        if dims > 1 and match is not None and (int(match[1]), int(match[2])) == (n_rows, dims):
            expected, got = f"a word and {counted(dims, 'value')}", "the line of dimensions again"
            where = {"chunk": "line 2", "hint": "Remove one of them."}
            raise stream.error(stream.position, expected, got, **where)
        header.check_rows(stream, n_rows, 2 * dims + 1, limit, header.no_header_hint(dims))
    chunks, sample = cut_lines(stream, 2 if has_header else 1, chunk_bytes), []
    if (first := next(chunks, None)) is not None:
        sample = first.first(fields.SAMPLE_LINES).text.tobytes().split(b"\n")[:-1]
        chunks = chain([first], chunks)
    elif dims is None:
        raise stream.error(0, _ROWS, "an empty file")
    if dims is None:
        dims = _count_dims(stream, sample)
    is_surplus = None if exact else _surplus_check(sample, dims, n_rows)
    aligned = _is_aligned(sample, dims, exact=exact)
    return TextTable(stream, dims, n_rows, chunks, is_surplus, aligned)


def _count_dims(stream: Stream, lines: list[bytes]) -> int:
    """How many values most lines have."""
    counts = Counter(filter(None, map(fields.count_values, lines)))
    first, n_lines = lines[0], sum(bool(line.strip()) for line in lines)
    if not counts or 2 * counts.total() < n_lines:
        text = b"\n".join(lines)
        hint = fields.table_hint(text) if fields.is_plain(text) else None
        raise stream.error(0, _ROWS, fields.shown(first), hint=hint)
    dims, n_rows = counts.most_common(1)[0]
    n_values, most = fields.count_values(first), max(counts)
    names, match = first.split()[-dims:], _LONG_HEADER.fullmatch(first)
    words = [fields.word_before(line, dims) for line in lines]
    if 2 * n_rows > n_lines and not n_values and sum(x[:1].isalpha() for x in names) == dims:
        hint = "If these are names of columns, remove the line, as in `tail -n +2 OLD > NEW`."
    elif match and most == int(match[1]):
        dims, hint = most, "That is a line of dimensions with too many digits."
    elif dims > 1 and n_values == 1 and header.HEADER.fullmatch(first + b"\n"):
        hint = "That is a line of dimensions; `load_text_dims` reads files with one."
    elif (hint := _misread_hint(words, dims)) is None:
        return dims
    expected = f"a word and {counted(dims, 'value')}"
    raise stream.error(0, expected, fields.shown(first), hint=hint)


def _misread_hint(words: list[bytes], dims: int) -> str | None:
    """What to do if the first words begin with a line of dimensions, or end with values."""
    match = _HEADER_AND_WORD.fullmatch(words[0])
    if match and int(match[1]) == dims:
        return (
            "The line feed after a line of dimensions may be missing. "
            f"If all of {fields.shown(words[0])} is the word, say so with `dims={dims}`."
        )
    glued = list(filter(None, map(fields.GLUED_VALUE.search, words)))
    if len(glued) > 1 and 2 * len(glued) > len(words):
        return (
            f"The space before {glued[0][1].decode()} is not an ASCII one, and counts as part of "
            f"the word. Replace it, or say with `dims={dims}` that it is."
        )
    return None


def _surplus_check(lines: list[bytes], dims: int, n_rows: int | None) -> IsSurplus:
    """Which words of several fields have values in them.

    A first line `rows dims` settles that the `2.7` of `python 2.7` belongs to the word, unless most
    lines have more numbers than it says. If these are all the rows, one line that agrees suffices.
    """
    if n_rows is None:
        return fields.ends_with_value
    counts = [fields.count_values(line) for line in lines if line.strip()]
    n_long = sum(count > dims for count in counts)
    if 2 * n_long <= len(lines) or (dims in counts and len(counts) == n_rows):
        return fields.holds_values
    return fields.count_values if n_long > 1 else fields.ends_with_value


def _is_aligned(lines: list[bytes], dims: int, *, exact: bool) -> bool:
    """Whether runs of spaces or tabs separate fields, as in columns, and are not part of words.

    They do if most lines have runs between their values, or most words would end with a space. If
    the words are `exact`, the latter says nothing.
    """
    n_aligned = 0
    for line in lines:
        word = fields.word_before(line, dims)
        has_runs = _RUN_BETWEEN_VALUES.search(line, len(word) + 1) is not None
        ends_with_space = 0 < len(word.rstrip(fields.SEPARATORS)) < len(word)
        n_aligned += has_runs or (ends_with_space and not exact)
    return 2 * n_aligned > len(lines)


def describe_text(
    stream: Stream, *, format: str, lossy: bool = False, dims: int | None = None
) -> dict[str, Any]:
    """The number of words and dimensions; text without a first line `rows dims` is read."""
    has_header = format == "textdims"
    table = open_table(stream, has_header=has_header, dims=dims, chunk_bytes=_SCAN_BYTES)
    if (chunk := next(table.chunks, None)) is not None:
        table.parse(chunk.first(fields.SAMPLE_LINES))  # the errors that `load` has there
        table = replace(table, chunks=chain([chunk], table.chunks))
    if table.n_rows is not None:
        return header.facts(table.n_rows, table.dims)
    n_rows, n_lines = table.count_words(lossy=lossy)
    return header.facts(n_rows, table.dims) | {"repeated_words": (n_lines - n_rows) or None}


def describe_floret(stream: Stream) -> dict[str, Any]:
    """How n-grams are hashed, and the shape of the table, by the first line."""
    header.begin_text(stream)
    settings = header.read_floret_header(stream)
    n_rows, lengths = settings.n_rows, f"{settings.min_n} to {settings.max_n}"
    header.check_rows(stream, n_rows, 2 * settings.dims + 2)
    facts = {"vocabulary": "FloretVocab", "ngram_lengths": lengths, "hashes": settings.n_hashes}
    sizes = {"words": 0, "buckets": n_rows, "rows": n_rows, "dims": settings.dims}
    return header.MATRIX | facts | sizes
