"""Streams of text cut into chunks of complete lines, which can be parsed on several threads."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ffjax.formats.io.streams import Stream
from ffjax.formats.text.parse_floats import PAD, padded

_READ_BYTES = 1 << 21
_SEARCH_BYTES = 1 << 16
_MAX_LINE_BYTES = 1 << 26
_LF, _SPACE, _TAB = b"\n \t"


@dataclass(frozen=True)
class LineChunk:
    """Complete lines from `PAD` on in `buffer`, at `offset` in the file; the first is `line`."""

    buffer: np.ndarray
    n_bytes: int
    n_lines: int
    offset: int
    line: int

    @property
    def text(self) -> np.ndarray:
        """The bytes of the lines."""
        return self.buffer[PAD : PAD + self.n_bytes]

    def first(self, n_lines: int) -> "LineChunk":
        """The first lines, at most all of them."""
        feeds = np.flatnonzero(self.text == _LF)[:n_lines]
        return replace(self, n_bytes=int(feeds[-1]) + 1, n_lines=len(feeds))


def cut_lines(stream: Stream, line: int = 1, size: int | None = None) -> Iterator[LineChunk]:
    """Reads a stream in chunks of complete lines; the last line gets an LF if it has none."""
    carry, at_end = b"", False
    while not at_end:
        room = max(size or _READ_BYTES, 2 * len(carry))
        buffer = padded(room + 1)
        text = memoryview(buffer)[PAD:]
        text[: len(carry)] = carry
        n_bytes = len(carry) + stream.readinto(text[len(carry) : room])
        offset = stream.position - n_bytes
        at_end = n_bytes < room
        if not n_bytes:
            return
        if not at_end:
            end = _end_of_lines(text, n_bytes)
            if not end and n_bytes > _MAX_LINE_BYTES:
                expected = f"lines of at most {_MAX_LINE_BYTES} bytes"
                raise stream.error(offset, expected, "a longer one")
            carry = bytes(text[end:n_bytes])
            n_bytes = end
        elif text[n_bytes - 1] != _LF:
            text[n_bytes] = _LF
            n_bytes += 1
        if n_bytes:
            n_lines = int(np.count_nonzero(buffer[PAD : PAD + n_bytes] == _LF))
            yield LineChunk(buffer, n_bytes, n_lines, offset, line)
            line += n_lines


def first_lines(chunks: Iterator[LineChunk], limit: int) -> Iterator[LineChunk]:
    """The chunks that have the first lines; nothing after them is read."""
    while limit > 0 and (chunk := next(chunks, None)) is not None:
        yield chunk.first(limit)
        limit -= chunk.n_lines


def _end_of_lines(text: memoryview, n_bytes: int) -> int:
    """The position after the last LF, 0 without one."""
    for end in range(n_bytes, 0, -_SEARCH_BYTES):
        start = max(0, end - _SEARCH_BYTES)
        feed = bytes(text[start:end]).rfind(b"\n")
        if feed >= 0:
            return start + feed + 1
    return 0


def squeeze(chunk: LineChunk) -> tuple[LineChunk, np.ndarray]:
    """The lines with one separator for each run of them, and where their bytes are from."""
    text = chunk.text
    is_separator = (text == _SPACE) | (text == _TAB)
    follows = np.concatenate([[True], (is_separator | (text == _LF))[:-1]])
    positions = np.flatnonzero(~(is_separator & follows))
    squeezed = replace(chunk, buffer=padded(len(positions)), n_bytes=len(positions))
    squeezed.text[:] = text[positions]
    return squeezed, positions
