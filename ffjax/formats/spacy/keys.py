"""spaCy's keys of words: the number of a symbol, or the word's MurmurHash64A with seed 1."""

import numpy as np

from ffjax.formats.spacy.symbols import symbols
from ffjax.kernels.spans_numpy import murmur64a_spans
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.string_table import StringTable


def keys_of(words: StringTable) -> np.ndarray:
    """The key of each word, uint64 `[n]`."""
    keys, hashes = _hashes(words), _hashes(StringTable.from_strings(symbols()))
    numbers = _search(hashes, keys)
    return np.where(numbers < 0, keys, numbers.astype(np.uint64))


def find_keys(keys: np.ndarray, words: ByteViews) -> np.ndarray:
    """For each key the number of the word that has it, -1 if none does; int64 `[n]`.

    The symbols are the last words.
    """
    hashes, n_symbols = murmur64a_spans(*words), len(symbols())
    n_words, n = len(hashes), len(hashes) + len(keys)
    low_bits = np.uint64((1 << n.bit_length()) - 1)
    # Both are sorted with their numbers in the low bits, so that a key follows its word's hash.
    both = np.concatenate([hashes, keys]) & ~low_bits
    both |= np.arange(n, dtype=np.uint64)
    both.sort()
    order = (both & low_bits).view(np.int64)
    alike = np.flatnonzero((both[1:] ^ both[:-1]) <= low_bits)
    first, second = order[alike], order[alike + 1] - n_words
    is_pair = (first < n_words) & (second >= 0)
    numbers = np.full(len(keys), -1)
    numbers[second[is_pair]] = first[is_pair]
    missed = np.flatnonzero((numbers < 0) | (hashes[numbers] != keys))
    is_symbol = keys[missed] < n_symbols
    numbers[missed] = np.where(is_symbol, keys[missed].view(np.int64) + n_words - n_symbols, -1)
    missed = missed[~is_symbol]
    if len(missed):  # unknown ones, repeated ones, and those alike in the high bits alone
        numbers[missed] = _search(hashes, keys[missed])
    return numbers


def _hashes(words: StringTable) -> np.ndarray:
    offsets = words.host_offsets
    return murmur64a_spans(words.host_data, offsets[:-1], np.diff(offsets))


def _search(hashes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For each key, the number of the hash equal to it, or -1."""
    order = np.argsort(hashes)
    numbers = order[np.searchsorted(hashes, keys, sorter=order) % len(order)]
    return np.where(hashes[numbers] == keys, numbers, -1)
