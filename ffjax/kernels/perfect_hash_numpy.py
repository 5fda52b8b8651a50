"""Finding strings in a `HashTable` on the host, without a `dict` of all of its strings."""

import numpy as np
from jaxtyping import Int, Int32, UInt8

from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_build import slot_of
from ffjax.kernels.siphash import hash_spans


def find_numpy(
    table: HashTable,
    data: UInt8[np.ndarray, " capacity"],
    offsets: Int32[np.ndarray, " n_plus_1"],
    strings: UInt8[np.ndarray, " size"],
    starts: Int[np.ndarray, " n"],
    lengths: Int[np.ndarray, " n"],
) -> Int32[np.ndarray, " n"]:
    """As `find`, for strings that lie in one buffer; at least 4 bytes follow the last.

    Examples:
        >>> import ffjax
        >>> words = ffjax.StringTable.from_strings(["an", "orange"])
        >>> table = HashTable.build(words.data, words.offsets)
        >>> strings = np.frombuffer(b"orange apple   ", np.uint8)
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
    same = offsets[ids + 1] - begins == lengths
    # The bytes of all candidates, one string after the other.
    at = np.flatnonzero(same & (lengths > 0))
    sizes = lengths[at].astype(np.int64)
    firsts = np.cumsum(sizes) - sizes
    positions = np.arange(sizes.sum())
    differ = (
        strings[np.repeat(starts[at] - firsts, sizes) + positions]
        != data[np.repeat(begins[at] - firsts, sizes) + positions]
    )
    if at.size:
        same[at] = ~np.logical_or.reduceat(differ, firsts)
    return np.where(same, ids, np.int32(-1))
