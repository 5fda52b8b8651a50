"""The vectors of a batch's out-of-vocabulary words: only their n-grams' rows are read."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from ffjax.kernels.ngram_hashes import Words
from ffjax.storage import Storage
from ffjax.storage.ngram_sums import MEAN, UNIT, Subwords, with_ngram_sums
from ffjax.strings.strings import Strings
from ffjax.vocab import SubwordVocab


def with_oov_words(
    vectors: Float[Array, "batch dims"],
    storage: Storage,
    vocab: SubwordVocab,
    strings: Strings,
    mask: Bool[Array, " batch"],
    *,
    means: bool,
) -> tuple[Float[Array, "batch dims"], Bool[Array, " batch"]]:
    """Writes the vectors of out-of-vocabulary words to their positions; compiled code.

    Args:
        vectors: those of the known words, zeros for the others.
        storage: the rows.
        vocab: which n-grams a word has.
        strings: the batch.
        mask: which words are out of the vocabulary.
        means: whether to give the mean of the n-grams' rows, and not their sum at unit length.

    Returns:
        `(vectors, exist)`: the vectors of all words; and which of those asked for have n-grams with
        rows.
    """
    data, lengths = jnp.asarray(strings.bytes), jnp.asarray(strings.lengths)
    words = Words(data, None, lengths)
    bow, eow = (marker.encode() for marker in vocab.markers)
    storage, offset = storage.ngram_rows(vocab.n_word_rows)
    subwords = Subwords(data.shape[1], offset, bow, eow)
    mode = MEAN if means else UNIT
    return with_ngram_sums(vectors, storage, vocab.subword_indexer, words, mask, subwords, mode)
