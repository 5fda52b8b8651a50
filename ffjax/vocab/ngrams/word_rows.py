"""The rows of the n-grams of many words for sums on the host."""

from typing import Any

import numpy as np

from ffjax.kernels.fnv import OFFSET_32, PRIME_32, fasttext_extend
from ffjax.kernels.ragged import Ragged
from ffjax.vocab.ngrams.hashed import FastTextIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer

_PRIME = np.uint32(PRIME_32)
# UTF-8 has no longer characters; further bytes of invalid ones are few.
_CHARACTER_BYTES = 4


def word_rows(
    indexer: FastTextIndexer | PrunedIndexer, data: np.ndarray, splits: np.ndarray
) -> Ragged:
    """As `indexer.ragged_ids`, shortest n-grams first, without the exception for `</s>`.

    All n-grams of a length are hashed at once, those beyond the end of a word too, since arithmetic
    on arrays that stay in the cache takes less time than choosing among them.

    Args:
        indexer: which rows n-grams have.
        data: marked words, one after the other.
        splits: where each begins, and the end; each begins and ends with a character of one byte.

    Examples:
        >>> indexer, text = FastTextIndexer(1000, 3, 3), np.frombuffer(b"<tea><te>", np.uint8)
        >>> rows = word_rows(indexer, text, np.array([0, 5, 9]))
        >>> rows.values.tolist() == indexer.subword_indices("tea") + indexer.subword_indices("te")
        True
        >>> rows.splits.tolist()
        [0, 3, 5]
    """
    hashing: FastTextIndexer = indexer.hashing
    pruned: Any = None if indexer is hashing else indexer
    min_n, max_n = hashing.min_n, hashing.max_n
    begins_character = (data & 0xC0) != 0x80
    begins = np.flatnonzero(begins_character)
    n, sizes = len(begins), np.diff(begins, append=len(data))
    largest = int(sizes.max(initial=0))
    ends = np.cumsum(begins_character, dtype=np.int32)[splits[1:] - 1]
    is_inner = np.ones(n + max_n, bool)
    is_inner[ends - 1] = False  # the last characters of words
    # Sign-extended bytes of characters, and what their hash is multiplied by: 1 if there are none.
    signed = data.view(np.int8)
    values = [_padded(signed[begins], max_n)]
    factors: list[Any] = [np.uint32(PRIME_32)]
    for i in range(1, min(largest, _CHARACTER_BYTES)):
        exist = sizes > i
        values.append(_padded(signed.take(begins + i, mode="clip") * exist, max_n))
        factors.append(_padded(exist * np.int32(PRIME_32 - 1) + 1, max_n))
    further = [np.flatnonzero(sizes > i) for i in range(len(values), largest)]

    state = np.full(n, OFFSET_32, np.uint32)
    exist = np.ones(n, bool)
    buckets = np.empty((n, max_n - min_n + 1), np.uint32)
    have_rows = np.empty(buckets.shape, bool)
    divisor = np.uint32(hashing.n_buckets)
    for k in range(max_n):
        window = slice(k, k + n)
        for x, factor in zip(values, factors, strict=True):
            state ^= x[window]
            state *= factor[window] if factor.ndim else factor
        for i, characters in enumerate(further, len(values)):
            begin, end = np.searchsorted(characters, [k, k + n])
            at = characters[begin:end]
            x = data[begins[at] + i].astype(np.uint32)
            state[at - k] = fasttext_extend(state[at - k], x)
        if k:
            exist &= is_inner[k - 1 : k - 1 + n]
        if k + 1 >= min_n:
            # NumPy divides by one number faster than it takes the remainder.
            remainders = state - state // divisor * divisor
            column = k + 1 - min_n
            buckets[:, column] = remainders
            have_rows[:, column] = exist if pruned is None else exist & pruned.have_rows(remainders)
    if hashing.skip_edge_unigrams and min_n == 1:
        have_rows[:, 0] &= is_inner[:n]
        have_rows[np.append(0, ends[:-1]), 0] = False
    rows = buckets[have_rows].view(np.int32)
    counts = np.append(0, np.cumsum(have_rows, dtype=np.int32))
    splits = counts[np.append(0, ends) * buckets.shape[1]]
    return Ragged(rows if pruned is None else pruned.host_rows(rows), splits.astype(np.int64))


def _padded(values: np.ndarray, n: int) -> np.ndarray:
    """Numbers as uint32, and zeros after them."""
    padded = np.zeros(len(values) + n, np.int32)
    padded[: len(values)] = values
    return padded.view(np.uint32)
