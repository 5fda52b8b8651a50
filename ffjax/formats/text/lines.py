"""Lines of text embeddings: where each word ends and its numbers begin, for many lines at once.

    word SP value SP value ... value LF

The last `dims` fields of a line are its values, and whatever stands before them is the word: tokens may hold spaces, or
be one. Fields are separated by spaces or tabs, the word from its values by one of them; spaces and a CR before the LF
are skipped. A line with more fields is an error all the same if the surplus is a value to all appearances.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ffjax.errors import FormatError
from ffjax.formats.text.parse_floats import PAD, Scratch, long_numbers, one_number, short_numbers

# Bytes whose separators are looked for at a time, and numbers that are read at a time: what fits the cache.
_PIECE = 1 << 18
_FIELDS = 1 << 15
_TRAILING = 4  # spaces before the line feed that the fast way skips
_LF, _SPACE, _TAB, _CR = 10, 32, 9, 13
# Lines from which to tell the number of values.
SAMPLE_LINES = 64
_SEPARATORS = b" \t\r\n"
# The byte order mark that some editors put before UTF-8.
_MARK = b"\xef\xbb\xbf"
_FIELD = re.compile(rb"[^ \t\r\n]+")
# An integer may end a token ("windows 10"); these are values.
_VALUE = re.compile(rb"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]\d+|[-+]?(nan|inf)", re.IGNORECASE)

Fail = Callable[..., FormatError]
"""Makes the error for a byte of the block: `fail(offset, field=, expected=, got=, hint=)`."""


@dataclass(frozen=True)
class Lines:
    """What stands in a block of lines; offsets count from the block's first byte.

    Attributes:
        starts: where each word starts, int64 `[lines]`.
        ends: where each word ends.
        values: the numbers, float32 `[lines, dims]`, or `None` if they were not asked for.
        blank: where the empty lines start with which the block ends, or `None`.
    """

    starts: np.ndarray
    ends: np.ndarray
    values: np.ndarray | None
    blank: int | None


def parse_lines(
    buffer: np.ndarray, n_bytes: int, dims: int, fail: Fail, *, exact: bool = False, values: bool = True
) -> Lines:
    """Takes a block of whole lines apart.

    Args:
        buffer: the bytes, from index `PAD` on, padded as `text_parse.padded` does.
        n_bytes: how many; the last one is an LF.
        dims: values a line.
        fail: makes the error for an offset in the block.
        exact: whether surplus fields belong to the word even if they look like values.
        values: whether to read the numbers; without them fields are counted, not checked.

    Raises:
        FormatError: a line with too few or too many values, or one that is no number, or an empty line before others.
    """
    cut = n_bytes
    text = buffer[PAD : PAD + n_bytes]
    if np.count_nonzero(text == _LF) * (2 * dims + 1) > n_bytes:
        # Some lines are too short, and room for `dims` values of each need not fit the memory.
        n_bytes = _whole_lines(text.tobytes(), dims, fail)
    block = _Block(buffer, n_bytes, dims, fail, exact, values)
    start, stop, size = PAD, PAD + n_bytes, _PIECE
    while start < stop:
        text = buffer[start : min(start + size, stop)]
        places = np.flatnonzero(text <= _SPACE)
        kinds = np.take(text, places)
        feeds = np.flatnonzero(kinds == _LF)
        if not len(feeds):
            size *= 2
            continue
        places = places[: feeds[-1] + 1]
        places += start
        block.add(places, kinds[: len(places)], feeds)
        start = int(places[-1]) + 1
    block.read_long()
    lines = block.finish()
    return lines if n_bytes == cut or lines.blank is not None else replace(lines, blank=n_bytes)


def _whole_lines(text: bytes, dims: int, fail: Fail) -> int:
    """How many bytes precede the empty lines at the end.

    Raises:
        FormatError: a line before those has too few values.
    """
    start = 0
    while start < len(text):
        end = text.index(b"\n", start)
        line = text[start:end]
        fields = _FIELD.findall(line)
        given = len(fields) - (line[:1] not in _SEPARATORS)
        if given < dims:
            if not fields and not text[end:].strip(_SEPARATORS):
                break
            raise _too_few(fail, start, dims, given, line)
        start = end + 1
    return start


def _too_few(fail: Fail, at: int, dims: int, given: int, line: bytes) -> FormatError:
    if not line.strip(_SEPARATORS):
        return fail(at, expected=f"a word and {dims} values", got="an empty line")
    return fail(at, expected=f"{dims} values after the word", got=f"{max(given, 0)} in {shown(line)}")


class _Block:
    """A block of lines while it is taken apart; all numbers of bytes are indices into the buffer."""

    def __init__(self, buffer: np.ndarray, n_bytes: int, dims: int, fail: Fail, exact: bool, values: bool) -> None:
        self.buffer, self.dims, self.fail, self.exact = buffer, dims, fail, exact
        feeds = np.count_nonzero(buffer[PAD : PAD + n_bytes] == _LF)
        self.starts = np.empty(feeds + 1, np.int64)  # of the lines, and where the last one ends
        self.starts[0] = PAD
        self.word_ends = np.empty(feeds, np.int64)
        self.odd = np.zeros(feeds, bool)  # lines that are to be read one at a time
        self.surplus = np.zeros(feeds, bool)  # lines whose word holds separators
        self.values = np.empty((feeds, dims), np.float32) if values else None
        self.scratch = Scratch(max(_FIELDS, dims)) if values else None
        self.n = 0
        self.bad: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # entries of `values`, starts, ends

    def add(self, places: np.ndarray, kinds: np.ndarray, feeds: np.ndarray) -> None:
        """Reads the next lines: `places` are their separators, `kinds` the bytes there, `feeds` which are LF."""
        lines = slice(self.n, self.n + len(feeds))
        self.n = lines.stop
        self.starts[lines.start + 1 : lines.stop + 1] = places[feeds] + 1
        bounds, odd, self.surplus[lines] = self._bounds(places, kinds, feeds)
        self.word_ends[lines] = bounds[:, 0]
        if self.values is None:
            odd = odd | (np.diff(bounds, axis=1) <= 1).any(axis=1)
        else:
            self._read_short(bounds, odd, lines)
        self.odd[lines] = odd

    def _bounds(
        self, places: np.ndarray, kinds: np.ndarray, feeds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | bool]:
        """The separators before, between and behind the values, `[lines, dims + 1]`; odd and surplus lines."""
        width = self.dims + 1
        separators = np.diff(feeds, prepend=-1)
        plain = np.count_nonzero(kinds == _SPACE) + len(feeds) == len(kinds)
        if plain and len(places) == width * len(feeds) and (separators == width).all():
            return places.reshape(-1, width), np.zeros(len(feeds), bool), False
        if len(places) < width:
            return np.zeros((len(feeds), width), np.int64), np.ones(len(feeds), bool), False
        line_first = feeds - separators + 1
        last = feeds.copy()
        for _ in range(_TRAILING):
            more = (last > line_first) & (places[last] - 1 == places[last - 1]) & _is_separator(kinds[last])
            if not more.any():
                break
            last -= more
        first = last - self.dims
        odd, surplus = first < line_first, first > line_first
        first = np.clip(first, 0, len(places) - width)
        if not plain:
            odd |= ~_is_separator(sliding_window_view(kinds, width)[first]).all(axis=1)
        return sliding_window_view(places, width)[first], odd, surplus

    def _read_short(self, bounds: np.ndarray, odd: np.ndarray, lines: slice) -> None:
        """Reads the numbers that can be read fast, and remembers the others."""
        assert self.values is not None and self.scratch is not None
        step = max(1, self.scratch.n // self.dims)
        for at in range(0, len(bounds), step):
            part = bounds[at : at + step]
            starts = (part[:, :-1] + 1).reshape(-1)
            ends = np.ascontiguousarray(part[:, 1:]).reshape(-1)
            out = self.values[lines.start + at : lines.start + at + len(part)].reshape(-1)
            bad = np.flatnonzero(short_numbers(self.buffer, starts, ends, out, self.scratch))
            if len(bad):
                bad = bad[~odd[at + bad // self.dims]]
                self.bad.append((bad + (lines.start + at) * self.dims, starts[bad], ends[bad]))

    def read_long(self) -> None:
        """Reads the numbers that were left: long ones, integers, exponents, `nan`."""
        if not self.bad or self.values is None:
            return
        entries, starts, ends = (np.concatenate(arrays) for arrays in zip(*self.bad, strict=True))
        out = self.values.reshape(-1)
        out[entries], again = long_numbers(self.buffer, starts, ends)
        text = memoryview(self.buffer)
        for entry, start, end in zip(*(a[again].tolist() for a in (entries, starts, ends)), strict=True):
            try:
                out[entry] = _float32(bytes(text[start:end]))
            except ValueError:
                self.odd[entry // self.dims] = True

    def finish(self) -> Lines:
        """Reads the odd lines; leaves the empty ones at the end out."""
        n = self.n
        if not self.exact:
            for line in np.flatnonzero(self.surplus & ~self.odd).tolist():
                self._check_word(line, int(self.word_ends[line]))
        for line in np.flatnonzero(self.odd).tolist():
            end = self._read_line(line)
            if end is not None:
                self.word_ends[line] = end
            elif line < n:
                n = line
        empty = int(self.starts[n]) - PAD if n < self.n else None
        if n < self.n and self._has_words(n):
            raise self.fail(empty, expected=f"a word and {self.dims} values", got="an empty line")
        values = None if self.values is None else self.values[:n]
        return Lines(self.starts[:n] - PAD, self.word_ends[:n] - PAD, values, empty)

    def _has_words(self, line: int) -> bool:
        return _FIELD.search(self.buffer[self.starts[line] : self.starts[self.n]]) is not None

    def _read_line(self, line: int) -> int | None:
        """Reads one line by itself: the end of its word, or `None` if it is empty.

        Raises:
            FormatError: the line has no word or not as many values.
        """
        start, dims = int(self.starts[line]), self.dims
        text = self.buffer[start : self.starts[line + 1] - 1].tobytes()
        fields = list(_FIELD.finditer(text))
        if not fields:
            return None
        at, given = start - PAD, len(fields) - (fields[0].start() == 0)
        if given < dims:
            raise _too_few(self.fail, at, dims, given, text)
        word = text[: fields[-dims].start() - 1]
        self._check_word(line, start + len(word))
        for column, field in enumerate(fields[-dims:] if self.values is not None else ()):
            try:
                self.values[line, column] = _float32(field[0])  # type: ignore[index]
            except ValueError:
                raise self.fail(
                    at + field.start(),
                    field=f"value {column + 1} of {dims} of {shown(word)}",
                    expected="a decimal number",
                    got=shown(field[0]),
                ) from None
        return start + len(word)

    def _check_word(self, line: int, end: int) -> None:
        """Refuses a word that ends with a value; that is, a line with a value too many.

        Raises:
            FormatError: it does.
        """
        start = int(self.starts[line])
        word = self.buffer[start:end].tobytes()
        if self.exact or not ends_with_value(word):
            return
        raise self.fail(
            start - PAD,
            expected=f"{self.dims} values after the word",
            got=f"more in {shown(self.buffer[start : self.starts[line + 1] - 1].tobytes())}",
            hint=f"If all of {shown(word)} is the word, say so with `dims={self.dims}`.",
        )


def _is_separator(kinds: np.ndarray) -> np.ndarray:
    return (kinds == _SPACE) | (kinds == _LF) | (kinds == _TAB) | (kinds == _CR)


def ends_with_value(word: bytes) -> bool:
    """Whether what follows the last separator of a word would be taken for a value, as in `python 2.7`."""
    piece = re.split(rb"[ \t\r]", word.rstrip(_SEPARATORS))[1:][-1:]
    return bool(piece) and _VALUE.fullmatch(piece[0]) is not None


def _float32(text: bytes) -> np.float32:
    with np.errstate(over="ignore"):  # beyond float32 lies infinity
        return np.float32(one_number(text))


def count_values(line: bytes) -> int:
    """How many numbers a line ends with; its first field is none of them unless a separator precedes it."""
    fields = list(_FIELD.finditer(line))
    count = 0
    for field in reversed(fields[0 if fields and fields[0].start() else 1 :]):
        try:
            one_number(field[0])
        except ValueError:
            break
        count += 1
    return count


def mark_bytes(head: bytes) -> int:
    """How many bytes of a byte order mark a text begins with; one that a separator follows is a word.

    Examples:
        >>> mark_bytes("\ufeff2 3".encode()), mark_bytes("\ufeff 0.5".encode()), mark_bytes(b"2 3")
        (3, 0, 0)
    """
    return len(_MARK) if head.startswith(_MARK) and head[len(_MARK) : len(_MARK) + 1] not in _SEPARATORS else 0


def ends_with_cr(text: bytes) -> bool:
    r"""Whether lines to all appearances end with a CR alone, as once on the Macintosh: no LF, and each has its values.

    Args:
        text: the beginning of a file, or all of it.

    Examples:
        >>> ends_with_cr(b"one 1 2\rtwo 3 4\r"), ends_with_cr(b"one 1 2\r\ntwo 3 4"), ends_with_cr(b"a\rb 1 2\n")
        (True, False, False)
    """
    if b"\n" in text.rstrip(_SEPARATORS):
        return False
    lines = [line for line in text.split(b"\r", SAMPLE_LINES + 1)[:SAMPLE_LINES] if line.strip(_SEPARATORS)]
    if len(lines) > 2 and not text.endswith(b"\r"):
        lines.pop()  # which may be cut short
    counts = list(map(count_values, lines))
    # The first line may be a header that ends with words.
    return len(counts) > 1 and all(counts[1:]) and (counts[0] > 0 or len(counts) > 2)


def shown(text: bytes, most: int = 60) -> str:
    """Bytes for an error message."""
    word = text.decode("utf-8", errors="backslashreplace")
    return repr(word if len(word) <= most else word[: most - 3] + "...")
