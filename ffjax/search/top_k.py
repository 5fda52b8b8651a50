"""`top_k`: exact nearest rows of embeddings or of a storage."""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32

from ffjax._types import AnyArray
from ffjax.ops.top_k import top_k as top_k_rows
from ffjax.search.answer import EmbeddingsLike, TopK, checked_k
from ffjax.search.restrict import chosen
from ffjax.storage import ComposedArray, NdArray, QuantizedArray, Storage


def top_k(
    embeddings: EmbeddingsLike | Storage,
    queries: Float[AnyArray, "*batch dims"],
    k: int,
    *,
    metric: str = "dot",
    exclude: Int32[AnyArray, "*batch n"] | None = None,
    rows: Any = None,
    approximate: float | None = None,
) -> TopK:
    """The `k` rows most similar to each query, exactly, best first; equal scores in the order of the rows.

    Args:
        embeddings: embeddings, of which the words' rows are searched, or a storage, of which all rows are.
        queries: one or more vectors, shape `[*batch, dims]`.
        k: how many rows; if there are fewer, the rest is -1 with a score of minus infinity.
        metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`.
        exclude: rows to leave out for each query, -1 to fill up, shape `[*batch, n]`.
        rows: the rows that may be answers, by default all: a `slice` or `range`, a mask (bool `[rows]`), or row numbers
            in any order. The answer has the numbers of the rows in the storage all the same.
        approximate: the share of the best rows that must be found, above 0 and up to 1, where an approximate search
            is faster. On no backend is it yet: every answer is exact.

    Returns:
        `TopK` with scores and rows of shape `[*batch, k]`.

    Raises:
        TypeError: `k` or `rows` is of another type.
        ValueError: `k` is negative, the metric is unknown, `approximate` is out of range, or shapes don't fit.
        IndexError: a number in `rows` is not one of a row.

    Examples:
        >>> import ffjax, jax.numpy as jnp
        >>> storage = ffjax.NdArray(jnp.eye(3))
        >>> ffjax.top_k(storage, jnp.array([0.0, 0.5, 1.0]), k=2).rows.tolist()
        [2, 1]
        >>> ffjax.top_k(storage, jnp.array([0.0, 0.5, 1.0]), k=2, rows=slice(0, 2)).rows.tolist()
        [1, 0]
    """
    storage = embeddings if isinstance(embeddings, Storage) else embeddings.storage
    n_rows = storage.shape[0] if isinstance(embeddings, Storage) else embeddings.vocab.n_word_rows
    queries = jnp.asarray(queries)
    k = checked_k(k)
    if queries.shape[-1] != storage.shape[1]:
        raise ValueError(f"`queries`: expected {storage.shape[1]} dimensions, got {queries.shape[-1]}.")
    if approximate is not None and not 0 < approximate <= 1:
        raise ValueError(f"`approximate`: expected a recall above 0 and up to 1, or None, got {approximate}.")
    only = chosen(rows, n_rows)
    if isinstance(storage, ComposedArray) and not _traced(storage):
        storage = storage[:n_rows]  # composed on the host, where a memory map need not be read as a whole
    elif isinstance(storage, QuantizedArray | ComposedArray):
        storage = NdArray(storage.rows(jnp.arange(n_rows, dtype=jnp.int32)))
    matrix = jnp.asarray(storage.matrix if isinstance(storage, NdArray) else np.asarray(storage))
    batch = queries.shape[:-1]
    flat = queries.reshape(-1, queries.shape[-1])
    left_out = None if exclude is None else jnp.asarray(exclude).reshape(flat.shape[0], -1)
    mask = only.mask
    if only.ids is not None:
        mask = jnp.zeros(n_rows, bool).at[jnp.where(only.ids < 0, n_rows, only.ids)].set(True, mode="drop")
    if mask is not None:
        mask = jnp.pad(mask, (0, matrix.shape[0] - n_rows))
    scores, found = top_k_rows(
        matrix,
        flat,
        k,
        metric=metric,
        exclude=left_out,
        allowed=mask,
        start=only.start,
        stop=n_rows if only.stop is None else only.stop,
    )
    return TopK(scores.reshape(*batch, k), found.reshape(*batch, k))


def _traced(storage: Storage) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(storage))
