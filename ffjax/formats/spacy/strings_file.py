r"""spaCy's `strings.json`: a JSON array of strings, usually one a line.

    [\n
      "word",\n
      "caf\u00e9"\n
    ]

A file in this form is cut at its line feeds, and only lines with a backslash are parsed as JSON.
"""

import json
from collections.abc import Sequence

import numpy as np

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.kernels.spans_numpy import SLACK, words_at
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import join_words
from ffjax.strings.string_table import StringTable

_LF, _QUOTE, _BACKSLASH = b'\n"\\'
_BETWEEN = int.from_bytes(b'",\n  "', "little")
_BETWEEN_BYTES = np.uint64((1 << 48) - 1)


def read_strings(source: ByteSource, extra: Sequence[str], *, lossy: bool = False) -> ByteViews:
    """The strings of a file, then those of `extra`, with `SLACK` bytes after the last.

    With `lossy` what is not UTF-8 becomes U+FFFD.
    """
    text = bytes(source.data)
    try:
        return _cut_lines(text, extra) or join_strings([*_parsed(text, lossy), *extra])
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


def join_strings(strings: Sequence[str], data: bytes | np.ndarray = b"") -> ByteViews:
    """Strings in a buffer after other bytes."""
    joined, starts, lengths = join_words(strings)
    buffer = np.concatenate([np.frombuffer(data, np.uint8), joined, np.zeros(SLACK, np.uint8)])
    return ByteViews(buffer, starts + len(data), lengths)


def _parsed(text: bytes, lossy: bool = False) -> list[str]:
    strings = json.loads(text.decode("utf-8", "replace" if lossy else "strict"))
    if not isinstance(strings, list):
        raise TypeError(f"the outermost value is of type {type(strings).__name__}")
    for kind in set(map(type, strings)) - {str}:
        raise TypeError(f"an item is of type {kind.__name__}")
    if lossy:
        utf16 = (string.encode("utf-16", "surrogatepass") for string in strings)
        return [string.decode("utf-16", "replace") for string in utf16]
    "".join(strings).encode()  # an error for lone surrogates
    return strings


def _cut_lines(text: bytes, extra: Sequence[str]) -> ByteViews | None:
    """As `read_strings`, for a file in the form above; `None` if it has another."""
    text = text.rstrip()
    if not (text.startswith(b'[\n  "') and text.endswith(b'"\n]') and text.isascii()):
        return None
    data = np.frombuffer(text, np.uint8)
    # Half the time of `flatnonzero(data == _LF)`: four bytes hold at most one line feed,
    # and the product has its place in the highest byte.
    mask = np.zeros(len(data) + 3 & ~3, bool)
    n_line_feeds = np.count_nonzero(np.equal(data, _LF, out=mask[: len(data)]))
    fours = mask.view("<u4")
    line_feeds = np.flatnonzero(fours != 0)
    if len(line_feeds) < n_line_feeds:
        return None
    line_feeds = 4 * line_feeds + (fours[line_feeds] * np.uint32(0x00010203) >> 24)
    first, last = line_feeds[:-1] + 3, line_feeds[1:] - 2  # the quotes of each line
    last[-1] += 1  # which has no comma
    if not (first < last).all():
        return None
    between = words_at(data, "<u8")[line_feeds[1:-1] - 2] & _BETWEEN_BYTES
    if not (between == _BETWEEN).all():
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
    n = len(lines)
    parsed = join_strings([*strings, *extra], data)
    starts = np.append(first + 1, parsed.starts[n:])
    lengths = np.append(last - first - 1, parsed.lengths[n:])
    starts[lines], lengths[lines] = parsed.starts[:n], parsed.lengths[:n]
    return ByteViews(parsed.data, starts, lengths)
