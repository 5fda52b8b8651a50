"""spaCy's keys of words: the number of a symbol, or the word's MurmurHash64A with seed 1."""

import numpy as np

from ffjax._internal.arrays import padded_size
from ffjax.formats.spacy.strings_file import Spans
from ffjax.formats.spacy.symbols import symbols
from ffjax.kernels.murmur64a import murmur64a_spans

_LOW_BITS = np.uint64((1 << 20) - 1)


def keys_of(words: Spans) -> np.ndarray:
    """The key of each word, uint64 `[n]`."""
    keys = murmur64a_spans(*words)
    hashes = murmur64a_spans(*Spans.of(symbols()))
    is_likely = np.zeros(1 << 20, bool)  # few words are symbols; 20 bits rule most out
    is_likely[hashes & _LOW_BITS] = True
    likely = np.flatnonzero(is_likely[keys & _LOW_BITS])
    numbers = {key: number for number, key in enumerate(hashes.tolist())}
    keys[likely] = [numbers.get(key, key) for key in keys[likely].tolist()]
    return keys


def find_keys(keys: np.ndarray, words: Spans) -> np.ndarray:
    """For each key the number of the word that has it, -1 if none does."""
    of_words = keys_of(words)
    # Most words have a bucket of their own; of those that share one, the last is found there.
    n_buckets = 2 * padded_size(len(of_words))  # a power of two
    buckets = np.zeros(n_buckets, np.int32)
    low_bits = np.uint64(n_buckets - 1)
    bucket, in_order = of_words & low_bits, np.arange(len(of_words), dtype=np.int32)
    buckets[bucket] = in_order
    numbers = buckets[keys & low_bits]
    missed = np.flatnonzero(of_words[numbers] != keys)
    # The rest are looked up in order of their keys, as memory is then read in order too.
    rest = np.flatnonzero(buckets[bucket] != in_order)
    rest = rest[np.argsort(of_words[rest])]
    missed = missed[np.argsort(keys[missed])]
    at = np.searchsorted(of_words[rest], keys[missed])
    candidates = np.append(rest, 0)[at]
    numbers[missed] = np.where(of_words[candidates] == keys[missed], candidates, -1)
    return numbers
