"""Long runs of opcodes that are read at once: a model has millions of them, all alike.

    the words         SHORT_BINUNICODE text MEMOIZE   ...   APPENDS
    words to numbers  BINGET or LONG_BINGET, BININT, BININT1 or BININT2   ...   SETITEMS

A FRAME may stand between two opcodes. What does not look like this is read opcode by opcode.
"""

import re
from bisect import bisect_right

import numpy as np

from ffjax.formats.io.binary import ByteSource
from ffjax.formats.pickles.values import Raw, Skipped, TextRun

_TEXT, _MEMOIZE, _FRAME, _APPENDS = 0x8C, 0x94, 0x95, 0x65
_FRAME_BYTES = 9
_WINDOW_BYTES = 1 << 20
_MOST_AT_ONCE = 1 << 12
# Shorter ones are read as usual, so that lists of names are lists of texts.
_LEAST_TEXTS, _LEAST_NUMBERED_BYTES = 32, 512
_FRAME_OR_NONE = rb"(?:\x95.{8})?"
# Most are long ones, without a frame; the pattern begins with these.
_NUMBERED = re.compile(
    rb"(?:j....J....|%b(?:j....|h.)%b(?:J....|M..|K.))++%bu" % ((_FRAME_OR_NONE,) * 3), re.DOTALL
)


class RunFinder:
    """Finds runs in a file, and remembers which numbers of the memo their texts have."""

    def __init__(self, source: ByteSource) -> None:
        self._data = source.data
        self._bytes = source.view(0, len(source))
        self.clear()

    def clear(self) -> None:
        """Forgets the memo: another pickle begins."""
        self._runs: list[TextRun] = []
        self._firsts: list[int] = []
        self.n_texts = 0
        self._window = (0, 0, np.zeros(0, np.int64), np.zeros(0, np.int64))

    def text(self, number: int) -> Raw | None:
        """The text with a number of the memo, if it is in a run."""
        i = bisect_right(self._firsts, number) - 1
        if i < 0 or number - self._firsts[i] >= len(self._runs[i].starts):
            return None
        run, j = self._runs[i], number - self._firsts[i]
        return Raw(int(run.starts[j]), int(run.stops[j]), True)

    def numbered(self, start: int) -> tuple[Skipped, int] | None:
        """A run of values seen before, each with a whole number, and where it ends."""
        match = _NUMBERED.match(self._data, start)
        if match is None or match.end() - start < _LEAST_NUMBERED_BYTES:
            return None
        return Skipped(start, match.end()), match.end()

    def texts(self, start: int, n_memo: int) -> tuple[TextRun, int] | None:
        """A run of texts, and where it ends; `n_memo` is how many other values have numbers."""
        data, blocks, position = self._data, [], start
        try:
            while data[position] != _APPENDS:
                if data[position] == _FRAME:
                    position += _FRAME_BYTES
                elif data[position] == _TEXT:
                    block, position = self._consecutive(position)
                    blocks.append(block)
                    if data[position - 1] != _MEMOIZE:
                        return None
                else:
                    return None
        except IndexError:  # the end of the file
            return None
        if sum(map(len, blocks)) < _LEAST_TEXTS:
            return None
        opcodes = np.concatenate(blocks)
        first, starts = n_memo + self.n_texts, opcodes + 2
        run = TextRun(starts, starts + self._bytes[opcodes + 1], first)
        self._runs.append(run)
        self._firsts.append(first)
        self.n_texts += len(starts)
        return run, position + 1

    def _consecutive(self, position: int) -> tuple[np.ndarray, int]:
        """Opcodes of texts from `position` on, without anything between, and where they end."""
        after = position + 3 + self._data[position + 1]
        candidates, ends = self._candidates(after)
        i = int(np.searchsorted(candidates, after))
        first = np.array([position])
        if i == len(candidates) or candidates[i] != after:
            return first, after
        n = len(candidates[i + 1 : i + _MOST_AT_ONCE])
        follows = ends[i : i + n] == candidates[i + 1 : i + 1 + n]
        n = n if follows.all() else int(np.argmin(follows))
        return np.concatenate([first, candidates[i : i + n + 1]]), int(ends[i + n])

    def _candidates(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Where texts may begin near a position (a word may hold the same bytes), and end."""
        begin, end, candidates, ends = self._window
        if not begin <= position < end:
            # The byte before the first one, and the length of the last.
            begin, end = position, position + _WINDOW_BYTES
            window = self._bytes[begin - 1 : end]
            is_text = (window[:-2] == _MEMOIZE) & (window[1:-1] == _TEXT)
            candidates = np.flatnonzero(is_text) + begin
            ends = candidates + 3 + self._bytes[candidates + 1]
            self._window = begin, end, candidates, ends
        return candidates, ends
