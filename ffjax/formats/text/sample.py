"""What the first lines of a text file tell about all of them."""

import re
from collections import Counter

from ffjax.formats.io.streams import Stream
from ffjax.formats.text.fields import (
    FIELD,
    SAMPLE_LINES,
    SEPARATORS,
    count_values,
    ends_with_number,
    ends_with_value,
    holds_values,
    shown,
    word_before,
)
from ffjax.formats.text.header import HEADER
from ffjax.formats.text.line_chunks import LineChunk
from ffjax.formats.text.lines import IsSurplus

_SAMPLE_BYTES = 1 << 20
_RUN_BETWEEN_VALUES = re.compile(rb"[^ \t][ \t]{2,}[^ \t\r]")


def sample_lines(chunk: LineChunk) -> list[bytes]:
    """The first lines of a chunk, at least one."""
    complete = chunk.text[:_SAMPLE_BYTES].tobytes().split(b"\n")[:-1][:SAMPLE_LINES]
    return complete or chunk.text.tobytes().split(b"\n")[:1]


def count_dims(stream: Stream, lines: list[bytes]) -> int:
    """How many values most lines have."""
    counts = Counter(filter(None, map(count_values, lines)))
    if not counts:
        expected = "a word and its values on each line"
        raise stream.error(0, expected=expected, got=shown(lines[0]))
    dims = counts.most_common(1)[0][0]
    if dims > 1 and count_values(lines[0]) == 1 and HEADER.fullmatch(lines[0] + b"\n"):
        raise stream.error(
            0,
            expected=f"a word and {dims} values",
            got=shown(lines[0]),
            hint="That is a line of dimensions; `load_text_dims` reads files with one.",
        )
    return dims


def surplus_check(lines: list[bytes], dims: int, *, header: bool) -> IsSurplus:
    """Which words of several fields have values in them.

    A first line `rows dims` settles that the `2.7` of `python 2.7` belongs to the word, unless most
    lines have more numbers than it says.
    """
    if not header:
        return ends_with_value
    n_long = sum(count_values(line) > dims for line in lines)
    if 2 * n_long <= len(lines):
        return holds_values
    return ends_with_number if n_long > 1 else ends_with_value


def is_aligned(lines: list[bytes], dims: int, *, exact: bool) -> bool:
    """Whether runs of spaces or tabs separate fields, as in columns, and are not part of words.

    They do if most lines have runs between their values, or most words would end with a space. If
    the words are `exact`, the latter says nothing.
    """
    n_aligned = 0
    for line in lines:
        word = word_before(line, dims)
        n_aligned += bool(
            _RUN_BETWEEN_VALUES.search(line, len(word) + 1)
            or (not exact and word[-1:] and word[-1:] in SEPARATORS and FIELD.search(word))
        )
    return 2 * n_aligned > len(lines)
