"""The n-grams of words that fastText's classifiers hash: the buckets of the words of a line.

A word has its 32-bit hash as a signed number. An n-gram of words hashes to

    h = hash[0], then h = h * 116049371 + hash[i] for each further word, modulo 2**64

and its bucket is the remainder by the number of buckets.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax.kernels.murmur3 import Pair, add_64, multiply_64
from ffjax.kernels.ragged import Ragged

_FACTOR = 116049371


def word_ngrams(hashes: Ragged, order: int, n_buckets: int) -> Ragged:
    """The buckets of the n-grams of two and more words, by their first word, shortest first.

    Args:
        hashes: the hashes of the words of each line, uint32.
        order: the maximum number of words in an n-gram.
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
    spread = max(0, min(order, int(hashes.counts.max(initial=0))) - 1)
    buckets = np.empty((n, spread), np.int64)
    exist = np.zeros((n, spread), bool)
    state, factor, divisor = wide, np.uint64(_FACTOR), np.uint64(n_buckets)
    for i in range(1, spread + 1):
        state = state[: n - i] * factor + wide[i:]
        # NumPy divides by one number faster than it takes the remainder.
        buckets[: n - i, i - 1] = state - state // divisor * divisor
        exist[: n - i, i - 1] = True
        # The last words of a line have no n-grams of so many words.
        for last in range(1, i + 1):
            ends = hashes.splits[1:] - last
            exist[ends[ends >= hashes.splits[:-1]], i - 1] = False
    totals = np.append(0, np.cumsum(exist))
    return Ragged(buckets[exist], totals[hashes.splits * spread])


def device_word_ngrams(hashes: Array, lines: Array, order: int, n_buckets: int) -> Array:
    """The same in compiled code, -1 after the end of a line, int32 `[n_words, order - 1]`.

    Args:
        hashes: the hash of each word, uint32 `[n_words]`.
        lines: the line of each word, ascending.
        order: the maximum number of words in an n-gram.
        n_buckets: the number of buckets.
    """
    n = hashes.shape[0]
    wide = hashes, jnp.where(hashes >> 31 > 0, np.uint32(0xFFFFFFFF), np.uint32(0))
    state, columns = wide, []
    for i in range(1, order):
        ahead = tuple(jnp.pad(half[i:], (0, min(i, n))) for half in wide)
        state = add_64(multiply_64(state, _FACTOR), ahead)  # type: ignore[arg-type]
        same_line = jnp.pad(lines[i:], (0, min(i, n)), constant_values=-1) == lines
        columns.append(jnp.where(same_line, remainder_64(state, n_buckets), jnp.int32(-1)))
    return jnp.stack(columns, axis=1)


def remainder_64(number: Pair, divisor: int) -> Array:
    """The remainder of 64-bit numbers by a divisor below 2**31, in 32-bit arithmetic, int32.

    A number is the sum of its digits times powers of the base. If digits are short enough, the
    remainders of those products sum to less than 2**32; else each sum is reduced.
    """
    low, high = number
    sizes = (b for b in (8, 4, 2, 1) if (64 // b) * (2**b - 1) * (divisor - 1) < 2**32)
    bits = next(sizes, 0)
    total = jnp.zeros_like(low)
    for shift in range(0, 64, bits or 1):
        half = low if shift < 32 else high
        digit = half >> np.uint32(shift % 32) & np.uint32(2 ** (bits or 1) - 1)
        total += digit * np.uint32(2**shift % divisor)
        if not bits:
            total %= np.uint32(divisor)
    return (total % np.uint32(divisor)).astype(jnp.int32)
