"""Strings that lie in one buffer, in NumPy: which are equal, their hashes, and copies.

Importing this does not import JAX. A string is a start and a length. Eight bytes are read at a
time, as the little-endian number that begins at a byte, so at least eight bytes must follow the
last string.
"""

from typing import Any

import numpy as np

from ffjax._internal.cpus import map_blocks
from ffjax.kernels.fnv import OFFSET_32, fasttext_extend, fasttext_hash

# Longer strings are few; each is taken by itself.
_LONG = 256
# How far numbers of eight bytes are shifted so that 0 to 8 bytes remain.
_SHIFTS = np.arange(64, -8, -8, dtype=np.uint64)
# Bytes copied at a time, and the strings whose copies should stay in the second-level cache.
_COPIED, _BLOCK = 16, 1 << 13
_PAIR = np.dtype("c16")  # NumPy copies complex numbers twice as fast as 16 bytes without a type
# Bytes that follow the last string.
SLACK = 16
_MURMUR, _SHIFT = np.uint64(0xC6A4A7935BD1E995), np.uint64(47)
# Strings hashed at a time: the working set should stay in the second-level cache.
_MURMUR_BLOCK = 1 << 14
_LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(8)], np.uint64)


def words_at(data: np.ndarray, dtype: Any = "<u4") -> np.ndarray:
    """The value of a type that begins at every byte of a buffer, as a view of the buffer.

    Examples:
        >>> words_at(np.frombuffer(b"tea", np.uint8), "<u2").tolist()
        [25972, 24933]
    """
    size = max(0, data.size - np.dtype(dtype).itemsize + 1)
    return np.ndarray(size, dtype, np.ascontiguousarray(data), strides=(1,))


