"""`embed_text` in compiled code, where the numbers of words and lines are fixed beforehand."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ffjax._internal.arguments import array_of, whole_number
from ffjax.functional.lookup import embed
from ffjax.functional.search import EmbeddingsLike
from ffjax.kernels.pool import check_pooling, pool
from ffjax.kernels.tokenize import gather_bytes, tokenize
from ffjax.storage.explicit import takes_explicit
from ffjax.strings.string_table import Strings

# Longer words are not looked up.
_MAX_WIDTH = 64


@takes_explicit
def embed_text(
    embeddings: EmbeddingsLike,
    text: Array,
    n_words: int | None,
    n_lines: int | None,
    *,
    pooling: str,
    weights: Any,
    unnormalize: bool,
) -> tuple[Array, Array]:
    """`ffjax.embed_text` for a traced or device array."""
    check_pooling(pooling, weights)
    if pooling == "fasttext" and is_classifier(embeddings):
        raise ValueError(
            '`pooling`: expected another than "fasttext" for a supervised model in compiled code. '
            "Call `embed_text` outside of `jit`, without `n_words`."
        )
    if n_words is None or n_lines is None:
        raise ValueError(
            "`n_words`, `n_lines`: expected both for text inside `jit`, where shapes are fixed, "
            f"got {n_words} and {n_lines}."
        )
    array_of("text", text, jnp.uint8, "one dimension of uint8", (None,))
    n_words, n_lines = whole_number("n_words", n_words), whole_number("n_lines", n_lines)
    if weights is not None:
        weights = jnp.asarray(checked_weights(embeddings, weights), jnp.float32)

    tokens = tokenize(text, n_words)
    data = gather_bytes(jnp.pad(text, (0, _MAX_WIDTH)), tokens.starts, _MAX_WIDTH)
    in_word = jnp.arange(_MAX_WIDTH, dtype=jnp.int32)[None] < tokens.lengths[:, None]
    data = jnp.where(in_word, data, jnp.uint8(0))
    lengths = jnp.where(tokens.lengths <= _MAX_WIDTH, tokens.lengths, jnp.int32(-1))
    strings = Strings(data, lengths)
    vectors, has_vector = embed(embeddings, strings, unnormalize=unnormalize)
    factors = None
    if weights is not None:
        if weights.shape[0] == len(embeddings.vocab):
            weights = jnp.append(weights, jnp.float32(1))
        factors = weights[embeddings.vocab.find_words(strings)]  # -1, an unknown word: the last
    options = {"pooling": pooling, "weights": factors, "found": has_vector}
    return pool(vectors, tokens.lines, n_lines, **options)


def is_classifier(embeddings: EmbeddingsLike) -> bool:
    """Whether these are embeddings of a supervised model of fastText."""
    training = getattr(embeddings, "training", None)
    return training is not None and len(training.label_table) > 0


def checked_weights(embeddings: EmbeddingsLike, weights: Any) -> Any:
    """Weights as an array, one for each known word and perhaps one for unknown words."""
    n = len(embeddings.vocab)
    weights = array_of("weights", weights, jnp.floating, "a factor for each known word, in order")
    if np.shape(weights) not in ((n,), (n + 1,)):
        raise ValueError(
            f"`weights`: expected {n}, one for each known word, and perhaps one for unknown words, "
            f"got shape {np.shape(weights)}."
        )
    return weights
