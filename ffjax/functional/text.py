"""Text in compiled code: `embed_text` for fixed numbers of words and lines; means of tokens."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from ffjax._internal.arguments import array_of, whole_number
from ffjax._internal.arrays import AnyArray
from ffjax.functional.lookup import embed
from ffjax.functional.search import EmbeddingsLike
from ffjax.kernels.pool import check_pooling, pool
from ffjax.kernels.tokenize import gather_bytes, tokenize
from ffjax.storage.explicit import takes_explicit
from ffjax.strings.string_table import Strings

# Longer words are not looked up.
_MAX_WIDTH = 64
# As in `embeddings/static_encode.py`.
_EPSILON = 1e-32


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


def mean_of_tokens(
    rows: AnyArray,
    mapping: Int32[AnyArray, " tokens"] | None,
    weights: Float[AnyArray, " tokens"] | None,
    ids: Int32[AnyArray, "*texts n"],
    dropped: int | None,
    normalize: bool,
) -> Float32[Array, "*texts dims"]:
    """The mean of the weighted rows of each text's tokens; negative ids and `dropped` do not count.

    Ids beyond the last token are those of the last one.
    """
    counted = jnp.asarray(ids) >= 0
    if dropped is not None:
        counted = counted & (ids != dropped)
    ids = jnp.maximum(jnp.asarray(ids), 0)

    def take(array: Any, at: Array) -> Array:
        return jnp.asarray(array).at[at].get(mode="clip")

    vectors = take(rows, ids if mapping is None else take(mapping, ids)).astype(jnp.float32)
    if weights is not None:
        vectors = vectors * take(weights, ids).astype(jnp.float32)[..., None]
    totals = jnp.sum(jnp.where(counted[..., None], vectors, jnp.float32(0)), axis=-2)
    counts = jnp.sum(counted, axis=-1, dtype=jnp.int32)[..., None]
    means = totals / jnp.maximum(counts, 1).astype(jnp.float32)
    if not normalize:
        return means
    squares = jnp.sum(means * means, axis=-1, keepdims=True)
    # The root of zero has no gradient.
    norms = jnp.sqrt(jnp.where(squares > 0, squares, jnp.float32(1)))
    return means / (norms + jnp.float32(_EPSILON))
