r"""spaCy's `strings.json`: a JSON array of strings, usually one a line.

    [\n
      "word",\n
      "caf\u00e9"\n
    ]

A file in this form is cut at its line feeds, and only lines with a backslash are parsed as JSON.
"""

import json
from typing import NamedTuple

import numpy as np

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.kernels.murmur64a import SLACK
from ffjax.kernels.siphash import words_at
from ffjax.strings.codec import join_words
from ffjax.strings.string_table import StringTable

_LF, _QUOTE, _COMMA, _BACKSLASH = b'\n",\\'
_BEGIN = int.from_bytes(b'\n  "', "little")


class Spans(NamedTuple):
    """Strings in one buffer, in any order, with `SLACK` bytes after the last."""

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, strings: list[str]) -> "Spans":
        """The strings of a list."""
        data, starts, lengths = join_words(strings)
        return cls(np.concatenate([data, np.zeros(SLACK, np.uint8)]), starts, lengths)

    def concat(self, other: "Spans") -> "Spans":
        """The strings of both."""
        data = np.concatenate([self.data, other.data])
        starts = np.concatenate([self.starts, other.starts + len(self.data)])
        return Spans(data, starts, np.concatenate([self.lengths, other.lengths]))


def read_strings(source: ByteSource) -> Spans:
    """The strings of a file."""
    text = bytes(source.data)
    try:
        return _cut_lines(text) or Spans.of(_parsed(text))
    except (ValueError, TypeError, RecursionError) as error:
        offset = getattr(error, "pos", getattr(error, "start", None))
        cursor = Cursor(source, chunk="strings.json")
        expected = "an array of strings in JSON"
        raise cursor.error("strings", expected, f"an error: {error}", offset=offset) from error


def pack_strings(strings: list[str]) -> bytes:
    """The content of a file, in the form above."""
    if not strings:
        return b"[]"
    lines = json.dumps(strings, separators=(",\n  ", ": "))
    return f"[\n  {lines[1:-1]}\n]".encode()


def _parsed(text: bytes) -> list[str]:
    strings = json.loads(text)
    if not isinstance(strings, list):
        raise TypeError(f"the outermost value is of type {type(strings).__name__}")
    for kind in set(map(type, strings)) - {str}:
        raise TypeError(f"an item is of type {kind.__name__}")
    "".join(strings).encode()  # an error for lone surrogates
    return strings


def _cut_lines(text: bytes) -> Spans | None:
    """The strings of a file in the form above, `None` if it has another."""
    text = text.rstrip()
    if not (text.startswith(b'[\n  "') and text.endswith(b'"\n]') and text.isascii()):
        return None
    data = np.frombuffer(text, np.uint8)
    line_feeds = np.flatnonzero(data == _LF)
    first, last = line_feeds[:-1] + 3, line_feeds[1:] - 2  # the quotes of each line
    last[-1] += 1  # which has no comma
    words = words_at(data)  # of four bytes
    has_form = words[line_feeds[:-1]] == _BEGIN
    has_form &= (data[last] == _QUOTE) & (first < last)
    has_form[:-1] &= data[last[:-1] + 1] == _COMMA
    if not has_form.all():
        return None
    backslashes = np.flatnonzero(data == _BACKSLASH)
    lines = np.searchsorted(line_feeds, backslashes) - 1
    lines = lines[np.diff(lines, prepend=-1) > 0]
    # Each line up to its line feed is an item with a comma, which the last one lacks.
    joined = StringTable.from_spans(data, first[lines], line_feeds[lines + 1])
    escaped = joined.host_data[: joined.host_offsets[-1]].tobytes().rstrip(b",")
    n_quotes = np.count_nonzero(data == _QUOTE) - escaped.count(_QUOTE)
    if n_quotes != 2 * (len(first) - len(lines)):
        return None
    try:
        strings = _parsed(b"[%b]" % escaped)
    except ValueError:
        return None  # whose offset is not that in the file
    if len(strings) != len(lines):
        return None
    spans = Spans(data, first + 1, last - first - 1).concat(Spans.of(strings))
    starts, lengths = spans.starts[: len(first)], spans.lengths[: len(first)]
    starts[lines], lengths[lines] = spans.starts[len(first) :], spans.lengths[len(first) :]
    return Spans(spans.data, starts, lengths)
