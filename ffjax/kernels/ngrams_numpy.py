"""The n-grams of many words at once in NumPy: the twin of `ngram_hashes` for the host.

Words lie one after the other with their markers, and all n-grams of a line are hashed together:

    bytes    uint8 [size]      `<tea><coffee>`
    splits   int64 [words + 1]  where each word begins, and where the last ends

N-grams come word by word, in finalfusion's order: by their first character, longest first.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arrays import ranges
from ffjax.kernels.fnv import OFFSET_32, PRIME_32, PRIME_64, fasttext_extend, length_state
from ffjax.kernels.ngram_hashes import BYTES, CODE_POINTS

# N-grams that start in so many characters are taken at a time: a long word needs little memory.
CHUNK = 1 << 13
# Characters of words whose n-grams are remembered, and of ASCII words where they begin.
_SHORT = 64
_PRIME_32 = np.uint32(PRIME_32)
# Powers of the prime of 64 bits, for so many bytes, of which all but the first are zero.
_PRIMES = [np.uint64(PRIME_64**n % 2**64) for n in range(5)]
# UTF-8 has no longer characters; further bytes of invalid ones are few.
_CHARACTER_BYTES = 4


class Line(NamedTuple):
    """Words as characters.

    Attributes:
        data: the bytes, uint8 `[size]`.
        begins: the first byte of each character, int64 `[characters]`.
        ends: the byte after each character, int64 `[characters]`.
        codes: the code points, uint32 `[characters]`; `None` by the rule `BYTES`.
        remaining: characters from each one to the end of its word, int64 `[characters]`.
        counts: characters in each word, int64 `[words]`.
        splits: the first byte of each word, and the end, int64 `[words + 1]`.
    """

    data: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    codes: np.ndarray | None
    remaining: np.ndarray
    counts: np.ndarray
    splits: np.ndarray


class Ngrams(NamedTuple):
    """Some n-grams of a line.

    Attributes:
        starts: the first character of each n-gram, int64 `[n]`.
        lengths: its characters, int64 `[n]`.
    """

    starts: np.ndarray
    lengths: np.ndarray


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
    if rule == CODE_POINTS:
        return _of_text(data.tobytes().decode("utf-8", "surrogateescape"), data, splits)
    begins = np.flatnonzero((data & 0xC0) != 0x80)
    ends = np.append(begins[1:], data.size)
    return _line(data, begins, ends[: len(begins)], None, splits)


def text_lines(text: str, rule: str, max_n: int) -> Iterator[tuple[Line, slice]]:
    """Cuts one marked word into characters, a long one in overlapping chunks.

    Yields:
        Characters, and those whose n-grams to take.

    Raises:
        ValueError: UTF-8 cannot hold the word, which the rule `CODE_POINTS` does not need.
    """
    raw = text if rule == CODE_POINTS else encode(text)
    if len(raw) <= 2 * CHUNK:
        line = _text_line(raw)
        yield line, slice(0, len(line.begins))
        return
    # Where characters begin, and the end.
    edges: Any = range(len(raw) + 1)
    if isinstance(raw, bytes):
        starts = (np.frombuffer(raw, np.uint8) & 0xC0) != 0x80
        edges = np.flatnonzero(np.append(starts, True))
    total = len(edges) - 1
    step = max(CHUNK, max_n)
    for begin in range(0, max(total, 1), step):
        # One character before tells that this is not the first, `max_n` after complete n-grams.
        before = min(begin, 1)
        line = _text_line(raw[edges[begin - before] : edges[min(begin + step + max_n, total)]])
        yield line, slice(before, before + min(step, total - begin))


def encode(text: str) -> bytes:
    """The UTF-8 bytes of a word, lone surrogates standing for bytes (PEP 383).

    Raises:
        ValueError: UTF-8 cannot hold the word.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"`word`: expected text that UTF-8 can hold, got {text!r} ({error.reason})."
        ) from error


def short_word(
    text: str, rule: str, min_n: int, max_n: int, skip_edges: bool
) -> tuple[Line, Ngrams] | None:
    """A marked word as characters, and its n-grams; `None` unless it is short."""
    if len(text) > _SHORT:
        return None
    if not text.isascii():
        line = _text_line(text if rule == CODE_POINTS else encode(text))
        return line, _of_bytes(len(line.begins), min_n, max_n, skip_edges)[1]
    line, ngrams = _of_bytes(len(text), min_n, max_n, skip_edges)
    data = np.frombuffer(text.encode(), np.uint8)
    codes = data.astype(np.uint32) if rule == CODE_POINTS else None
    return Line(data, line.begins, line.ends, codes, *line[4:]), ngrams


