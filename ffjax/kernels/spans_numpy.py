"""Strings that lie in one buffer, in NumPy: which are equal, their hashes, and copies.

A string is a start and a length. Eight bytes are read at a time, as the little-endian number that
begins at a byte, so at least eight bytes must follow the last string.
"""

import numpy as np

from ffjax._internal.cpus import map_blocks
from ffjax.kernels.byte_words import words_at
from ffjax.kernels.fnv import OFFSET_32, fasttext_extend, fasttext_hash

# Longer strings are few; each is taken by itself.
_LONG = 256
# How far numbers of eight bytes are shifted so that 0 to 8 bytes remain.
_SHIFTS = np.arange(64, -8, -8, dtype=np.uint64)
# Bytes copied at a time, and the strings whose copies should stay in the second-level cache.
_COPIED, _BLOCK = 16, 1 << 13
_PAIR = np.dtype("c16")  # NumPy copies complex numbers twice as fast as 16 bytes without a type


def equal_spans(
    a: np.ndarray, a_starts: np.ndarray, b: np.ndarray, b_starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Which strings of two buffers are equal, bool `[n]`; both strings of a pair are as long."""
    a_numbers, b_numbers = words_at(a, "<u8"), words_at(b, "<u8")
    equal = np.ones(len(lengths), bool)
    rows, i = np.flatnonzero((lengths > 0) & (lengths <= _LONG)), 0
    while rows.size:
        sizes = lengths[rows] - i
        differ = a_numbers[a_starts[rows] + i] ^ b_numbers[b_starts[rows] + i]
        same = _first_bytes(differ, sizes) == 0
        equal[rows] = same
        i += 8
        rows = rows[same & (sizes > 8)]
    for row in np.flatnonzero(lengths > _LONG).tolist():
        begin, other, size = a_starts[row], b_starts[row], lengths[row]
        equal[row] = np.array_equal(a[begin : begin + size], b[other : other + size])
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
    hashes = (heads ^ heads >> np.uint64(32)) * key
    rows = np.flatnonzero((lengths > 8) & (lengths <= _LONG))
    begins, sizes, mixed = starts.take(rows), lengths.take(rows), hashes.take(rows)
    while rows.size:
        begins += 8
        sizes -= 8
        mixed ^= _first_bytes(numbers[begins], sizes)
        mixed = (mixed ^ mixed >> np.uint64(32)) * key
        hashes[rows] = mixed
        longer = np.flatnonzero(sizes > 8)
        rows, begins, sizes, mixed = (x.take(longer) for x in (rows, begins, sizes, mixed))
    prefix = key.tobytes()  # Python's own key may be fixed, by PYTHONHASHSEED
    for row in np.flatnonzero(lengths > _LONG).tolist():
        raw = prefix + data[starts[row] : starts[row] + lengths[row]].tobytes()
        hashes[row] = np.uint64(hash(raw) & (1 << 64) - 1)
    return heads, hashes


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


def _first_bytes(numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The first bytes of numbers of eight, without those that follow."""
    return numbers << _SHIFTS.take(sizes, mode="clip")

