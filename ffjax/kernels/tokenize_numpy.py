"""Lines into words in NumPy: the twin of `tokenize`."""

from typing import NamedTuple

import numpy as np

from ffjax._internal.arrays import ranges
from ffjax.kernels.spans_numpy import words_at
from ffjax.kernels.tokenize import LINE_END, LINE_FEED, Tokens, is_space

_END = np.frombuffer(LINE_END, "<u4")[0]
_SLACK = 8


class LineWords(NamedTuple):
    """The words of some lines.

    Attributes:
        data: the bytes, uint8; at least eight follow the last word.
        starts: where each word begins, int64 `[n_words]`.
        lengths: its bytes, int64 `[n_words]`.
        splits: the words of line i have numbers from `splits[i]` to `splits[i + 1]`, int64
            `[n_lines + 1]`.
    """

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    splits: np.ndarray


def split_lines(text: bytes) -> LineWords:
    r"""The words of lines that each end with a line feed.

    The last word of each line is `</s>`, which stands for its end. Where it occurs within a line,
    that is where the line ends.

    Examples:
        >>> words = split_lines(b"a bc\n\nd </s> e\n")
        >>> words.lengths.tolist(), words.splits.tolist()
        ([1, 2, 4, 4, 1, 4], [0, 3, 4, 6])
    """
    raw = b"".join([b"\n", text.replace(b"\n", b" %b\n" % LINE_END), bytes(_SLACK)])
    data = np.frombuffer(raw, np.uint8)
    starts, lengths = _words(is_space(data))
    rows = np.flatnonzero(lengths == len(LINE_END))
    ends = rows[words_at(data)[starts[rows]] == _END] + 1
    n_lines = np.count_nonzero(data == LINE_FEED) - 1
    if len(ends) == n_lines:
        return LineWords(data, starts, lengths, np.append(0, ends))

    # Some lines end before their line feed.
    feeds = np.flatnonzero(data == LINE_FEED)
    first = np.searchsorted(starts, feeds)[:-1]
    ends = ends[np.searchsorted(ends, first, side="right")]
    counts = ends - first
    splits = np.append(0, np.cumsum(counts))
    words = ranges(first, counts)
    return LineWords(data, starts[words], lengths[words], splits)


def words_of_lines(text: bytes) -> LineWords:
    r"""The words between ASCII white space of lines that each end with a line feed.

    Examples:
        >>> words = words_of_lines(b"a\tbc\n\nd\0\n")
        >>> words.lengths.tolist(), words.splits.tolist()
        ([1, 2, 2], [0, 2, 2, 3])
    """
    data = np.frombuffer(b"".join([b"\n", text, b" " * _SLACK]), np.uint8)
    # Tab, line feed, carriage return and space.
    starts, lengths = _words((data == 9) | (data == LINE_FEED) | (data == 13) | (data == 32))
    feeds = np.flatnonzero(data == LINE_FEED)
    return LineWords(data, starts, lengths, np.searchsorted(starts, feeds))


def line_bounds(text: np.ndarray, block_bytes: int) -> list[int]:
    """Where to cut a text at ends of lines, into blocks of little more than a number of bytes."""
    bounds = [0]
    while bounds[-1] < text.size:
        end = min(bounds[-1] + block_bytes, text.size)
        step = 1 << 12
        while end < text.size and text[end - 1] != LINE_FEED:
            feeds = np.flatnonzero(text[end : end + step] == LINE_FEED)
            end = end + int(feeds[0]) + 1 if feeds.size else min(end + step, text.size)
            step *= 4
        bounds.append(end)
    return bounds


def count_lines(text: np.ndarray) -> int:
    """How many lines a text has; what follows the last line feed is one if it has bytes."""
    if not text.size:
        return 0
    return int(np.count_nonzero(text == LINE_FEED)) + int(text[-1] != LINE_FEED)


def tokenize_on_host(text: np.ndarray) -> Tokens:
    r"""The words of a text in NumPy, without unused slots.

    Example:
        >>> tokens = tokenize_on_host(np.frombuffer(b"a bc\n\nd", np.uint8))
        >>> tokens.starts.tolist(), tokens.lengths.tolist(), tokens.lines.tolist(), tokens.n_lines
        ([0, 2, 6], [1, 2, 1], [0, 0, 2], 3)
    """
    starts, lengths = _words(np.pad(is_space(text), 1, constant_values=True))
    starts -= 1
    lines = np.searchsorted(np.flatnonzero(text == LINE_FEED), starts)
    starts, lengths, lines = (x.astype(np.int32) for x in (starts, lengths, lines))
    return Tokens(starts, lengths, lines, len(starts), count_lines(text))


def _words(spaces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The starts and lengths of the words of a text that begins and ends with space."""
    edges = np.flatnonzero(spaces[1:] != spaces[:-1]) + 1
    starts = np.ascontiguousarray(edges[::2])
    return starts, edges[1::2] - starts
