"""Strings that lie in one buffer, in NumPy: which are equal, and their hashes.

A string is a start and a length. Eight bytes are read at a time, as the little-endian number that
begins at a byte, so at least eight bytes must follow the last string.
"""

import secrets

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ffjax.kernels.fnv import OFFSET_32, fasttext_extend, fasttext_hash

# Longer strings are few; each is taken by itself.
_LONG = 256
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)


def distinct(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The distinct strings, and the index of each string among them.

    Strings get a slot in a table by a hash with a random key. The last one that wants a slot gets
    it, with all that are equal to it; the others try another slot.

    Returns:
        `(chosen, numbers)`: positions of distinct strings, int64 `[n_distinct]`, ascending; and
        for each string its index among them, int32 `[n]`.

    Examples:
        >>> data = np.frombuffer(b"to be or not to be" + bytes(8), np.uint8)
        >>> starts = np.array([0, 3, 6, 9, 13, 16])
        >>> chosen, numbers = distinct(data, starts, np.array([2, 2, 2, 3, 2, 2]))
        >>> chosen.tolist(), numbers.tolist()
        ([2, 3, 4, 5], [2, 3, 0, 1, 2, 3])
    """
    n = len(starts)
    bits = max(4, (2 * n).bit_length())
    table = np.zeros(1 << bits, np.int32)
    rows, equal_to = np.arange(n, dtype=np.int32), np.empty(n, np.int32)
    heads = _numbers_at(data)[starts] & _MASKS[np.minimum(lengths, 8)]
    hashes = _hashes(data, starts, lengths, heads)
    while rows.size:
        slots = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        table[slots] = rows
        candidates = table[slots]
        same = (heads[rows] == heads[candidates]) & (lengths[rows] == lengths[candidates])
        long = np.flatnonzero(same & (lengths[rows] > 8))
        pair = data, starts[rows[long]], data, starts[candidates[long]]
        same[long] = equal_spans(*pair, lengths[rows[long]])
        equal_to[rows[same]] = candidates[same]
        rows, hashes = rows[~same], hashes[~same]
        hashes = (hashes ^ hashes >> np.uint64(29)) * np.uint64(0x9E3779B97F4A7C15)
    is_chosen = equal_to == np.arange(n)
    numbers = np.cumsum(is_chosen, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(is_chosen), numbers[equal_to]


def equal_spans(
    a: np.ndarray, a_starts: np.ndarray, b: np.ndarray, b_starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Which strings of two buffers are equal, bool `[n]`; both strings of a pair are as long."""
    a_numbers, b_numbers = _numbers_at(a), _numbers_at(b)
    equal = np.ones(len(lengths), bool)
    rows, i = np.flatnonzero(lengths <= _LONG), 0
    while rows.size:
        sizes = lengths[rows] - i
        differ = a_numbers[a_starts[rows] + i] ^ b_numbers[b_starts[rows] + i]
        same = (differ & _MASKS[np.minimum(sizes, 8)]) == 0
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


def _numbers_at(data: np.ndarray) -> np.ndarray:
    """The number of eight bytes that begins at every byte of a buffer, as a view."""
    first = np.ascontiguousarray(data)[:8].view("<u8")
    return as_strided(first, (data.size - 7,), (1,), writeable=False)


def _hashes(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, heads: np.ndarray
) -> np.ndarray:
    """Hashes of strings with a random key, uint64 `[n]`; `heads` are their first eight bytes."""
    numbers, key = _numbers_at(data), np.uint64(secrets.randbits(64) | 1)
    hashes = (heads ^ heads >> np.uint64(32)) * key
    rows, i = np.flatnonzero((lengths > 8) & (lengths <= _LONG)), 8
    while rows.size:
        sizes = lengths[rows] - i
        mixed = hashes[rows] ^ (numbers[starts[rows] + i] & _MASKS[np.minimum(sizes, 8)])
        hashes[rows] = (mixed ^ mixed >> np.uint64(32)) * key
        i += 8
        rows = rows[sizes > 8]
    for row in np.flatnonzero(lengths > _LONG).tolist():
        raw = data[starts[row] : starts[row] + lengths[row]].tobytes()
        hashes[row] = np.uint64(hash(raw) & (1 << 64) - 1)
    return hashes
