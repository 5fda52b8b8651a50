"""Long runs of opcodes that are read at once: a model has millions of them, all alike.

    texts             SHORT_BINUNICODE or BINUNICODE, text, and MEMOIZE, BINPUT or LONG_BINPUT
    texts seen before BINGET or LONG_BINGET
    words to numbers  BINGET or LONG_BINGET, BININT, BININT1 or BININT2
    words to objects  a text, new or seen before; a class, and its attributes, which are numbers

Texts fill a list up to APPENDS, and words with values a dictionary up to SETITEMS. Python writes
a thousand at a time; after a MARK the next ones follow. A FRAME may stand between two opcodes. What
does not look like this is read opcode by opcode.
"""

import re

import numpy as np

from ffjax.formats.io.binary import ByteSource, Chains
from ffjax.formats.pickles.values import Raw, Skipped, TextRun
from ffjax.kernels.spans_numpy import words_at

_FRAME, _APPENDS, _MARK, _MEMOIZE, _BINPUT, _LONG_BINPUT = 0x95, 0x65, 0x28, 0x94, 0x71, 0x72
_FRAME_BYTES, _LEAST_WINDOW_BYTES, _MOST_WINDOW_BYTES = 9, 1 << 10, 1 << 19
_NONE = np.zeros(0, np.int64)
# Shorter ones are read as usual, so that lists of names are lists of texts.
_LEAST_TEXTS, _LEAST_BYTES, _LEAST_NUMBERED_BYTES, _MOST_OBJECTS = 32, 8, 512, 1 << 14
_FRAME_OR_NONE = rb"(?:\x95.{8})?"
# Most are long ones, without a frame; the pattern begins with these.
_PAIRS = rb"(?:j....J....|%b(?:j....|h.)%b(?:J....|M..|K.))++%bu" % ((_FRAME_OR_NONE,) * 3)
_NUMBERED = re.compile(rb"(?:%b\()*%b" % (_PAIRS, _PAIRS), re.DOTALL)
# After a word: GLOBAL, EMPTY_TUPLE, NEWOBJ, EMPTY_DICT, MARK, attributes, SETITEMS, BUILD.
_GET, _PUT = rb"(?:h.|j....)", rb"(?:q.|r....)"
_OBJECT = re.compile(
    rb"(?:%b|%b)%b\)\x81%b\}%b\(" % (_PUT, _GET, _GET, _PUT, _PUT)
    + rb"(?:%b(?:K.|M..|J....|G.{8}|\x8a\x05.{5}))++ub(u\(?)?" % _GET,
    re.DOTALL,
)
_SEEN = re.compile(rb"((?:h.)*+)((?:j....)*+)e", re.DOTALL)


_SHORT, _LONG = 0x8C, 0x58  # SHORT_BINUNICODE, BINUNICODE
_HEAD_BYTES = {_SHORT: 2, _LONG: 5}  # the opcode and the length of the text
# By the opcode after a text: how many bytes number it.
_PUT_BYTES = np.zeros(256, np.int64)
_PUT_BYTES[[_MEMOIZE, _BINPUT, _LONG_BINPUT]] = 1, 2, 5