@lru_cache(1024)
def _of_bytes(n: int, min_n: int, max_n: int, skip_edges: bool) -> tuple[Line, Ngrams]:
    """A word of `n` bytes of ASCII, and the n-grams of any word of `n` characters."""
    line = characters(np.zeros(n, np.uint8), np.array([0, n]), BYTES)
    return line, ngrams_of(line, slice(0, n), min_n, max_n, skip_edges)


def _text_line(raw: str | bytes) -> Line:
    if isinstance(raw, bytes):
        data = np.frombuffer(raw, np.uint8)
        return characters(data, np.array([0, data.size]), BYTES)
    try:
        data = np.frombuffer(encode(raw), np.uint8)
    except ValueError:
        data = np.frombuffer(b"".join(map(_encode_any, raw)), np.uint8)
    return _of_text(raw, data, np.array([0, data.size]))


def _encode_any(character: str) -> bytes:
    escaped = "\udc80" <= character <= "\udcff"
    return character.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


def _of_text(text: str, data: np.ndarray, splits: np.ndarray) -> Line:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    sizes = np.ones(len(codes), np.int64)
    if len(codes) < data.size:
        # The surrogates of PEP 383 stand for a byte each.
        wide = (codes >= 0x80) & ~((codes >= 0xDC80) & (codes <= 0xDCFF))
        sizes += wide
        sizes += wide & (codes >= 0x800)
        sizes += codes >= 0x10000
    ends = np.cumsum(sizes)
    return _line(data, ends - sizes, ends, codes, splits)


def _line(data: Any, begins: Any, ends: Any, codes: Any, splits: np.ndarray) -> Line:
    bounds = np.searchsorted(begins, splits)
    counts = bounds[1:] - bounds[:-1]
    if len(counts) > 1:
        # Continuation bytes at the beginning of a word do not belong to the word before it.
        full = counts > 0
        ends[bounds[1:][full] - 1] = splits[1:][full]
    remaining = np.repeat(bounds[1:], counts) - np.arange(bounds[0], bounds[-1])
    return Line(data, begins, ends, codes, remaining, counts, splits)


def ngrams_of(line: Line, span: slice, min_n: int, max_n: int, skip_edges: bool) -> Ngrams:
    """The n-grams that start in some characters; with `skip_edges` not the outermost unigrams."""
    longest = np.minimum(line.remaining[span], max_n)
    numbers = np.maximum(longest - (min_n - 1), 0)
    starts = np.repeat(np.arange(span.start, span.stop), numbers)
    # Lengths count down from the longest at each start.
    ends = np.cumsum(numbers)
    lengths = np.repeat(longest + ends - numbers, numbers) - np.arange(len(starts))
    if skip_edges and min_n == 1:
        last = line.remaining[starts] == 1
        first = np.append(True, line.remaining[:-1] == 1)[starts]
        keep = (lengths > 1) | ~(first | last)
        starts, lengths = starts[keep], lengths[keep]
    return Ngrams(starts, lengths)


def byte_spans(line: Line, ngrams: Ngrams) -> tuple[np.ndarray, np.ndarray]:
    """The first byte of each n-gram and its bytes."""
    begins = line.begins[ngrams.starts]
    return begins, line.ends[ngrams.starts + ngrams.lengths - 1] - begins


def ngram_texts(line: Line, ngrams: Ngrams) -> list[str]:
    """The n-grams as text."""
    starts, lengths = ngrams
    if line.codes is not None:
        text = line.codes.tobytes().decode("utf-32-le", "surrogatepass")
        pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
        return [text[start : start + length] for start, length in pairs]
    raw = line.data.tobytes()
    pairs = zip(*(x.tolist() for x in byte_spans(line, ngrams)), strict=True)
    return [raw[i : i + size].decode("utf-8", "surrogateescape") for i, size in pairs]


