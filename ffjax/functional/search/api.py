"""`top_k`: exact nearest rows of embeddings or of a storage."""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, Int32

from ffjax._internal.arguments import array_of, check_embeddings
from ffjax._internal.arrays import AnyArray
from ffjax.functional.search.in_memory import PRODUCTS, search_storage
from ffjax.functional.search.out_of_core import search_blocks
from ffjax.functional.search.rerank import rank, rank_fetched, reranking
from ffjax.functional.search.row_filter import Chosen, as_row, chosen
from ffjax.functional.search.sharded import search_sharded
from ffjax.functional.search.types import EmbeddingsLike, TopK, checked_k
from ffjax.kernels.top_k.metrics import METRICS
from ffjax.storage import ComposedArray, ShardedArray, Storage


def top_k(
    embeddings: EmbeddingsLike | Storage,
    queries: Float[AnyArray, "*batch dims"],
    k: int,
    *,
    metric: str = "dot",
    exclude: Int32[AnyArray, "*batch n"] | None = None,
    candidates: Any = None,
    approximate: float | None = None,
    rerank: EmbeddingsLike | Storage | None = None,
    rerank_factor: int = 4,
) -> TopK:
    """The `k` rows most similar to each query, exactly, best first; equal scores in the order of the rows.

    Nothing is read, decoded or scored as a whole: any batch, over any storage, takes bounded memory. Codes of a
    quantizer are decoded chunk by chunk, and with a rotation the queries are rotated, not the rows; on CPUs one query,
    or fewer than a centroid has dimensions, is looked up in tables of its products with centroids instead. Outside of
    `jit` a memory map is searched in blocks, of which one is read while the one before it is searched, so a file may be
    larger than memory; inside of a caller's `jit` all of it is an argument of the program, as every array is.

    Zero vectors score zero. Cosines and what is made of them are right for rows and queries of lengths from 1e-30 to
    1e30, whose squares leave the range of float32. A row whose score is NaN is never an answer, and a query with NaN in
    it has none.

    Args:
        embeddings: embeddings, of which the words' rows are searched, or a storage, of which all rows are.
        queries: one or more vectors, shape `[*batch, dims]`.
        k: how many rows; if there are fewer, the rest is -1 with a score of minus infinity.
        metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`, defined in `ffjax.kernels.top_k.metrics`; the last three compute
            the lengths of the rows on the way.
        exclude: rows to leave out for each query, -1 to fill up, shape `[*batch, n]`.
        candidates: the rows that may be answers, by default all: a `slice` or `range`, a mask (bool `[rows]`), or row numbers
            in any order, each of which counts once. Answers are row numbers of the storage all the same. Inside `jit`
            the ends of a slice, the mask and the numbers may be traced; numbers that are then none of the rows are
            passed over.
        approximate: the share of the best rows that is enough, above 0 and up to 1. On TPUs the search then uses
            `lax.approx_max_k`. On CPUs and GPUs, where that sorts and so is slower than the exact search, it changes
            nothing. `recall` of the answer says which it was.
        rerank: embeddings or a storage of the same rows, such as those that codes were made of: the best `k *
            rerank_factor` rows of the search are scored by its rows, exactly, and the best `k` of these are the answer,
            equal scores in the order of the rows. Of a memory map only those rows are read, inside of a caller's `jit`
            all of it is an argument of the program.
        rerank_factor: how many times `k` rows to score once more, at least 1.

    Returns:
        `TopK` with scores and rows of shape `[*batch, k]`.

    Raises:
        TypeError: an argument is of another type, such as queries that are no floats.
        ValueError: `k` is negative, the metric is unknown, `approximate` or `rerank_factor` is out of range, `rerank`
            has other rows or dimensions, or shapes don't fit.
        IndexError: a number in `candidates` is not one of a row.

    Examples:
        >>> import ffjax, jax.numpy as jnp
        >>> storage = ffjax.NdArray(jnp.eye(3))
        >>> ffjax.top_k(storage, jnp.array([0.0, 0.5, 1.0]), k=2).rows.tolist()
        [2, 1]
        >>> ffjax.top_k(storage, jnp.array([0.0, 0.5, 1.0]), k=2, candidates=slice(0, 2)).rows.tolist()
        [1, 0]
    """
    if not isinstance(embeddings, Storage):
        check_embeddings(embeddings, expected="Embeddings or a storage")
    storage = embeddings if isinstance(embeddings, Storage) else embeddings.storage
    n_rows = storage.shape[0] if isinstance(embeddings, Storage) else embeddings.vocab.n_word_rows
    k = checked_k(k)
    queries = array_of("queries", queries, jnp.floating, f"one or more vectors of {storage.shape[1]} dimensions")
    if exclude is not None:
        exclude = array_of("exclude", exclude, jnp.integer, "row numbers for each query, -1 to fill up")
    _check(storage, queries, metric, exclude, approximate)
    only = chosen(candidates, n_rows)
    exact, factor = reranking(rerank, rerank_factor, storage, n_rows)
    queries = jnp.asarray(queries)
    batch, flat = queries.shape[:-1], queries.reshape(-1, queries.shape[-1])
    left_out = None if exclude is None else jnp.asarray(exclude).reshape(flat.shape[0], np.shape(exclude)[-1])
    traced = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((storage, queries, exclude, only, exact)))
    sizes = {"k": k if exact is None else max(k, min(k * factor, n_rows)), "metric": metric, "n_rows": n_rows}
    scores, found, recall = _search(storage, flat, left_out, only, approximate, traced, sizes)
    if exact is not None:
        ranked = rank_fetched if not traced and _is_out_of_reach(exact) else rank
        scores, found = ranked(exact, flat, found, k=k, metric=metric)
    return TopK(scores.reshape(*batch, k), found.reshape(*batch, k), recall)


