"""Which strings of a buffer occur twice."""

import numpy as np
from jaxtyping import Int, Int64, UInt8, UInt32

from ffjax.kernels.spans_numpy import keyed_hashes

_KEY = np.uint64(0x9E3779B97F4A7C15)
# In the order of the second of each pair.
Pairs = Int64[np.ndarray, "pairs 2"]


def duplicates(
    data: UInt8[np.ndarray, " size"],
    offsets: Int[np.ndarray, " n_plus_1"],
    hashes: tuple[UInt32[np.ndarray, " n"], UInt32[np.ndarray, " n"]],
) -> Pairs:
    """Pairs `(first, again)` for each string that occurred before, by `again`.

    Only strings with equal hashes are compared, so that few are looked at.

    Example:
        >>> data, zeros = np.frombuffer(b"aba", np.uint8), np.zeros(3, np.uint32)
        >>> duplicates(data, np.arange(4), (zeros, zeros)).tolist()
        [[0, 2]]
    """
    both = (hashes[0].astype(np.uint64) << np.uint64(32)) | hashes[1]
    order = np.argsort(both)
    ordered = both[order]
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])
    candidates = np.union1d(order[equal], order[equal + 1]).tolist()
    first_of: dict[bytes, int] = {}
    pairs = []
    for i in candidates:
        first = first_of.setdefault(data[offsets[i] : offsets[i + 1]].tobytes(), i)
        if first != i:
            pairs.append((first, i))
    return np.array(pairs, np.int64).reshape(-1, 2)


def may_repeat(data: UInt8[np.ndarray, " size"], offsets: Int[np.ndarray, " n_plus_1"]) -> bool:
    """Whether two strings have the same hash; if not, all differ. Much faster than `duplicates`.

    Example:
        >>> may_repeat(np.frombuffer(b"aba" + bytes(8), np.uint8), np.arange(4))
        True
    """
    starts, lengths = offsets[:-1].astype(np.int64), np.diff(offsets)
    _, hashes = keyed_hashes(data, starts, lengths, _KEY)
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())