def of_word(line: Line, ngrams: Ngrams, word: np.ndarray) -> np.ndarray:
    """Which n-grams belong to the marked word with these bytes."""
    equal = np.diff(line.splits) == word.size
    same = np.flatnonzero(equal)
    equal[same] = (line.data[line.splits[same, None] + np.arange(word.size)] == word).all(1)
    return np.repeat(equal, line.counts)[ngrams.starts]


def finalfusion_hashes(
    line: Line, span: slice, ngrams: Ngrams, min_n: int, max_n: int
) -> np.ndarray:
    """Finalfusion's hashes, uint64 `[n]`."""
    assert line.codes is not None
    values = line.codes[span.start : span.stop + max_n]
    width = len(values)
    top = min(max_n, width, max(line.counts.tolist(), default=0))
    n_rows = top - min_n + 1
    if n_rows <= 0:
        return np.zeros(0, np.uint64)
    # One row for each length, the longest first: the rows that go on are always the first ones.
    # Flat arrays of the same size take NumPy half as long as rows that are broadcast.
    states = _length_states(min_n, top).repeat(width)
    codes = np.concatenate([values] * (n_rows + 1), dtype=np.uint64)
    steps = [(codes, _PRIMES[4])]  # the upper bytes are zero as a rule
    if not line.data.tobytes().isascii() and values.max() > 0xFF:
        low, middle = (codes >> np.uint64(bits) & np.uint64(0xFF) for bits in (0, 8))
        steps = [(low, _PRIMES[1]), (middle, _PRIMES[1]), (codes >> np.uint64(16), _PRIMES[2])]
    for k in range(top):
        size = width * min(n_rows, top - k)
        unfinished = states[:size]
        for numbers, factor in steps:
            unfinished ^= numbers[k : k + size]
            unfinished *= factor
    return states.take((top - ngrams.lengths) * width + (ngrams.starts - span.start))


@lru_cache(64)
def _length_states(min_n: int, top: int) -> np.ndarray:
    """The states of n-grams before their first character, the longest first."""
    return np.array([length_state(n) for n in range(top, min_n - 1, -1)])


def fasttext_hashes(line: Line, span: slice, ngrams: Ngrams, min_n: int, max_n: int) -> np.ndarray:
    """FastText's hashes, uint32 `[n]`."""
    top = min(max_n, max(line.counts.tolist(), default=0))
    begins, ends = (x[span.start : span.stop + top] for x in (line.begins, line.ends))
    states = np.empty((max(top - min_n + 1, 0), len(begins)), np.uint32)
    for n, state in enumerate(fasttext_states(line.data, begins, ends - begins, top), 1):
        if n >= min_n:
            states[n - min_n] = state
    return states.take((ngrams.lengths - min_n) * len(begins) + (ngrams.starts - span.start))


def fasttext_states(
    data: np.ndarray, begins: np.ndarray, sizes: np.ndarray, max_n: int
) -> Iterator[np.ndarray]:
    """FastText's hashes of the n-grams of 1 to `max_n` characters that start at each character.

    All are hashed at once, those beyond the end of a word too, since arithmetic on arrays that stay
    in the cache takes less time than choosing among them.

    Args:
        data: marked words, one after the other.
        begins: where each character begins.
        sizes: the bytes of each.
        max_n: the length of the longest n-grams.

    Yields:
        uint32 `[characters]` for each length; the array is changed to be that of the next length.
    """
    n = len(begins)
    largest = 1 if n == len(data) else int(sizes.max(initial=0))
    # Sign-extended bytes of characters, and the factor of their hash, which is 1 without bytes.
    signed = data.view(np.int8)
    first = _padded(signed.take(begins), max_n)
    later = []
    for i in range(1, min(largest, _CHARACTER_BYTES)):
        exist = sizes > i
        x = _padded(signed.take(begins + i, mode="clip") * exist, max_n)
        later.append((x, _padded(exist * np.int32(PRIME_32 - 1) + 1, max_n)))
    further = [(i, np.flatnonzero(sizes > i)) for i in range(_CHARACTER_BYTES, largest)]

    state = np.full(n, OFFSET_32, np.uint32)
    for k in range(max_n):
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
        yield state


def _padded(values: np.ndarray, n: int) -> np.ndarray:
    """Numbers as uint32, and zeros after them."""
    padded = np.zeros(len(values) + n, np.int32)
    padded[: len(values)] = values
    return padded.view(np.uint32)
