"""How the strings of a `HashTable` are placed: the host's half of the work, and the layout that both halves share.

The layout is described in `ffjax.hash_table`. Here a bucket is one `uint32`:

    bits 15 to 31  first slot of its block, counted from the first slot of its region (2**16 buckets share a region)
    bits 12 to 14  the logarithm of the slots of its block
    bits  0 to 11  pilot
"""

import hashlib
import math
from typing import Any

import numpy as np

PILOT_BITS = 12
SIZE_BITS = 3
BASE_SHIFT = PILOT_BITS + SIZE_BITS
REGION_BITS = 16
# The logarithm of the slots for 0, 1, 2, ... strings in a bucket. Of random pilots at least one in 13 keeps the strings
# apart, so 4096 are plenty. More than 16 strings meet in a bucket in one of 10**9 tables of a million strings.
_BLOCK_BITS = np.array([0, 0, 1, 2, 3, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6], np.uint32)


def within(second: Any, pilot: Any, bits: Any) -> Any:
    """The slot of a string within its block, for NumPy and JAX alike.

    Args:
        second: The second half of the string's hash.
        pilot: The pilot of its bucket.
        bits: The logarithm of the slots of the block, at most 31.

    Returns:
        A number below `2**bits`, as `uint32`.

    Example:
        >>> within(np.array([0, 1 << 31], np.uint32), np.zeros(2, np.uint32), 1)
        array([0, 1], dtype=uint32)
    """
    # The factor is odd, so halves that differ are never made equal; the constant is 2**32 over the golden ratio.
    # Two shifts, since a shift by 32 (a block of one slot) is not defined.
    return ((second * (pilot * np.uint32(0x9E3779B9) | 1)) >> 1) >> (31 - bits)


def n_regions(n_buckets: int) -> int:
    """How many regions the slots are divided into, each with as many slots as every other.

    Example:
        >>> n_regions(2), n_regions(1 << 18)
        (1, 4)
    """
    return max(1, n_buckets >> REGION_BITS)


def key_of(digest: bytes, attempt: int) -> np.ndarray:
    """Key number `attempt` for strings with this digest.

    Example:
        >>> key_of(b"", 0).shape, bool((key_of(b"", 0) == key_of(b"", 1)).all())
        ((2,), False)
    """
    return np.frombuffer(hashlib.sha256(digest + attempt.to_bytes(4, "little")).digest()[:8], "<u4").astype(np.uint32)


def place(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Gives every string a slot of its own.

    Args:
        first: The first half of each string's hash.
        second: The second half.

    Returns:
        `buckets` and `rows`, or `None` when a bucket or a region is too full.

    Example:
        >>> buckets, rows = place(np.array([1, 6], np.uint32), np.array([3, 4], np.uint32))
        >>> buckets.tolist(), rows[:2].tolist()
        ([0, 32768], [1, 0])
    """
    n = len(first)
    n_buckets = 1 << max(n - 1, 0).bit_length()
    regions = n_regions(n_buckets)
    share = -(-n // regions)
    # Blocks have at most 1.133 slots a string when there is a string a bucket; the rest is eight standard deviations.
    region = share + share // 7 + 8 * math.isqrt(share) + 16
    buckets, rows = np.zeros(n_buckets, np.uint32), np.zeros(regions * region, np.int32)
    if n == 0:
        return buckets, rows

    bucket = first & np.uint32(n_buckets - 1)
    order = _argsort(bucket)
    bucket, second = bucket[order], second[order]
    begins = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    sizes = np.diff(begins, append=n)
    if sizes.max() >= len(_BLOCK_BITS):
        return None
    used, bits = bucket[begins], _BLOCK_BITS[sizes]
    slots = np.concatenate([[0], np.cumsum(1 << bits.astype(np.int64))])
    opens = slots[np.searchsorted(used, np.arange(regions) << REGION_BITS)]
    local = slots[:-1] - opens[used >> REGION_BITS]
    if (local + (1 << bits)).max() > region:
        return None
    pilots = _pilots(second, begins, sizes)
    if pilots is None:
        return None
    buckets[used] = (local.astype(np.uint32) << BASE_SHIFT) | (bits << PILOT_BITS) | pilots
    base = (local + (used >> REGION_BITS) * region).astype(np.uint32)
    rows[np.repeat(base, sizes) + within(second, np.repeat(pilots, sizes), np.repeat(bits, sizes))] = order
    return buckets, rows


def _pilots(second: np.ndarray, begins: np.ndarray, sizes: np.ndarray) -> np.ndarray | None:
    """For each bucket the first pilot that gives all its strings different slots."""
    pilots = np.zeros(len(begins), np.uint32)
    for size in range(2, int(sizes.max()) + 1):
        left = np.flatnonzero(sizes == size)
        bits = _BLOCK_BITS[size]
        halves = second[begins[left] + np.arange(size)[:, None]]
        for pilot in range(1 << PILOT_BITS):
            if not left.size:
                break
            slots = within(halves, np.array([pilot], np.uint32), bits)
            apart = np.bitwise_count(np.bitwise_or.reduce(np.uint64(1) << slots.astype(np.uint64))) == size
            pilots[left[apart]] = pilot
            left, halves = left[~apart], halves[:, ~apart]
        if left.size:
            return None
    return pilots


def _argsort(keys: np.ndarray) -> np.ndarray:
    """Stable argsort of uint32: NumPy sorts 16-bit numbers by radix, six times as fast as longer ones."""
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    high = (keys >> 16).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")] if high.any() else order


def refuse_duplicates(data: np.ndarray, offsets: np.ndarray, first: np.ndarray, second: np.ndarray, what: str) -> None:
    """Refuses strings that occur twice.

    Args:
        data: The bytes of the strings.
        offsets: Where each starts, and where the last one ends.
        first: The first half of each string's hash.
        second: The second half.
        what: What the error calls the strings.

    Raises:
        ValueError: Two strings are equal; the error names the first that was there before.

    Example:
        >>> data, same = np.frombuffer(b"aa", np.uint8), np.zeros(2, np.uint32)
        >>> refuse_duplicates(data, np.array([0, 1, 2]), same, same, "words")
        Traceback (most recent call last):
        ValueError: `words`: expected each once, got 'a' as number 0 and again as number 1. Remove one of them.
    """
    # Equal strings have equal hashes, and there are few of those.
    both = (first.astype(np.uint64) << np.uint64(32)) | second
    order = np.argsort(both)
    same = np.flatnonzero(both[order[1:]] == both[order[:-1]])
    seen: dict[bytes, int] = {}
    for row in np.union1d(order[same], order[same + 1]).tolist():
        string = data[offsets[row] : offsets[row + 1]].tobytes()
        earlier = seen.setdefault(string, row)
        if earlier != row:
            raise ValueError(
                f"`{what}`: expected each once, got {string.decode(errors='replace')!r} as number {earlier} "
                f"and again as number {row}. Remove one of them."
            )
