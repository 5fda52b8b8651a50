"""Rows of word2vec's binary format in memory, and whether they are shifted.

A word with a space in it shifts all rows after it: the vector begins within the word, and the rest
of the vector becomes a part of the next word. Importing this does not import JAX.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ffjax.errors import FormatError
from ffjax.formats.io.streams import Stream
from ffjax.formats.text.fields import is_plain, shown
from ffjax.formats.text.header import check_rows, facts, read_header
from ffjax.kernels.unit_length import row_norms

# Rows that are checked where not all are read.
SAMPLE_ROWS = 64
_WORD_BYTES = 64
_LF, _SPACE = b"\n "
# Text and shifted bytes, read as numbers, soon give such ratios between rows and within one.
_ABSURD, _TINY = 1e15, 1e-10
_COPIED_NUMBERS = 1 << 16  # at a time, which stay in a CPU's cache
_MAX_SHIFT = 8  # numbers at the start of each vector among which text is looked for
SHIFT_HINT = (
    "A word with a space in it, which this format cannot hold, shifts all rows after it. Write the "
    "file again with `_` for spaces, or as text."
)


@dataclass(frozen=True)
class RowChunk:
    """Complete rows of a file, one after the other."""

    stream: Stream
    n_rows: int  # of the file, as it declares
    dims: int
    data: bytes
    vectors: np.ndarray  # where the vectors begin
    offset: int  # of the bytes in the file
    row: int  # the number of the first row

    def numbers(self, out: np.ndarray | None = None) -> np.ndarray:
        """The vectors, copied, float32 `[n, dims]`."""
        windows = sliding_window_view(np.frombuffer(self.data, np.uint8), 4 * self.dims)
        out = np.empty((len(self.vectors), self.dims), np.float32) if out is None else out
        step = max(1, _COPIED_NUMBERS // self.dims)
        for start in range(0, len(out), step):
            out[start : start + step] = windows[self.vectors[start : start + step]].view("<f4")
        return out

    @cached_property
    def word_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Where words start, after the line feed that may follow a vector, and where they end."""
        data = np.frombuffer(self.data, np.uint8)
        ends = self.vectors - 1
        starts = np.append(0, self.vectors[:-1] + 4 * self.dims)
        starts += (data[starts] == _LF) & (starts < ends)
        for i in np.flatnonzero((data[starts] == _LF) & (starts < ends)).tolist():
            starts[i] = ends[i] - len(self.data[starts[i] : ends[i]].lstrip(b"\n"))
        return starts, ends

    def word(self, i: int) -> bytes:
        """One word."""
        starts, ends = self.word_bounds
        return self.data[starts[i] : ends[i]]

    def check(self) -> None:
        """Raises an error if rows that are not read for their values are shifted."""
        words = [self.word(i) for i in range(len(self.vectors))]
        text, offsets = b" ".join(words), np.cumsum([0, *(len(word) + 1 for word in words)])
        rows = self.numbers()
        lengths = finite_lengths(rows, *row_norms(rows))
        is_utf8 = text.decode(errors="ignore").encode() == text
        self.check_shift(np.frombuffer(text, np.uint8), offsets, lengths, is_utf8=is_utf8)

    def check_shift(
        self, words: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, *, is_utf8: bool
    ) -> None:
        """Checks for what shifted rows have: line feeds in words, absurd vectors, text in them."""
        if len(feeds := np.flatnonzero(words == _LF)):
            i = int(np.searchsorted(offsets, feeds[0], side="right")) - 1
            raise self._shifted(i, "with a line feed in it")
        controls = np.flatnonzero(words < _SPACE)
        is_text = is_utf8 and not len(controls)
        # Rows that are far longer than most, or than any should be if words are not text.
        positive = lengths[lengths > 0]
        usual = np.quantile(positive, 0.5, method="lower") if len(positive) else 1
        is_absurd = lengths / _ABSURD > (usual if is_text else min(usual, 1))
        for i in np.flatnonzero(is_absurd).tolist():
            numbers = np.abs(np.frombuffer(self.data, "<f4", self.dims, self.vectors[i]))
            if not is_text or np.fmin.reduce(numbers) < lengths[i] / _ABSURD:
                raise self._shifted(i, "and a vector of absurd length")
        # A shift by whole numbers leaves lengths as they are. The space after the rest of the word
        # then is the high byte of a number of 1e-19.
        shape = len(self.data) - 4 * self.dims + 1, min(self.dims, _MAX_SHIFT)
        high_bytes = np.ndarray(shape, np.uint8, self.data, offset=3, strides=(1, 4))
        for number in np.flatnonzero(high_bytes[self.vectors] == _SPACE).tolist():
            i, j = divmod(number, shape[1])
            if lengths[i] > _TINY and self._begins_with_text(i, 4 * j + 4):
                raise self._shifted(i, "and a vector that begins with text")
        # After a longer shift comes a word that has bytes of a vector, or the end of the chunk.
        after = np.searchsorted(offsets, controls, side="right") - 1
        for i in {*(after[after > 0] - 1).tolist(), len(lengths) - 1}:
            start = int(self.vectors[i])
            n_bytes = self.data.find(b" ", start) - start
            if 4 * _MAX_SHIFT < n_bytes < 4 * self.dims and self._begins_with_text(i, n_bytes):
                raise self._shifted(i, "and a vector that begins with text")

    def _begins_with_text(self, i: int, n_bytes: int) -> bool:
        text = self.data[self.vectors[i] : self.vectors[i] + n_bytes]
        return is_plain(text) and b"\n" not in text

    def _shifted(self, i: int, problem: str) -> FormatError:
        start = int(self.vectors[i - 1]) + 4 * self.dims if i else 0
        where = {"chunk": f"row {self.row + i + 1} of {self.n_rows}", "field": "word"}
        got, hint = f"{shown(self.word(i))}, {problem}", f"The rows are shifted. {SHIFT_HINT}"
        expected = "a word and its vector"
        return self.stream.error(self.offset + start, expected, got, hint=hint, **where)


def finite_lengths(rows: np.ndarray, norms: np.ndarray, n_infinite: int) -> np.ndarray:
    """The norms of rows, or the largest finite number of those with NaN or infinity."""
    if not n_infinite:
        return norms
    return np.maximum(norms, np.abs(rows).max(axis=1, where=np.isfinite(rows), initial=0))


def find_vectors(data: bytes, dims: int, limit: int) -> np.ndarray:
    """Where the vectors of complete rows begin: after the first space that follows a vector."""
    vectors: list[int] = []
    size, space = 4 * dims, -1 - 4 * dims
    while (space := data.find(b" ", space + size + 1)) >= 0:
        vectors.append(space + 1)
    array = np.array(vectors[:limit], np.int64)
    return array[array <= len(data) - size]


def describe(stream: Stream) -> dict[str, Any]:
    """The number of words and dimensions, by the first line; an error if rows are shifted."""
    n_rows, dims = read_header(stream)
    check_rows(stream, n_rows, 4 * dims + 1)
    data = stream.head(SAMPLE_ROWS * (4 * dims + _WORD_BYTES))
    vectors = find_vectors(data, dims, min(n_rows, SAMPLE_ROWS))
    if len(vectors):
        RowChunk(stream, n_rows, dims, data, vectors, stream.position, 0).check()
    return facts(n_rows, dims)
