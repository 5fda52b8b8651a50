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
from ffjax.strings.strings import Strings
from ffjax.vocab import SubwordVocab

# Words of a batch on the host, by the width that holds them: few shapes share few programs.
OOV_BATCHES = {16: 1024, 64: 1024, 256: 256, 1024: 256}


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


@partial(jax.jit, static_argnames="unnormalize")
@takes_explicit
def oov_vectors(
    storage: Storage, vocab: SubwordVocab, strings: Strings, unnormalize: bool
) -> tuple[Array, Array]:
    """The vectors of a batch of words that are all out of the vocabulary, and which have one."""
    vectors = jnp.zeros((len(strings), storage.shape[1]), storage.dtype)
    unknown = jnp.asarray(strings.lengths) >= 0
    return with_oov_words(vectors, storage, vocab, strings, unknown, means=unnormalize)


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
