"""The n-grams of many words at once in NumPy: the twin of `ngram_hashes` for the host.

Words lie one after the other with their markers, and all n-grams of a line are hashed together:

    bytes    uint8 [size]      `<tea><coffee>`
    splits   int64 [words + 1]  where each word begins, and where the last ends

N-grams come word by word, in finalfusion's order: by their first character, longest first. By the
rule `BYTES` characters are runs of bytes, by the rule `CODE_POINTS` they are those of a `str`.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arrays import ranges
from ffjax.kernels.fnv import OFFSET_32, PRIME_32, PRIME_64, fasttext_extend, length_state
from ffjax.kernels.ngram_hashes import BYTES

# N-grams that start in this many characters are taken at a time, to save memory for long words.
CHUNK = 1 << 13
# Characters of words whose n-grams are remembered, and of ASCII words where they begin.
_SHORT = 64
_PRIME_32 = np.uint32(PRIME_32)
# Powers of the prime of 64 bits, for so many bytes, of which all but the first are zero.
_PRIMES = [np.uint64(PRIME_64**n % 2**64) for n in range(5)]
# Further bytes of characters, such as emoji and invalid ones, are few.
_CHARACTER_BYTES = 3


class Line(NamedTuple):
    """Words as characters, which have one unit or more: code points of a `str`, else bytes.

    Attributes:
        text: the words, a `str` by the rule `CODE_POINTS`, else `bytes`.
        units: their code points or bytes, `[size]`.
        begins: the first unit of each character, int64 `[characters]`.
        ends: the unit after each character, int64 `[characters]`.
        bounds: the first character of each word, and the end, int64 `[words + 1]`.
        remaining: characters from each one to the end of its word, int64 `[characters]`; 0 where
            no n-grams are to start.
        longest: characters in the longest word.
    """

    text: Any
    units: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    bounds: np.ndarray
    remaining: np.ndarray
    longest: int


class Ngrams(NamedTuple):
    """The n-grams of a line, in a matrix with a row for each character, where they start.

    Attributes:
        lengths: the characters of the n-grams in each column, int64 `[columns]`.
        positions: where n-grams are in the matrix, row by row, int64 `[n]`.
        splits: the number of each word's first n-gram, and the end, int64 `[words + 1]`.
    """

    lengths: np.ndarray
    positions: np.ndarray
    splits: np.ndarray


def mark_words(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, bow: bytes, eow: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Copies words out of a buffer, one after the other, with a marker before and after each."""
    marked = lengths.astype(np.int64) + (len(bow) + len(eow))
    splits = np.append(0, np.cumsum(marked))
    line = data.take(ranges(starts - len(bow), marked), mode="clip")
    for i, byte in enumerate(bow):
        line[splits[:-1] + i] = byte
    for i, byte in enumerate(reversed(eow), start=1):
        line[splits[1:] - i] = byte
    return line, splits


def characters(data: np.ndarray, splits: np.ndarray, rule: str) -> Line:
    """Cuts words into characters by one of the rules of `ngram_hashes`."""
    raw = data.tobytes()
    if rule == BYTES:
        return _of_bytes(raw, splits)
    line = _of_text(raw.decode("utf-8", "surrogateescape"))
    codes = line.units
    # The surrogates of PEP 383 stand for a byte each.
    wide = (codes >= 0x80) & ~((codes >= 0xDC80) & (codes <= 0xDCFF))
    sizes = 1 + wide + (wide & (codes >= 0x800)) + (codes >= 0x10000)
    bounds = np.searchsorted(np.cumsum(sizes), splits, side="right")
    return _line(*line[:4], bounds)


