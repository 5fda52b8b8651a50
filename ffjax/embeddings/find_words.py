"""Words to their numbers in a vocabulary: in NumPy, or many by one program for each width."""

import jax
import numpy as np
from jaxtyping import Array, Int32

from ffjax.functional.tier import FOUND_WORDS, in_numpy
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.pack import pack_views
from ffjax.strings.strings import Strings
from ffjax.vocab import Vocab

# Words that a program looks up, and few enough of a width that NumPy does.
_BLOCK_WORDS, _FEW_WORDS = 1 << 16, 1 << 10
_WIDTHS = (16, 64)


def find_words(vocab: Vocab, words: ByteViews) -> Int32[np.ndarray, " n"]:
    """The number of each known word, -1 for the others; words that share a row have different ones.

    Examples:
        >>> import ffjax
        >>> from ffjax.strings.byte_views import byte_views
        >>> (words,) = byte_views(["coffee", "tea"])
        >>> find_words(ffjax.SimpleVocab(["milk", "tea"]), words)
        array([-1,  1], dtype=int32)
    """
    n, lengths = len(words.lengths), words.lengths
    if in_numpy(n, FOUND_WORDS, vocab.index):
        return vocab.find_on_host(words)
    numbers = np.full(n, -1, np.int32)
    by_numpy = lengths > _WIDTHS[-1]
    narrower = -1
    for width in _WIDTHS:
        fitting = np.flatnonzero((lengths > narrower) & (lengths <= width))
        narrower = width
        if in_numpy(len(fitting), _FEW_WORDS, vocab.index):
            by_numpy[fitting] = True
            continue
        for start in range(0, len(fitting), _BLOCK_WORDS):
            block = fitting[start : start + _BLOCK_WORDS]
            strings = pack_views([words.take(block)], _BLOCK_WORDS, width)
            numbers[block] = np.asarray(_find_words(vocab, strings))[: len(block)]
    rest = np.flatnonzero(by_numpy)
    numbers[rest] = vocab.find_on_host(words.take(rest))
    return numbers


@jax.jit
def _find_words(vocab: Vocab, strings: Strings) -> Array:
    return vocab.find_words(strings)
