"""The layers of spaCy's `Tok2Vec` as pure functions of weights and arrays.

`MultiHashEmbed` embeds hashes of each token's features, and `MaxoutWindowEncoder` mixes in its
neighbours. Shapes and seeds are those of thinc and spaCy 3, so that weights of pipelines fit, see
https://github.com/explosion/spaCy/blob/v3.8.0/spacy/ml/models/tok2vec.py
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int32, UInt32

from ffjax._internal.arguments import whole_number
from ffjax._internal.arrays import AnyArray
from ffjax.functional.lookup import embed
from ffjax.functional.search.arguments import EmbeddingsLike
from ffjax.kernels.murmur3 import absorb, finish, start
from ffjax.layers.features import TokenBatch
from ffjax.layers.weights import MaxoutWeights, Tok2VecWeights
from ffjax.strings.string_table import Strings

# `MultiHashEmbed` seeds the hashes of its tables with this number and those after it.
FIRST_SEED = 8
_KEY_BYTES = 8
_VARIANCE_EPSILON = 1e-8


def hash_rows(
    ids: UInt32[AnyArray, "*batch 2"], *, seed: int, n_rows: int
) -> Int32[Array, "*batch 4"]:
    """The four rows of a table that an id has: MurmurHash3 of its 8 bytes, modulo the rows.

    Args:
        ids: 64-bit numbers as pairs (low, high), such as those of `word_features`.
        seed: 0 to `2**32 - 1`.
        n_rows: rows of the table.

    Raises:
        TypeError: if `seed` or `n_rows` is not a whole number.
        ValueError: if one of them is out of range.

    Examples:
        >>> import numpy as np
        >>> from ffjax import layers
        >>> layers.hash_rows(np.array([1, 0], np.uint32), seed=9, n_rows=1000).tolist()
        [518, 464, 477, 196]
    """
    seed = whole_number("seed", seed)
    if seed >= 1 << 32:
        raise ValueError(f"`seed`: expected less than 2**32, got {seed}.")
    n_rows = whole_number("n_rows", n_rows, least=1)
    return _hash_rows(jnp.asarray(ids)[..., None, :], (seed,), (n_rows,))[..., 0, :]


def hash_embed(
    table: Float[AnyArray, "rows width"], ids: UInt32[AnyArray, "*batch 2"], *, seed: int
) -> Float[Array, "*batch width"]:
    """Embeds ids of any number in a small table: the sum of the four rows that an id is hashed to.

    Two ids hardly ever share all four rows. See "Hash Embeddings for Efficient Word
    Representations", https://arxiv.org/abs/1709.03933, and thinc's `HashEmbed`.

    Args:
        table: the rows.
        ids: 64-bit numbers as pairs (low, high).
        seed: of the hash; tables of one model have different ones.

    Raises:
        TypeError: if `seed` is not a whole number.
        ValueError: if it is out of range.

    Examples:
        >>> import jax
        >>> from ffjax import layers
        >>> table = layers.init_table(jax.random.key(0), rows=100, width=8)
        >>> layers.hash_embed(table, layers.word_features(["tea", "pot"]), seed=8).shape
        (2, 4, 8)
    """
    rows = hash_rows(ids, seed=seed, n_rows=table.shape[0])
    return jnp.asarray(table)[rows].sum(-2)


def maxout(
    x: Float[AnyArray, "*batch inputs"],
    weight: Float[AnyArray, "outputs pieces inputs"],
    bias: Float[AnyArray, "outputs pieces"],
) -> Float[Array, "*batch outputs"]:
    """The largest of several linear maps, for each output.

    Args:
        x: the inputs.
        weight: the maps.
        bias: what is added to them.
    """
    products = jnp.einsum("...i,opi->...op", x, weight)
    return (products + _like(bias, products)).max(-1)


def layer_norm(
    x: Float[AnyArray, "*batch width"],
    scale: Float[AnyArray, " width"],
    shift: Float[AnyArray, " width"],
) -> Float[Array, "*batch width"]:
    """Layer norm as in thinc: the biased variance plus 1e-8, where Flax and Equinox add more.

    Args:
        x: the inputs.
        scale: the factor of each dimension after it.
        shift: what is added to each dimension after that.
    """
    x = jnp.asarray(x)
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True) + _VARIANCE_EPSILON
    normal = centred * lax.rsqrt(variance)
    return normal * _like(scale, normal) + _like(shift, normal)


def static_vectors(
    embeddings: EmbeddingsLike, strings: Strings, weight: Float[AnyArray, "width dims"]
) -> Float[Array, "*batch width"]:
    """Word vectors through a linear layer without bias, as spaCy's `StaticVectors.v2`.

    The embeddings get no gradient. Unknown words have vectors if the vocabulary has n-grams, and
    zeros otherwise.

    Args:
        embeddings: embeddings with vectors of `dims` numbers.
        strings: packed words, such as those of a `TokenBatch`.
        weight: the linear layer.

    Raises:
        TypeError: if `strings` is not packed, or `embeddings` are something else.
    """
    vectors, found = embed(embeddings, strings, unnormalize=True)
    return _project(vectors, found, jnp.asarray(weight))


def multi_hash_embed(
    features: UInt32[AnyArray, "*batch attrs 2"],
    tables: Sequence[Float[AnyArray, "_rows width"]],
    mixer: MaxoutWeights,
    *,
    vectors: Float[AnyArray, "*batch width"] | None = None,
) -> Float[Array, "*batch width"]:
    """Embeds the features of words: a table for each attribute, then maxout and layer norm.

    Table `i` has the seed `8 + i`, as in spaCy's `MultiHashEmbed.v2`.

    Args:
        features: as `word_features` returns them.
        tables: one for each attribute.
        mixer: from all tables, and `vectors` last, to one vector.
        vectors: what `static_vectors` returns for the same words.

    Raises:
        ValueError: if there are more or fewer tables than attributes.
    """
    n_attrs = features.shape[-2]
    if len(tables) != n_attrs:
        raise ValueError(f"`tables`: expected {n_attrs}, one per attribute, got {len(tables)}.")
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + n_attrs))
    sizes = tuple(table.shape[0] for table in tables)
    rows = _hash_rows(jnp.asarray(features), seeds, sizes)
    embedded = [jnp.asarray(table)[rows[..., i, :]].sum(-2) for i, table in enumerate(tables)]
    if vectors is not None:
        embedded.append(jnp.asarray(vectors))
    return _maxout_norm(jnp.concatenate(embedded, -1), mixer)


def maxout_window_encoder(
    x: Float[AnyArray, "*batch length width"],
    mask: Bool[AnyArray, "*batch length"],
    layers: Sequence[MaxoutWeights],
    *,
    window: int = 1,
) -> Float[Array, "*batch length width"]:
    """Mixes neighbours into the vectors of tokens: `MaxoutWindowEncoder.v2` of spaCy.

    Each layer adds to a token's vector a maxout with layer norm of the vectors in its window. As in
    spaCy, rows of zeros on both sides of a document take part like tokens.

    Args:
        x: vectors of the tokens of documents.
        mask: which of them exist; the others count as rows of zeros, and get zeros.
        layers: the weights of each layer.
        window: how many neighbours on each side a layer sees.

    Raises:
        TypeError: if `window` is not a whole number.
        ValueError: if it is negative.
    """
    window = whole_number("window", window, least=0)
    reach = window * len(layers)
    x = _pad_length(jnp.where(mask[..., None], x, 0), reach)
    for weights in layers:
        padded, length = _pad_length(x, window), x.shape[-2]
        shifted = [padded[..., i : i + length, :] for i in range(2 * window + 1)]
        x = x + _maxout_norm(jnp.concatenate(shifted, -1), weights)
    x = lax.slice_in_dim(x, reach, x.shape[-2] - reach, axis=-2)
    return jnp.where(mask[..., None], x, 0)


def tok2vec(
    weights: Tok2VecWeights, batch: TokenBatch, embeddings: EmbeddingsLike | None = None
) -> Float[Array, "documents length width"]:
    """Vectors of tokens in their context: spaCy's `Tok2Vec.v2`.

    Distinct tokens are embedded once, however often they occur.

    Args:
        weights: of `init_tok2vec`, or of a pipeline by `load_tok2vec`.
        batch: the documents, by `pack_documents`.
        embeddings: the word vectors, if the weights have a layer over them.

    Returns:
        Vectors `[documents, length, width]`, zeros after the end of a document.

    Raises:
        ValueError: if the weights need embeddings and none are given.

    Examples:
        >>> import jax
        >>> from ffjax import layers
        >>> weights = layers.init_tok2vec(jax.random.key(0), [50, 20, 20, 20], width=8, depth=2)
        >>> layers.tok2vec(weights, layers.pack_documents([["a", "pot"], ["tea"]])).shape
        (2, 4, 8)
    """
    vectors = None
    if weights.static is not None:
        if embeddings is None:
            raise ValueError("`embeddings`: expected those of the pipeline or training, got None.")
        vectors = static_vectors(embeddings, batch.strings, weights.static)
    return _tok2vec(weights, batch.features, batch.tokens, vectors)


@partial(jax.jit, static_argnames=("seeds", "sizes"))
def _hash_rows(ids: Array, seeds: tuple[int, ...], sizes: tuple[int, ...]) -> Array:
    """The rows of ids `[*batch, tables, 2]` in tables of these seeds and sizes."""
    low, high = ids[..., 0], ids[..., 1]
    shape = (1,) * (low.ndim - 1) + (len(seeds),)
    zero = low & np.uint32(0)
    state = start(np.reshape(seeds, shape), low)
    state = absorb(state, (low, high, zero, zero), zero)
    quarters = jnp.stack(finish(state, np.uint32(_KEY_BYTES)), -1)
    rows = quarters % np.array(sizes, np.uint32).reshape(*shape, 1)
    return rows.astype(jnp.int32)


@jax.jit
def _project(vectors: Array, found: Array, weight: Array) -> Array:
    vectors = lax.stop_gradient(vectors).astype(weight.dtype)
    return jnp.where(found[..., None], vectors @ weight.T, 0)


@jax.jit
def _tok2vec(weights: Tok2VecWeights, features: Array, tokens: Array, vectors: Any) -> Array:
    embedded = multi_hash_embed(features, weights.tables, weights.mixer, vectors=vectors)
    x = embedded[jnp.maximum(tokens, 0)]
    return maxout_window_encoder(x, tokens >= 0, weights.layers, window=weights.window)


def _maxout_norm(x: Array, weights: MaxoutWeights) -> Array:
    return layer_norm(maxout(x, weights.weight, weights.bias), weights.scale, weights.shift)


def _pad_length(x: Array, n: int) -> Array:
    """Puts `n` rows of zeros on both sides."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(n, n), (0, 0)])


def _like(array: AnyArray, x: Array) -> Array:
    """An array with as many dimensions as `x`."""
    return jnp.expand_dims(jnp.asarray(array), range(x.ndim - array.ndim))
