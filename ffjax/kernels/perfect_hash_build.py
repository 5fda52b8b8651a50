"""How the strings of a `HashTable` are given their slots: the host's half of the work."""

import hashlib
from typing import Any

import numpy as np

from ffjax._internal.arrays import padded_size

# More strings than this meet in a bucket in one of 10**10 tables of a million strings, or when strings are equal.
_MOST = 20
# Factors that are tried for a bucket before another key is. When the last pair of the fullest of large tables comes,
# six slots in ten are taken, and one trial in seven succeeds.
_TRIALS = 4096


def slot_of(half: Any, factor: Any, n_slots: int) -> Any:
    """The slot of a string, for NumPy and JAX alike: the upper bits of a product modulo 2**32.

    Args:
        half: The second half of the string's hash.
        factor: The factor of its bucket.
        n_slots: The number of slots, a power of two.

    Returns:
        A number below `n_slots`, as `uint32`.

    Example:
        >>> slot_of(np.array([2**31 + 1], np.uint32), np.array([3], np.uint32), 4)
        array([2], dtype=uint32)
    """
    # Odd halves have inverses. Two shifts, since a shift by 32, where there is one slot, is not defined.
    return (((half | 1) * factor) >> 1) >> (32 - n_slots.bit_length())


def key_of(digest: bytes, attempt: int) -> np.ndarray:
    """Key number `attempt` for strings with this digest.

    Example:
        >>> key_of(b"", 0).shape, bool((key_of(b"", 0) == key_of(b"", 1)).all())
        ((2,), False)
    """
    return np.frombuffer(hashlib.sha256(digest + attempt.to_bytes(4, "little")).digest()[:8], "<u4").astype(np.uint32)


def place(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Gives every string a slot of its own.

    Buckets of several strings come first, the fullest before the others, while most slots are free. All buckets of one
    size try a factor at once; a bucket keeps it if its slots are free and no other bucket took one of them. For buckets
    of one string the factor that leads to a given slot is computed, so these strings just take what is left, in order:
    in a vocabulary sorted by frequency the rows of frequent words lie close together.

    Args:
        first: The first half of each string's hash.
        second: The second half.

    Returns:
        `factors` and `rows`, or `None` when hashes are equal, or a bucket is too full.

    Example:
        >>> factors, rows = place(np.array([1, 6, 8], np.uint32), np.array([3, 5, 2**31], np.uint32))
        >>> factors.shape, rows.shape
        ((2,), (4,))
        >>> rows[slot_of(np.array([3, 5, 2**31], np.uint32), factors[[1, 0, 0]], 4)]
        array([0, 1, 2], dtype=int32)
    """
    n = len(first)
    n_slots = padded_size(n + n // 4)
    # Fewer buckets would be found in the cache more often, but take longer to place.
    n_buckets = max(1, n_slots // 2)
    factors, rows = np.zeros(n_buckets, np.uint32), np.zeros(n_slots, np.int32)
    if n == 0:
        return factors, rows
    bucket = first & np.uint32(n_buckets - 1)
    order = _argsort(bucket)
    ordered = bucket[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])).astype(np.int32)
    sizes = np.diff(begins, append=np.int32(n))
    del ordered
    if sizes.max() > _MOST:
        return None

    free = np.ones(n_slots, bool)
    for size in range(int(sizes.max()), 1, -1):
        strings = order[begins[sizes == size] + np.arange(size)[:, None]]
        if not _place_buckets(strings, bucket, second, factors, rows, free):
            return None
    alone = np.zeros(n, bool)
    alone[order[begins[sizes == 1]]] = True
    alone = np.flatnonzero(alone)
    rows[free] = 0
    slots = np.flatnonzero(free)[: len(alone)]
    rows[slots] = alone
    # The product shall be the slot in its upper bits, and zero below.
    product = (slots.astype(np.uint32) << (32 - n_slots.bit_length())) << 1
    factors[bucket[alone]] = product * _inverse(second[alone] | 1)
    return factors, rows


def _place_buckets(
    strings: np.ndarray,
    bucket: np.ndarray,
    second: np.ndarray,
    factors: np.ndarray,
    rows: np.ndarray,
    free: np.ndarray,
) -> bool:
    """Places buckets of one size; column `i` of `strings` is a bucket. Writes `factors`, `rows` and `free`."""
    halves = second[strings]
    odd = halves | 1
    if any(np.any(odd[i] == odd[j]) for i in range(len(odd)) for j in range(i)):
        return False  # no factor tells them apart
    for trial in range(_TRIALS):
        if not strings.size:
            return True
        # 2**32 over the golden ratio
        factor = np.array([trial * 0x9E3779B9 & 0xFFFFFFFF | 1], np.uint32)
        slots = slot_of(halves, factor, len(rows))
        # `take` with places is several times as fast here as indexing with a mask.
        fits = np.flatnonzero(np.logical_and.reduce(free[slots]))
        wanted, comers = slots.take(fits, axis=1), strings.take(fits, axis=1)
        # Where two want a slot the later one is written. What losers write into free slots is overwritten in the end.
        rows[wanted] = comers
        won = np.flatnonzero(np.logical_and.reduce(rows[wanted] == comers))
        factors[bucket[comers[0].take(won)]] = factor
        free[wanted.take(won, axis=1)] = False
        left = np.ones(strings.shape[1], bool)
        left[fits[won]] = False
        left = np.flatnonzero(left)
        strings, halves = strings.take(left, axis=1), halves.take(left, axis=1)
    return not strings.size


def _inverse(odd: np.ndarray) -> np.ndarray:
    """The inverses of odd numbers modulo 2**32, by Newton's iteration; each step doubles the bits that are right."""
    inverse = (odd * 3) ^ 2  # right in five bits
    for _ in range(3):
        inverse = inverse * (2 - odd * inverse)
    return inverse


def _argsort(keys: np.ndarray) -> np.ndarray:
    """Stable argsort of uint32: NumPy sorts 16-bit numbers by radix, six times as fast as longer ones."""
    order = np.argsort(keys.astype(np.uint16), kind="stable").astype(np.int32)
    high = (keys >> 16).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")] if high.any() else order