def ngrams_of_word(
    word: str | bytes, min_n: int, max_n: int, skip_edges: bool
) -> Iterator[tuple[Line, Ngrams]]:
    """One marked word as characters, and its n-grams; a long one in overlapping chunks."""
    if len(word) <= _SHORT:
        if word.isascii():
            data = np.frombuffer(word.encode() if isinstance(word, str) else word, np.uint8)
            line, ngrams = _short_word(len(word), min_n, max_n, skip_edges)
            yield Line(word, data, *line[2:]), ngrams
        else:
            line = _word(word)
            yield line, _short_word(line.longest, min_n, max_n, skip_edges)[1]
        return
    # Where characters begin, and the end.
    edges: Any = range(len(word) + 1)
    if isinstance(word, bytes):
        data = np.frombuffer(word, np.uint8)
        edges = np.flatnonzero(np.append(_begin_characters(data), True))
    total = len(edges) - 1
    step = max(CHUNK, max_n)
    for begin in range(0, max(total, 1), step):
        # One character before tells that this is not the first, `max_n` after complete n-grams.
        before = min(begin, 1)
        line = _word(word[edges[begin - before] : edges[min(begin + step + max_n, total)]])
        line.remaining[:before] = 0
        if begin + step < total:
            line.remaining[before + step :] = 0
        yield line, ngrams_of(line, min_n, max_n, skip_edges)


@lru_cache(1024)
def _short_word(n: int, min_n: int, max_n: int, skip_edges: bool) -> tuple[Line, Ngrams]:
    """A word of `n` bytes of ASCII, and the n-grams of any word of `n` characters."""
    line = _word(bytes(n))
    return line, ngrams_of(line, min_n, max_n, skip_edges)


def _word(word: str | bytes) -> Line:
    return _of_text(word) if isinstance(word, str) else _of_bytes(word, np.array([0, len(word)]))


def _of_text(text: str) -> Line:
    """Code points, as those of one word."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    edges = np.arange(len(codes) + 1)
    return _line(text, codes, edges[:-1], edges[1:], edges[[0, -1]])


def _of_bytes(raw: bytes, splits: np.ndarray) -> Line:
    data = np.frombuffer(raw, np.uint8)
    begin = _begin_characters(data)
    begins, bounds = np.flatnonzero(begin), np.append(0, np.cumsum(begin))[splits]
    ends = np.append(begins[1:], data.size)[: len(begins)]
    # Continuation bytes at the beginning of a word do not belong to the word before it.
    full = bounds[1:] > bounds[:-1]
    ends[bounds[1:][full] - 1] = splits[1:][full]
    return _line(raw, data, begins, ends, bounds)


def _begin_characters(data: np.ndarray) -> np.ndarray:
    return (data & 0xC0) != 0x80


def _line(text: Any, units: Any, begins: Any, ends: Any, bounds: np.ndarray) -> Line:
    counts = np.diff(bounds)
    remaining = np.repeat(bounds[1:], counts) - np.arange(len(begins))
    return Line(text, units, begins, ends, bounds, remaining, int(counts.max(initial=0)))


def ngrams_of(
    line: Line, min_n: int, max_n: int, skip_edges: bool, shortest_first: bool = False
) -> Ngrams:
    """The n-grams of words; with `skip_edges` without the outermost unigrams."""
    lengths = np.arange(min(max_n, line.longest), min_n - 1, -1)
    lengths = lengths[::-1] if shortest_first else lengths
    exist = np.empty((len(line.remaining), len(lengths)), bool)
    for column, length in enumerate(lengths.tolist()):
        np.greater_equal(line.remaining, length, out=exist[:, column])
    if skip_edges and min_n == 1 and lengths.size:
        edges = np.append(line.bounds[:-1], line.bounds[1:] - 1)
        exist[np.minimum(edges, len(exist) - 1), lengths == 1] = False
    positions = np.flatnonzero(exist)
    return Ngrams(lengths, positions, positions.searchsorted(line.bounds * len(lengths)))


def leave_out(line: Line, word: bytes) -> None:
    """Takes no n-grams of words that are equal to one of ASCII."""
    if word not in line.text:
        return
    for number in np.flatnonzero(np.diff(line.bounds) == len(word)).tolist():
        first, end = line.bounds[number : number + 2]
        if line.text[line.begins[first] : line.ends[end - 1]] == word:
            line.remaining[first:end] = 0


def unit_spans(line: Line, ngrams: Ngrams) -> tuple[np.ndarray, np.ndarray]:
    """The first unit of each n-gram, and how many it has."""
    starts, columns = np.divmod(ngrams.positions, max(1, len(ngrams.lengths)))
    begins = line.begins[starts]
    return begins, line.ends[starts + ngrams.lengths[columns] - 1] - begins


def ngram_texts(line: Line, ngrams: Ngrams) -> list[str]:
    """The n-grams as text."""
    spans = zip(*(x.tolist() for x in unit_spans(line, ngrams)), strict=True)
    texts = [line.text[begin : begin + size] for begin, size in spans]
    if isinstance(line.text, str):
        return texts
    return [raw.decode("utf-8", "surrogateescape") for raw in texts]


def finalfusion_hashes(line: Line, ngrams: Ngrams) -> np.ndarray:
    """Finalfusion's hashes, uint64 `[n]`."""
    lengths, width = ngrams.lengths, len(line.units)
    if not lengths.size:
        return np.zeros(0, np.uint64)
    n_rows, top = len(lengths), int(lengths[0])
    # One row for each length, the longest first: the rows that go on are always the first ones.
    # Flat arrays of the same size take NumPy half as long as rows that are broadcast.
    states = _length_states(top - n_rows + 1, top).repeat(width)
    codes = np.concatenate([line.units] * (n_rows + 1), dtype=np.uint64)
    steps = [(codes, _PRIMES[4])]  # the upper bytes are zero as a rule
    if not line.text.isascii() and line.units.max() > 0xFF:
        low, middle = (codes >> np.uint64(bits) & np.uint64(0xFF) for bits in (0, 8))
        steps = [(low, _PRIMES[1]), (middle, _PRIMES[1]), (codes >> np.uint64(16), _PRIMES[2])]
    for k in range(top):
        size = width * min(n_rows, top - k)
        unfinished = states[:size]
        for numbers, factor in steps:
            unfinished ^= numbers[k : k + size]
            unfinished *= factor
    return states.reshape(n_rows, width).T.ravel().take(ngrams.positions)


