"""The rows of the n-grams of many words for sums on the host."""

from typing import Any

import numpy as np

from ffjax.kernels.ngrams_numpy import fasttext_states
from ffjax.kernels.ragged import Ragged
from ffjax.vocab.ngrams.hashed import FastTextIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer


def word_rows(
    indexer: FastTextIndexer | PrunedIndexer, data: np.ndarray, splits: np.ndarray
) -> Ragged:
    """As `indexer.ragged_ids`, shortest n-grams first, without the exception for `</s>`.

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
    ends = np.cumsum(begins_character, dtype=np.int32)[splits[1:] - 1]
    is_inner = np.ones(n + max_n, bool)
    is_inner[ends - 1] = False  # the last characters of words
    exist = np.ones(n, bool)
    buckets = np.empty((n, max_n - min_n + 1), np.uint32)
    have_rows = np.empty(buckets.shape, bool)
    divisor = np.uint32(hashing.n_buckets)
    for k, state in enumerate(fasttext_states(data, begins, sizes, max_n)):
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
