"""The host's half of a `HashTable`: its strings get their slots, and a few are found in NumPy."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int, Int32, UInt8

from ffjax._internal.arrays import padded_size
from ffjax.kernels.siphash import hash_spans, slot_of
from ffjax.kernels.spans_numpy import equal_spans, keyed_hashes

# More strings than this meet in a bucket in one of 10**10 tables of a million strings, or if some
# are equal.
_MOST = 20
# Factors to try for a bucket before drawing another key. When the last pair of the fullest of large
# tables is placed, six slots in ten are taken, and one trial in seven succeeds.
_TRIALS = 4096
# 2**64 and 2**32 over the golden ratio.
_HASH_KEY, _FACTOR = np.uint64(0x9E3779B97F4A7C15), 0x9E3779B9


def key_of(digest: bytes, attempt: int) -> np.ndarray:
    """Key number `attempt` for strings with this digest.

    Example:
        >>> key_of(b"", 0).shape, bool((key_of(b"", 0) == key_of(b"", 1)).all())
        ((2,), False)
    """
    key = hashlib.sha256(digest + attempt.to_bytes(4, "little")).digest()[:8]
    return np.frombuffer(key, "<u4").astype(np.uint32)


def place(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Gives every string a slot of its own.

    Buckets of several strings come first, the fullest before the others, while most slots are
    free. All buckets of one size try a factor at once; a bucket keeps it if its slots are free and
    no other bucket took one of them. For a bucket of one string, the factor that leads to a given
    slot is computed, so these strings take the remaining slots in order: in a vocabulary sorted by
    frequency the rows of frequent words lie close together.

    Returns `factors` and `rows`, or `None` when hashes are equal, or a bucket is too full.

    Example:
        >>> first, second = np.array([1, 6, 8], np.uint32), np.array([3, 5, 2**31], np.uint32)
        >>> factors, rows = place(first, second)
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


def with_slack(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A buffer in which 8 bytes or more follow the last string."""
    enough = data.size >= offsets[-1] + 8
    return data if enough else np.concatenate([data, np.zeros(8, np.uint8)])


def duplicates(
    data: UInt8[np.ndarray, " size"], offsets: Int[np.ndarray, " n_plus_1"]
) -> Iterator[tuple[int, int]]:
    """Pairs `(first, again)` for each string that occurred before, by `again`.

    Only strings with equal hashes are compared.

    Example:
        >>> list(duplicates(np.frombuffer(b"aba", np.uint8), np.arange(4)))
        [(0, 2)]
    """
    data = with_slack(data, offsets)
    starts, lengths = offsets[:-1].astype(np.int64), np.diff(offsets)
    _, hashes = keyed_hashes(data, starts, lengths, _HASH_KEY)
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    first_of: dict[bytes, int] = {}
    for i in np.flatnonzero(np.isin(hashes, repeated)).tolist():
        first = first_of.setdefault(data[offsets[i] : offsets[i + 1]].tobytes(), i)
        if first != i:
            yield first, i


def find_numpy(
    table: Any,
    data: UInt8[np.ndarray, " capacity"],
    offsets: Int32[np.ndarray, " n_plus_1"],
    strings: UInt8[np.ndarray, " size"],
    starts: Int[np.ndarray, " n"],
    lengths: Int[np.ndarray, " n"],
) -> Int32[np.ndarray, " n"]:
    """As `find`, for strings that lie in one buffer; at least 8 bytes follow the last.

    Examples:
        >>> import ffjax
        >>> words = ffjax.StringTable.from_strings(["an", "orange"])
        >>> table = ffjax.SimpleVocab(words).index
        >>> strings = np.frombuffer(b"orange apple" + bytes(8), np.uint8)
        >>> spans = strings, np.array([0, 7]), np.array([6, 5])
        >>> find_numpy(table, words.data, words.offsets, *spans)
        array([ 1, -1], dtype=int32)
    """
    if offsets.size <= 1 or not len(starts):
        return np.full(len(starts), -1, np.int32)
    first, second = hash_spans(strings, starts, lengths, table.key)
    factors, rows = np.asarray(table.factors), np.asarray(table.rows)
    ids = rows[slot_of(second, factors[first & np.uint32(factors.size - 1)], rows.size)]
    begins = offsets[ids].astype(np.int64)
    same = np.flatnonzero(offsets[ids + 1] - begins == lengths)
    equal = equal_spans(strings, starts[same], data, begins[same], lengths[same])
    numbers = np.full(len(starts), -1, np.int32)
    numbers[same[equal]] = ids[same[equal]]
    return numbers


def _place_buckets(
    strings: np.ndarray,
    bucket: np.ndarray,
    second: np.ndarray,
    factors: np.ndarray,
    rows: np.ndarray,
    free: np.ndarray,
) -> bool:
    """Places buckets of one size, the columns of `strings`; writes `factors`, `rows`, `free`."""
    halves = second[strings]
    factors_of = halves | 1
    if any(np.any(factors_of[i] == factors_of[j]) for i in range(len(halves)) for j in range(i)):
        return False  # no factor tells them apart
    for trial in range(_TRIALS):
        if not strings.size:
            return True
        factor = np.array([trial * _FACTOR & 0xFFFFFFFF | 1], np.uint32)
        slots = slot_of(halves, factor, len(rows))
        # `take` with indices is several times as fast here as indexing with a mask.
        fits = np.flatnonzero(np.logical_and.reduce(free[slots]))
        targets, candidates = slots.take(fits, axis=1), strings.take(fits, axis=1)
        # Of two candidates for a slot the later one is written. Rows that losers write into free
        # slots are overwritten in the end.
        rows[targets] = candidates
        won = np.flatnonzero(np.logical_and.reduce(rows[targets] == candidates))
        factors[bucket[candidates[0].take(won)]] = factor
        free[targets.take(won, axis=1)] = False
        is_remaining = np.ones(strings.shape[1], bool)
        is_remaining[fits[won]] = False
        remaining = np.flatnonzero(is_remaining)
        strings, halves = strings.take(remaining, axis=1), halves.take(remaining, axis=1)
    return not strings.size


def _inverse(numbers: np.ndarray) -> np.ndarray:
    """The inverses of odd numbers modulo 2**32, by Newton's iteration."""
    inverse = (numbers * 3) ^ 2  # right in five bits, and each step doubles them
    for _ in range(3):
        inverse = inverse * (2 - numbers * inverse)
    return inverse


def _argsort(keys: np.ndarray) -> np.ndarray:
    """Stable argsort of uint32. NumPy sorts 16-bit numbers by radix, six times as fast."""
    order = np.argsort(keys.astype(np.uint16), kind="stable").astype(np.int32)
    high = (keys >> 16).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")] if high.any() else order
