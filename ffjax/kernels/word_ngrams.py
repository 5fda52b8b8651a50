"""The n-grams of words that fastText's classifiers hash: the buckets of the words of a line.

A word has its 32-bit hash as a signed number. An n-gram of words hashes to

    h = hash[0], then h = h * 116049371 + hash[i] for each further word, modulo 2**64

and its bucket is the remainder by the number of buckets.
"""

import numpy as np

from ffjax.kernels.ragged import Ragged

_FACTOR = 116049371


def word_ngrams(hashes: Ragged, order: int, n_buckets: int) -> Ragged:
    """The buckets of the n-grams of two and more words, by their first word, shortest first.

    Args:
        hashes: the hashes of the words of each line, uint32.
        order: the most words in an n-gram.
        n_buckets: the number of buckets.

    Returns:
        The buckets of each line, int64.

    Examples:
        >>> hashes = Ragged(np.array([1, 2, 3], np.uint32), np.array([0, 3]))
        >>> word_ngrams(hashes, 3, 1000).values.tolist()
        [373, 386, 745]
    """
    n = len(hashes.values)
    wide = hashes.values.view(np.int32).astype(np.int64).view(np.uint64)
    remaining = np.repeat(hashes.splits[1:], hashes.counts) - np.arange(n)
    spread = max(0, min(order, int(remaining.max(initial=0))) - 1)
    buckets = np.full((n, spread), -1, np.int64)
    state, factor, divisor = wide.copy(), np.uint64(_FACTOR), np.uint64(n_buckets)
    for i in range(1, spread + 1):
        state = state[: n - i] * factor + wide[i:]
        # NumPy divides by one number faster than it takes the remainder.
        rest = (state - state // divisor * divisor).astype(np.int64)
        buckets[: n - i, i - 1] = np.where(remaining[: n - i] > i, rest, -1)
    of_words = Ragged.of(buckets[buckets >= 0], (buckets >= 0).sum(1))
    return Ragged(of_words.values, of_words.splits[hashes.splits])
