"""Lines of text embeddings: where each word ends and its values begin, for many lines at once.

    word SP value SP value ... value LF

The last `dims` fields of a line are its values, and everything before them is the word, which may
hold spaces or be one. Fields are separated by spaces or tabs, the word from its values by one of
them; spaces and a CR before the LF are skipped. A line with more fields is an error only if the
surplus looks like a value.

This is the code least likely to be changed by anyone else. Separators of a few thousand lines are
located by NumPy at once; lines that do not have the usual form are read again one at a time, and
that slow path alone decides what is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ffjax._internal.file_arguments import counted
from ffjax.errors import FormatError
from ffjax.formats.text import fields
from ffjax.formats.text.fields import FIELD, shown
from ffjax.formats.text.line_chunks import LineChunk
from ffjax.formats.text.parse_floats import PAD, Scratch, long_numbers, short_numbers

# What fits the cache: bytes searched for separators at once, and numbers read at once.
_SEARCH_BYTES = 1 << 18
_BLOCK_NUMBERS = 1 << 15
_TRAILING_SEPARATORS = 4  # before the line feed, skipped without the slow path
_LF, _SPACE, _TAB, _CR = b"\n \t\r"

# Makes the error for a byte of the block: `fail(offset, expected, got, field=, hint=)`.
Fail = Callable[..., FormatError]
# Whether a word of several fields has values in it, so that its line has too many.
IsSurplus = Callable[[bytes], Any]


@dataclass(frozen=True)
class Lines:
    """The words and values of a block of lines; offsets count from the block's first byte."""

    starts: np.ndarray  # of the words, int64 [lines]
    ends: np.ndarray
    values: Any  # float32 [lines, dims], or None if they are not asked for
    blank: int | None  # where the empty lines start that end the block

    def words(self, text: np.ndarray) -> list[bytes]:
        """The words, cut out of the block's bytes."""
        data = text.tobytes()
        spans = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [data[start:end] for start, end in spans]


def parse_lines(
    chunk: LineChunk, dims: int, fail: Fail, is_surplus: IsSurplus | None, values: bool
) -> Lines:
    """Splits the lines of a chunk.

    Words that are `is_surplus` are an error. Without `values` fields are counted, not read.
    """
    block = _Block(chunk, dims, fail, is_surplus, has_values=values)
    start, stop, size = PAD, PAD + chunk.n_bytes, _SEARCH_BYTES
    while start < stop:
        text = chunk.buffer[start : min(start + size, stop)]
        separators = np.flatnonzero(text <= _SPACE)
        kinds = np.take(text, separators)
        feeds = np.flatnonzero(kinds == _LF)
        if not len(feeds):
            size *= 2
            continue
        separators = separators[: feeds[-1] + 1] + start
        block.add(separators, kinds[: len(separators)], feeds)
        start = int(separators[-1]) + 1
    block.read_long()
    return block.finish()


