"""Means of the rows of tokens in compiled code: texts as static models see them."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from ffjax._internal.arrays import AnyArray

# As in `embeddings/static_encode.py`.
_EPSILON = 1e-32


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
    ids = jnp.asarray(ids)
    counted = ids >= 0
    if dropped is not None:
        counted = counted & (ids != dropped)

    def take(array: Any, at: Array) -> Array:
        return jnp.asarray(array).at[at].get(mode="clip")

    ids = jnp.maximum(ids, 0)
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
