"""The rows of the n-grams of many words for sums on the host, where their order does not matter."""

import numpy as np

from ffjax.kernels.ngram_hashes import BYTES
from ffjax.kernels.ngrams_numpy import characters, fasttext_states
from ffjax.kernels.ragged import Ragged
from ffjax.vocab.ngrams.hashed import FastTextIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer


def word_rows(
    indexer: FastTextIndexer | PrunedIndexer, data: np.ndarray, splits: np.ndarray
) -> Ragged:
    """As `indexer.ragged_ids`, shortest n-grams first, without the exception for `</s>`.

    Examples:
        >>> indexer, text = FastTextIndexer(1000, 3, 3), np.frombuffer(b"<tea><te>", np.uint8)
        >>> rows = word_rows(indexer, text, np.array([0, 5, 9]))
        >>> rows.values.tolist() == indexer.subword_indices("tea") + indexer.subword_indices("te")
        True
        >>> rows.splits.tolist()
        [0, 3, 5]
    """
    hashing = indexer.hashing
    line = characters(data, splits, BYTES)
    states = fasttext_states(line, slice(0, len(line.begins)), hashing.min_n, hashing.max_n)
    divisor = np.uint32(hashing.n_buckets)
    # NumPy divides by one number faster than it takes the remainder.
    rows = (states - states // divisor * divisor).astype(np.int32)
    if indexer.kept_buckets is not None:
        rows = indexer.host_rows(rows)
    lengths = np.arange(hashing.min_n, hashing.min_n + rows.shape[1], dtype=np.int32)
    exist = (rows >= 0) & (line.remaining.astype(np.int32)[:, None] >= lengths)
    if hashing.skip_edge_unigrams and hashing.min_n == 1 and exist.size:
        is_last = line.remaining == 1
        exist[:, 0] &= ~(is_last | np.append(True, is_last[:-1]))
    starts = np.append(0, np.cumsum(line.counts)) * rows.shape[1]
    return Ragged(rows[exist], np.append(0, np.cumsum(exist))[starts])