class RunFinder:
    """Finds runs in a file, and remembers which numbers of the memo their texts have."""

    def __init__(self, source: ByteSource) -> None:
        self._data = source.data
        self._bytes = source.view(0, len(source))
        self.clear()

    def clear(self) -> None:
        """Forgets the memo: another pickle begins."""
        self._runs: list[tuple[np.ndarray, TextRun]] = []  # with numbers, which ascend
        self._window_bytes = _LEAST_WINDOW_BYTES
        self.n_values = 0

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
        if self._data[start] not in _HEAD_BYTES:
            return self._seen(start)
        run, ends, is_last = self._window(start, n_memo)
        while (n_bytes := int(ends[-1]) - start) >= self._window_bytes < _MOST_WINDOW_BYTES:
            self._window_bytes = min(8 * self._window_bytes, _MOST_WINDOW_BYTES)
            run, ends, is_last = self._window(start, n_memo)
        # There may be many short lists; the next one is probably about as long as this one.
        self._window_bytes = min(max(_LEAST_WINDOW_BYTES, 4 * n_bytes), _MOST_WINDOW_BYTES)
        n = int(np.flatnonzero(np.append(True, is_last))[-1])
        if n < _LEAST_TEXTS:
            return None
        run = TextRun(run.starts[:n], run.stops[:n])
        self._runs.append((n_memo + self.n_values + np.arange(n), run))
        self.n_values += n
        return run, int(ends[n]) + 1

    def objects(self, start: int, n_memo: int) -> tuple[Skipped, int] | None:
        """A run of words, each with an object, and where it ends; the words are remembered."""
        spans, batches, position = [], [(0, start)], start
        while len(spans) < _MOST_OBJECTS:
            begin, end = -1, position
            if position < len(self._data) and self._data[position] == _LONG:
                begin = position + _HEAD_BYTES[_LONG]
                end = begin + int.from_bytes(self._data[position + 1 : begin], "little")
            if (match := _OBJECT.match(self._data, end)) is None:
                break
            spans.append((begin, end))
            position = match.end()
            if match[1]:
                batches.append((len(spans), match.start(1) + 1))
        if len(spans) < _LEAST_TEXTS:
            return None
        starts, stops = np.array(spans).T
        is_new = starts >= 0
        numbers = n_memo + self.n_values + 2 * np.arange(len(spans)) + np.cumsum(is_new) - is_new
        n_right = np.argmin(np.append(self._have(stops, numbers) | ~is_new, False))
        n, stop = [batch for batch in batches if batch[0] <= n_right][-1]
        if not n:
            return None
        new = np.flatnonzero(is_new[:n])
        self._runs.append((numbers[new], TextRun(starts[new], stops[new])))
        self.n_values += 2 * n + len(new)
        return Skipped(start, stop), stop

    def _window(self, start: int, n_memo: int) -> tuple[TextRun, np.ndarray, np.ndarray]:
        """The texts of a run that begin in the window, the bounds of all, and which end a list."""
        code = self._data[start]
        length_bits = 0xFF if code == _SHORT else 0xFFFFFFFF
        window = self._bytes[start : start + self._window_bytes]
        opcodes = start + np.flatnonzero(window == code)
        stops = opcodes + _HEAD_BYTES[code] + (self._u32_at(opcodes + 1) & length_bits)
        is_text = _PUT_BYTES[self._at(stops)] > 0
        opcodes, stops = opcodes[is_text], stops[is_text]
        ends = stops + _PUT_BYTES[self._at(stops)]
        ends += np.where(self._at(ends) == _FRAME, _FRAME_BYTES, 0)
        is_last = self._at(ends) == _APPENDS
        has_next = is_last & (self._at(ends + 1) == _MARK) & (self._at(ends + 2) == code)
        chains, order, position = Chains(opcodes, ends + 2 * has_next), [_NONE], start
        while (stretch := chains.at(position)).stop:
            order.append(np.arange(stretch.start, stretch.stop))
            position = int(chains.ends[stretch.stop - 1])
        texts = np.concatenate(order)
        numbers = n_memo + self.n_values + np.arange(len(texts))
        texts = texts[: np.argmin(np.append(self._have(stops[texts], numbers), False))]
        run = TextRun(opcodes[texts] + _HEAD_BYTES[code], stops[texts])
        return run, np.append(start, ends[texts]), is_last[texts]

    def _have(self, puts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Which of the opcodes after texts give them these numbers."""
        codes = self._at(puts)
        bits = np.where(codes == _BINPUT, 0xFF, 0xFFFFFFFF)
        return (codes == _MEMOIZE) | (self._u32_at(puts + 1) & bits == numbers)

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
        for all_numbers, run in reversed(self._runs):
            rows = np.searchsorted(all_numbers, numbers)
            rows[rows == len(all_numbers)] = 0
            if len(rows) and (all_numbers[rows] == numbers).all():
                return TextRun(run.starts[rows], run.stops[rows])
        return None

    def _at(self, positions: np.ndarray) -> np.ndarray:
        """Bytes of the file; beyond its end the last one."""
        return self._bytes.take(positions, mode="clip")

    def _u32_at(self, positions: np.ndarray) -> np.ndarray:
        """Numbers of four bytes, int64."""
        words = words_at(self._bytes)
        return words[np.minimum(positions, len(words) - 1)].astype(np.int64)