def equal_spans(
    a: np.ndarray, a_starts: np.ndarray, b: np.ndarray, b_starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Which strings of two buffers are equal, bool `[n]`; both strings of a pair are as long."""
    equal = np.ones(len(lengths), bool)
    rows = np.flatnonzero(lengths > 0)
    if rows.size:
        strings, offsets, firsts = _eights(lengths[rows])
        strings = rows[strings]
        numbers = words_at(a, "<u8")[a_starts[strings] + offsets]
        numbers ^= words_at(b, "<u8")[b_starts[strings] + offsets]
        differ = _first_bytes(numbers, lengths[strings] - offsets)
        equal[rows] = np.bitwise_or.reduceat(differ, firsts) == 0
    return equal


def fasttext_hashes(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """FastText's hashes of strings, uint32 `[n]`.

    Examples:
        >>> data = np.frombuffer(b"tea" + bytes(8), np.uint8)
        >>> hex(fasttext_hashes(data, np.array([0]), np.array([3]))[0])
        '0xb401e629'
    """
    hashes = np.full(len(starts), OFFSET_32, np.uint32)
    rows = np.flatnonzero(lengths <= _LONG)
    for i in range(int(lengths[rows].max(initial=0))):
        rows = rows[lengths[rows] > i]
        hashes[rows] = fasttext_extend(hashes[rows], data[starts[rows] + i].astype(np.uint32))
    for row in np.flatnonzero(lengths > _LONG).tolist():
        hashes[row] = fasttext_hash(data[starts[row] : starts[row] + lengths[row]].tobytes())
    return hashes


def keyed_hashes(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, key: np.uint64
) -> tuple[np.ndarray, np.ndarray]:
    """The first eight bytes of strings as numbers, and hashes with an odd key, uint64 `[n]`.

    Strings have a byte or more, and no zeros. Two of the same length of up to 16 bytes are equal if
    both their numbers are.
    """
    numbers = words_at(data, "<u8")
    heads = _first_bytes(numbers[starts], lengths)
    hashes = _mixed(heads, key)
    rows = np.flatnonzero(lengths > 8)
    starts, lengths = starts[rows] + 8, lengths[rows] - 8
    hashes[rows] = _mixed(hashes[rows] ^ _first_bytes(numbers[starts], lengths), key)
    longer = np.flatnonzero(lengths > 8)
    if longer.size:
        rows, starts, lengths = rows[longer], starts[longer] + 8, lengths[longer] - 8
        strings, offsets, firsts = _eights(lengths)
        further = _first_bytes(numbers[starts[strings] + offsets], lengths[strings] - offsets)
        further = _mixed(_mixed(further, key) + offsets.view(np.uint64), key)
        hashes[rows] = _mixed(hashes[rows] ^ np.add.reduceat(further, firsts), key)
    return heads, hashes


def murmur64a_spans(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, seed: int = 1
) -> np.ndarray:
    """MurmurHash64A, with which spaCy makes a number of each word, uint64 `[n]`; its seed is 1.

    Definition: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp

    Examples:
        >>> data = np.frombuffer(b"tea coffee" + bytes(SLACK), np.uint8)
        >>> murmur64a_spans(data, np.array([0, 4]), np.array([3, 6])).tolist()
        [6041671307218480733, 3197928453018144401]
    """
    words = words_at(data, "<u8")
    hashes = np.empty(len(starts), np.uint64)

    def hash_block(begin: int) -> None:
        block = slice(begin, begin + _MURMUR_BLOCK)
        hashes[block] = _murmur64a(words, starts[block], lengths[block], seed)

    map_blocks(hash_block, range(0, len(starts), _MURMUR_BLOCK))
    return hashes


def _murmur64a(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
    hashes = np.uint64(seed) ^ lengths.astype(np.uint64) * _MURMUR
    n_words = lengths >> 3
    for i in range(int(n_words.max(initial=0))):
        longer = np.flatnonzero(n_words > i)  # strings with another word of 8 bytes
        word = words[starts[longer] + 8 * i] * _MURMUR
        word = (word ^ word >> _SHIFT) * _MURMUR
        hashes[longer] = (hashes[longer] ^ word) * _MURMUR
    rest = lengths & 7
    last = words[starts + (lengths - rest)] & _LOW_BYTES[rest]  # as if zeros followed
    hashes = np.where(rest > 0, (hashes ^ last) * _MURMUR, hashes)
    hashes = (hashes ^ hashes >> _SHIFT) * _MURMUR
    return hashes ^ hashes >> _SHIFT


def join_spans(data: np.ndarray, starts: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Copies strings to `out` one after the other, string i to `out[offsets[i]:offsets[i + 1]]`.

    Any bytes may follow the last string.

    Examples:
        >>> data, out = np.frombuffer(b"green tea", np.uint8), np.empty(8, np.uint8)
        >>> join_spans(data, np.array([6, 0]), np.array([0, 3, 8]), out)
        >>> out.tobytes()
        b'teagreen'
    """
    n, lengths = len(starts), np.diff(offsets)
    if int((starts + lengths).max(initial=0)) + _COPIED > data.size:
        data = np.concatenate([data, np.zeros(_COPIED, np.uint8)])
    source = words_at(data, _PAIR)

    def join(begin: int) -> None:
        end = min(begin + _BLOCK, n)
        first, sizes = starts[begin:end], lengths[begin:end]
        begins = offsets[begin:end] - offsets[begin]
        joined = np.empty(offsets[end] - offsets[begin] + _COPIED, np.uint8)
        target = words_at(joined, _PAIR)
        # The last bytes of strings are copied first, as what is copied beyond the end of a string
        # is then overwritten: by the next strings, in the same step or a later one.
        for i in reversed(range(_COPIED, min(int(sizes.max()), _LONG), _COPIED)):
            rows = np.flatnonzero(sizes > i)
            target[begins[rows] + i] = source[first[rows] + i]
        target[begins] = source[first]
        for row in np.flatnonzero(sizes > _LONG).tolist():
            copy = slice(begins[row], begins[row] + sizes[row])
            joined[copy] = data[first[row] : first[row] + sizes[row]]
        out[offsets[begin] : offsets[end]] = joined[:-_COPIED]

    map_blocks(join, range(0, n, _BLOCK))


def _eights(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strings of a byte or more in eights of bytes.

    The string and the offset of each eight, and the first eight of each string.
    """
    counts = lengths + 7 >> 3
    firsts = np.cumsum(counts) - counts
    strings = np.repeat(np.arange(len(counts)), counts)
    return strings, 8 * (np.arange(len(strings)) - firsts[strings]), firsts


def _mixed(numbers: np.ndarray, key: np.uint64) -> np.ndarray:
    """A step of a hash that can be undone."""
    return (numbers ^ numbers >> np.uint64(32)) * key


def _first_bytes(numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The first bytes of numbers of eight, without those that follow."""
    return numbers << _SHIFTS.take(sizes, mode="clip")