class _Block:
    """A block of lines that is being parsed; all positions are indices into the buffer."""

    def __init__(
        self, chunk: LineChunk, dims: int, fail: Fail, is_surplus: Any, *, has_values: bool
    ) -> None:
        self.buffer, self.dims = chunk.buffer, dims
        self.fail, self.is_surplus = fail, is_surplus
        n_lines = chunk.n_lines
        # If there are more, some are empty or an error, and `dims` values for each may not fit in
        # memory.
        self.n_most = min(n_lines, chunk.n_bytes // (2 * dims + 1))
        self.starts = np.empty(n_lines + 1, np.int64)  # of the lines, and where the last one ends
        self.starts[0] = PAD
        self.word_ends = np.empty(n_lines, np.int64)
        self.slow = np.zeros(n_lines, bool)  # lines to be read one at a time
        self.surplus = np.zeros(n_lines, bool)  # lines whose word holds separators
        self.values: Any = np.empty((self.n_most, dims), np.float32) if has_values else None
        self.scratch: Any = Scratch(max(_BLOCK_NUMBERS, dims)) if has_values else None
        self.n = 0
        # Numbers that the fast way can't read: entries of `values`, starts, ends.
        self.unread: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, separators: np.ndarray, kinds: np.ndarray, feeds: np.ndarray) -> None:
        """Parses the next lines; `kinds` are the bytes at `separators`, of which `feeds` are LF."""
        lines = slice(self.n, self.n + len(feeds))
        self.n = lines.stop
        self.starts[lines.start + 1 : lines.stop + 1] = separators[feeds] + 1
        if self.n > self.n_most:
            self.slow[lines] = True
            return
        bounds, slow, self.surplus[lines] = self._bounds(separators, kinds, feeds)
        self.word_ends[lines] = bounds[:, 0]
        if self.values is None:
            slow = slow | (np.diff(bounds, axis=1) <= 1).any(axis=1)
        else:
            self._read_short(bounds, slow, lines)
        self.slow[lines] = slow

    def _bounds(
        self, separators: np.ndarray, kinds: np.ndarray, feeds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | bool]:
        """The separators around values, `[lines, dims + 1]`; slow lines, and those with more."""
        n_lines, width = len(feeds), self.dims + 1
        counts = np.diff(feeds, prepend=-1)
        plain = np.count_nonzero(kinds == _SPACE) + n_lines == len(kinds)
        if plain and len(separators) == width * n_lines and (counts == width).all():
            return separators.reshape(-1, width), np.zeros(n_lines, bool), False
        if len(separators) < width:
            return np.zeros((n_lines, width), np.int64), np.ones(n_lines, bool), False
        line_first = feeds - counts + 1
        last = feeds.copy()
        for _ in range(_TRAILING_SEPARATORS):
            adjacent = separators[last] - 1 == separators[last - 1]
            trailing = (last > line_first) & adjacent & _is_separator(kinds[last])
            if not trailing.any():
                break
            last -= trailing
        first = last - self.dims
        slow, surplus = first < line_first, first > line_first
        first = np.clip(first, 0, len(separators) - width)
        if not plain:
            # Other control characters are part of a field, not separators.
            slow |= ~_is_separator(sliding_window_view(kinds, width)[first]).all(axis=1)
        return sliding_window_view(separators, width)[first], slow, surplus

    def _read_short(self, bounds: np.ndarray, slow: np.ndarray, lines: slice) -> None:
        """Reads the numbers that can be read fast, and notes the others."""
        step = max(1, self.scratch.n // self.dims)
        for i in range(0, len(bounds), step):
            block = bounds[i : i + step]
            line = lines.start + i
            starts = (block[:, :-1] + 1).reshape(-1)
            ends = np.ascontiguousarray(block[:, 1:]).reshape(-1)
            out = self.values[line : line + len(block)].reshape(-1)
            bad = np.flatnonzero(short_numbers(self.buffer, starts, ends, out, self.scratch))
            if len(bad):
                bad = bad[~slow[i + bad // self.dims]]
                self.unread.append((bad + line * self.dims, starts[bad], ends[bad]))

    def read_long(self) -> None:
        """Reads the numbers that were noted: long ones, integers, exponents, `nan`."""
        if not self.unread:
            return
        entries, starts, ends = map(np.concatenate, zip(*self.unread, strict=True))
        out = self.values.reshape(-1)
        out[entries], bad = long_numbers(self.buffer, starts, ends)
        text = memoryview(self.buffer)
        remaining = (array[bad].tolist() for array in (entries, starts, ends))
        for entry, start, end in zip(*remaining, strict=True):
            try:
                out[entry] = _float32(bytes(text[start:end]))
            except ValueError:
                self.slow[entry // self.dims] = True

    def finish(self) -> Lines:
        """Reads the slow lines and drops the empty ones at the end."""
        n, blank = self.n, None
        if self.is_surplus is not None:
            for line in np.flatnonzero(self.surplus & ~self.slow).tolist():
                self._check_word(line, int(self.word_ends[line]))
        for line in np.flatnonzero(self.slow).tolist():
            if not FIELD.search(self._line(line)):
                n, blank = line, int(self.starts[line]) - PAD
                break
            self.word_ends[line] = self._read_line(line)
        if n < self.n and FIELD.search(self.buffer[self.starts[n] : self.starts[self.n]]):
            expected = f"a word and {counted(self.dims, 'value')}"
            raise self.fail(blank, expected, "an empty line")
        values = None if self.values is None else self.values[:n]
        return Lines(self.starts[:n] - PAD, self.word_ends[:n] - PAD, values, blank)

    def _read_line(self, line: int) -> int:
        """Reads one line by itself, and returns the end of its word."""
        start, dims = int(self.starts[line]), self.dims
        text = self._line(line)
        matches = list(FIELD.finditer(text))
        offset, count = start - PAD, len(matches) - (matches[0].start() == 0)
        if count < dims:
            separator, hint = fields.other_separator(text), None
            if separator is not None:
                hint = f"Values are separated by spaces or tabs, and here by {separator!r}."
            got = f"{count} in {shown(text)}"
            raise self.fail(offset, f"{counted(dims, 'value')} after the word", got, hint=hint)
        word = text[: matches[-dims].start() - 1]
        self._check_word(line, start + len(word))
        for column, field in enumerate(matches[-dims:] if self.values is not None else ()):
            try:
                self.values[line, column] = _float32(field[0])  # type: ignore[index]
            except ValueError:
                name, got = f"value {column + 1} of {dims} of {shown(word)}", shown(field[0])
                at, hint = offset + field.start(), fields.number_hint(field[0])
                raise self.fail(at, "a decimal number", got, field=name, hint=hint) from None
        return start + len(word)

    def _check_word(self, line: int, end: int) -> None:
        """Checks that a word does not end with a value, that is, that no value is too many."""
        start = int(self.starts[line])
        word = self.buffer[start:end].tobytes()
        if self.is_surplus is None or not self.is_surplus(word):
            return
        hint = f"If all of {shown(word)} is the word, say so with `dims={self.dims}`."
        if separator := fields.stuck_separator(word):
            hint = (
                f"Values are separated by spaces or tabs alone, and here by `{separator} `. Remove "
                f"the others, as in `tr -d '{separator}' < OLD > NEW`."
            )
        elif fields.holds_values(word):
            hint = f"A line feed may be missing. {hint}"
        expected, text = f"{counted(self.dims, 'value')} after the word", self._line(line)
        raise self.fail(start - PAD, expected, f"more in {shown(text)}", hint=hint)

    def _line(self, line: int) -> bytes:
        return self.buffer[self.starts[line] : self.starts[line + 1] - 1].tobytes()


def _is_separator(kinds: np.ndarray) -> np.ndarray:
    return (kinds == _SPACE) | (kinds == _LF) | (kinds == _TAB) | (kinds == _CR)


def _float32(text: bytes) -> np.float32:
    with np.errstate(over="ignore"):  # larger numbers become infinity
        return np.float32(fields.one_number(text))