def top_products(
    embeddings: EmbeddingsLike | Storage,
    terms: Float[AnyArray, "3 batch dims"],
    k: int,
    *,
    exclude: Int32[AnyArray, "batch n"] | None = None,
    candidates: Any = None,
) -> TopK:
    """The `k` rows with the largest products of cosines, see `ffjax.kernels.top_k.cos_mul`: searched as `top_k` searches.

    Args:
        embeddings: as in `top_k`.
        terms: vectors of a, b and c.
        k: how many rows.
        exclude: as in `top_k`.
        candidates: as in `top_k`.
    """
    storage = embeddings if isinstance(embeddings, Storage) else embeddings.storage
    n_rows = storage.shape[0] if isinstance(embeddings, Storage) else embeddings.vocab.n_word_rows
    k, only = checked_k(k), chosen(candidates, n_rows)
    if only.start is None and isinstance(only.stop, int):  # then other rows are not read
        n_rows, only = only.stop, Chosen()
    terms, left_out = jnp.asarray(terms), None if exclude is None else jnp.asarray(exclude)
    traced = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((storage, terms, left_out, only)))
    queries = jnp.moveaxis(terms, 0, 1).reshape(terms.shape[1], 3 * terms.shape[2])
    sizes = {"k": k, "metric": PRODUCTS, "n_rows": n_rows}
    return TopK(*_search(storage, queries, left_out, only, None, traced, sizes))


def _search(
    storage: Storage,
    queries: Array,
    exclude: Array | None,
    only: Chosen,
    approximate: float | None,
    traced: bool,
    sizes: dict[str, Any],
) -> tuple[Array, Array, float]:
    if not traced and _is_divided(storage):
        storage = ShardedArray(storage, getattr(storage, storage.row_arrays[0]).sharding)
    if not traced and _is_out_of_reach(storage):
        return *search_blocks(storage, queries, exclude, only, **sizes), 1.0
    # Elsewhere `approx_max_k` sorts.
    recall = approximate if approximate is not None and jax.default_backend() == "tpu" else None
    mask, ids = (None if x is None else jnp.asarray(x) for x in (only.mask, only.ids))
    restricted = exclude, mask, ids, as_row(only.start), as_row(only.stop)
    if isinstance(storage, ShardedArray):
        scores, found = search_sharded(storage, queries, *restricted, **sizes, recall=recall)
    else:
        scores, found = search_storage(storage, queries, *restricted, **sizes, recall=recall, ascending=only.ascending)
    return scores, found, 1.0 if recall is None else recall


def _is_out_of_reach(storage: Storage) -> bool:
    """Whether outside of `jit` rows are read or put together as they are needed."""
    return isinstance(storage, ComposedArray) or storage.is_mapped


def _is_divided(storage: Storage) -> bool:
    """Whether rows are divided over devices, as nobody but the sharding of their arrays says."""
    first = getattr(storage, storage.row_arrays[0]) if storage.row_arrays else None
    if not isinstance(first, jax.Array):
        return False
    sharding = first.sharding
    if not isinstance(sharding, NamedSharding) or len(sharding.device_set) == 1:
        return False
    spec = tuple(sharding.spec)
    return bool(spec) and spec[0] is not None and not any(spec[1:])


def _check(storage: Storage, queries: Any, metric: str, exclude: Any, approximate: float | None) -> None:
    if np.ndim(queries) == 0 or np.shape(queries)[-1] != storage.shape[1]:
        raise ValueError(f"`queries`: expected {storage.shape[1]} dimensions, got shape {np.shape(queries)}.")
    if not storage.shape[1]:
        raise ValueError("`embeddings`: expected rows of at least one dimension, got rows of none.")
    if metric not in METRICS:
        raise ValueError(f"`metric`: expected one of {', '.join(METRICS)}, got {metric!r}.")
    if exclude is not None and np.shape(exclude)[:-1] != np.shape(queries)[:-1]:
        raise ValueError(
            f"`exclude`: expected shape {np.shape(queries)[:-1]} and one axis more, a list of rows for each query, "
            f"got {np.shape(exclude)}."
        )
    if approximate is not None and (
        isinstance(approximate, bool) or not isinstance(approximate, int | float | np.integer | np.floating)
    ):
        got = f"{type(approximate).__name__} {approximate!r}"
        raise TypeError(f"`approximate`: expected a recall above 0 and up to 1, or None, got {got}.")
    if approximate is not None and not 0 < approximate <= 1:
        raise ValueError(f"`approximate`: expected a recall above 0 and up to 1, or None, got {approximate}.")