@lru_cache(64)
def _length_states(min_n: int, top: int) -> np.ndarray:
    """The states of n-grams before their first character, the longest first."""
    return np.array([length_state(n) for n in range(top, min_n - 1, -1)])


def fasttext_hashes(line: Line, ngrams: Ngrams) -> np.ndarray:
    """FastText's hashes, uint32 `[n]`.

    All n-grams of the matrix are hashed at once, those beyond the end of a word too, since
    arithmetic on arrays that stay in the cache takes less time than choosing among them.
    """
    data, begins = line.units, line.begins
    n, sizes, columns = len(begins), line.ends - begins, ngrams.lengths.tolist()
    top = max(columns, default=0)
    largest = 1 if n == len(data) else int(sizes.max(initial=0))
    # Sign-extended bytes of characters, and the factor of their hash, which is 1 without bytes.
    signed = np.append(data, np.zeros(_CHARACTER_BYTES, np.uint8)).view(np.int8)
    first = _padded(signed.take(begins), top)
    later = []
    for i in range(1, min(largest, _CHARACTER_BYTES)):
        exist = sizes > i
        x = _padded(signed[i:].take(begins) * exist, top)
        later.append((x, _padded(exist * np.int32(PRIME_32 - 1) + 1, top)))
    further = [(i, np.flatnonzero(sizes > i)) for i in range(_CHARACTER_BYTES, largest)]

    hashes = np.empty((n, len(columns)), np.uint32)
    state = np.full(n, OFFSET_32, np.uint32)
    for k in range(top):
        window = slice(k, k + n)
        state ^= first[window]
        state *= _PRIME_32
        for x, factor in later:
            state ^= x[window]
            state *= factor[window]
        for i, characters in further:
            begin, end = np.searchsorted(characters, [k, k + n])
            at = characters[begin:end]
            x = data[begins[at] + i].astype(np.uint32)
            state[at - k] = fasttext_extend(state[at - k], x)
        if k + 1 in columns:
            hashes[:, columns.index(k + 1)] = state
    return hashes.reshape(-1).take(ngrams.positions)


def _padded(values: np.ndarray, n: int) -> np.ndarray:
    """Numbers as uint32, and zeros after them."""
    padded = np.zeros(len(values) + n, np.int32)
    padded[: len(values)] = values
    return padded.view(np.uint32)
