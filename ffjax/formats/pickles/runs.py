"""Long runs of opcodes that are read at once: a model has millions of them, all alike.

    texts             SHORT_BINUNICODE text MEMOIZE; or BINUNICODE text BINPUT or LONG_BINPUT
    texts seen before BINGET or LONG_BINGET
    words to numbers  BINGET or LONG_BINGET, BININT, BININT1 or BININT2

Texts fill a list up to APPENDS, and words with numbers a dictionary up to SETITEMS. Python writes
a thousand at a time; after a MARK the next ones follow. A FRAME may stand between two opcodes. What
does not look like this is read opcode by opcode.
"""

import re
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from ffjax.formats.io.binary import ByteSource
from ffjax.formats.io.chains import Chains
from ffjax.formats.pickles.values import Raw, Skipped, TextRun
from ffjax.kernels.siphash import words_at

_FRAME, _APPENDS, _MARK, _MEMOIZE, _BINPUT, _LONG_BINPUT = 0x95, 0x65, 0x28, 0x94, 0x71, 0x72
_FRAME_BYTES, _WINDOW_BYTES = 9, 1 << 19
_NONE = np.zeros(0, np.int64)
# Shorter ones are read as usual, so that lists of names are lists of texts.
_LEAST_TEXTS, _LEAST_BYTES, _LEAST_NUMBERED_BYTES = 32, 8, 512
_FRAME_OR_NONE = rb"(?:\x95.{8})?"
# Most are long ones, without a frame; the pattern begins with these.
_PAIRS = rb"(?:j....J....|%b(?:j....|h.)%b(?:J....|M..|K.))++%bu" % ((_FRAME_OR_NONE,) * 3)
_NUMBERED = re.compile(rb"(?:%b\()*%b" % (_PAIRS, _PAIRS), re.DOTALL)
_SEEN = re.compile(rb"((?:h.)*+)((?:j....)*+)e", re.DOTALL)


class _Form(NamedTuple):
    """How texts are written: after an opcode their length, and before one that numbers them."""

    head_bytes: int
    length_bits: int
    put_bytes: np.ndarray  # by the first byte; 0 for other opcodes


def _form(head_bytes: int, length_bits: int, put_bytes: dict[int, int]) -> _Form:
    sizes = [put_bytes.get(code, 0) for code in range(256)]
    return _Form(head_bytes, length_bits, np.array(sizes))


_FORMS = {
    0x8C: _form(2, 0xFF, {_MEMOIZE: 1}),
    0x58: _form(5, 0xFFFFFFFF, {_BINPUT: 2, _LONG_BINPUT: 5}),
}


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

    def text(self, number: int) -> Raw | None:
        """The text with a number of the memo, if it is in a run."""
        run = self._numbered_texts(np.array([number]))
        return None if run is None else Raw(int(run.starts[0]), int(run.stops[0]), True)

    def numbered(self, start: int) -> tuple[Skipped, int] | None:
        """A run of values seen before, each with a whole number, and where it ends."""
        match = _NUMBERED.match(self._data, start)
        if match is None or match.end() - start < _LEAST_NUMBERED_BYTES:
            return None
        return Skipped(start, match.end()), match.end()

    def texts(self, start: int, n_memo: int) -> tuple[TextRun, int] | None:
        """A run of texts, and where it ends; `n_memo` is how many other values have numbers."""
        if len(self._data) - start < _LEAST_BYTES:
            return None
        code = self._data[start]
        if code not in _FORMS:
            return self._seen(start)
        form, first = _FORMS[code], n_memo + self.n_texts
        opcodes = start + np.flatnonzero(self._bytes[start : start + _WINDOW_BYTES] == code)
        stops = opcodes + form.head_bytes + (self._u32_at(opcodes + 1) & form.length_bits)
        is_text = form.put_bytes[self._at(stops)] > 0
        opcodes, stops = opcodes[is_text], stops[is_text]
        ends = stops + form.put_bytes[self._at(stops)]
        ends += np.where(self._at(ends) == _FRAME, _FRAME_BYTES, 0)
        is_last = self._at(ends) == _APPENDS
        has_next = is_last & (self._at(ends + 1) == _MARK) & (self._at(ends + 2) == code)
        chains, order, position = Chains(opcodes, ends + 2 * has_next), [_NONE], start
        while (stretch := chains.at(position)).stop:
            order.append(np.arange(stretch.start, stretch.stop))
            position = int(chains.ends[stretch.stop - 1])
        texts = np.concatenate(order)
        texts = texts[: self._n_in_order(stops[texts], first)]
        texts = texts[: np.flatnonzero(np.append(True, is_last[texts]))[-1]]
        if len(texts) < _LEAST_TEXTS:
            return None
        run = TextRun(opcodes[texts] + form.head_bytes, stops[texts])
        self._runs.append(run)
        self._firsts.append(first)
        self.n_texts += len(texts)
        return run, int(ends[texts[-1]]) + 1

    def _n_in_order(self, puts: np.ndarray, first: int) -> int:
        """How many of the opcodes that number texts count on from the first number."""
        numbers, codes = self._u32_at(puts + 1), self._at(puts)
        numbers &= np.where(codes == _BINPUT, 0xFF, 0xFFFFFFFF)
        is_next = (codes == _MEMOIZE) | (numbers == first + np.arange(len(puts)))
        return int(np.argmin(np.append(is_next, False)))

    def _seen(self, start: int) -> tuple[TextRun, int] | None:
        """Texts of one run, by their numbers."""
        match = _SEEN.match(self._data, start)
        if match is None:
            return None
        short, long = (np.frombuffer(group, np.uint8) for group in match.groups())
        numbers = long.reshape(-1, 5)[:, 1:].reshape(-1).view("<u4")
        run = self._numbered_texts(np.append(short[1::2], numbers).astype(np.int64))
        return None if run is None or len(run.starts) < _LEAST_TEXTS else (run, match.end())

    def _numbered_texts(self, numbers: np.ndarray) -> TextRun | None:
        """The texts with some numbers of the memo, if they are all in one run."""
        i = bisect_right(self._firsts, int(numbers[0])) - 1 if len(numbers) else -1
        if i < 0:
            return None
        run, numbers = self._runs[i], numbers - self._firsts[i]
        if numbers.min() < 0 or numbers.max() >= len(run.starts):
            return None
        return TextRun(run.starts[numbers], run.stops[numbers])

    def _at(self, positions: np.ndarray) -> np.ndarray:
        """Bytes of the file; beyond its end the last one."""
        return self._bytes.take(positions, mode="clip")

    def _u32_at(self, positions: np.ndarray) -> np.ndarray:
        """Numbers of four bytes, int64."""
        words = words_at(self._bytes)
        return words[np.minimum(positions, len(words) - 1)].astype(np.int64)
