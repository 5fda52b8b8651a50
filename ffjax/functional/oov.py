"""The vectors of a batch's out-of-vocabulary words: only their n-grams' rows are read."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from ffjax.kernels.ngram_hashes import Words
from ffjax.storage import Storage
from ffjax.storage.explicit import takes_explicit
from ffjax.storage.ngram_sums import MEAN, UNIT, with_ngram_sums
from ffjax.storage.ngram_tiles import Subwords
from ffjax.strings.string_table import Strings
from ffjax.vocab import SubwordVocab

# Words of a batch on the host, by the width that holds them: few shapes share few programs.
OOV_BATCHES = {16: 1024, 64: 1024, 256: 256, 1024: 256}


def with_oov_words(
    vectors: Float[Array, "batch dims"],
    found: Bool[Array, " batch"],
    storage: Storage,
    vocab: SubwordVocab,
    strings: Strings,
    *,
    means: bool,
) -> tuple[Float[Array, "batch dims"], Bool[Array, " batch"]]:
    """The vectors of all words, with those of out-of-vocabulary words; and which have one.

    `found` says which words are known; only these have a vector yet. Compiled code; `means` is for
    the mean of the n-grams' rows, and not their sum at unit length.
    """
    data, lengths = jnp.asarray(strings.bytes), jnp.asarray(strings.lengths)
    words = Words(data, None, lengths)
    bow, eow = (marker.encode() for marker in vocab.markers)
    storage, offset = storage.ngram_rows(vocab.n_word_rows)
    subwords = Subwords(data.shape[1], offset, bow, eow)
    mode = MEAN if means else UNIT
    return with_ngram_sums(vectors, found, storage, vocab.subword_indexer, words, subwords, mode)


@partial(jax.jit, static_argnames="unnormalize")
@takes_explicit
def oov_vectors(
    storage: Storage, vocab: SubwordVocab, strings: Strings, unnormalize: bool
) -> tuple[Array, Array]:
    """The vectors of a batch of words that are all out of the vocabulary, and which have one."""
    vectors = jnp.zeros((len(strings), storage.shape[1]), storage.dtype)
    is_known = jnp.zeros(len(strings), bool)
    return with_oov_words(vectors, is_known, storage, vocab, strings, means=unnormalize)


def oov_batch(data: np.ndarray, lengths: np.ndarray, ids: np.ndarray) -> Strings | None:
    """Some words of a batch in one of the shapes of `OOV_BATCHES`, `None` for a larger batch."""
    batch, width = data.shape
    shapes = ((n, wide) for wide, n in OOV_BATCHES.items() if wide >= width and n >= batch)
    if (shape := next(shapes, None)) is None:
        return None
    padded = np.zeros(shape, np.uint8)
    padded[: len(ids), :width] = data[ids]
    sizes = np.full(shape[0], -1, np.int32)
    sizes[: len(ids)] = np.minimum(lengths[ids], width)
    return Strings(padded, sizes)
