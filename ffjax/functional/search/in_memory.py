"""The compiled program of a search on one device, or on one part of rows that are searched apart."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int32

from ffjax.functional.search.row_sources import of_ids, placed
from ffjax.kernels.top_k.cos_mul import cos_mul_of
from ffjax.kernels.top_k.metrics import top_k_of
from ffjax.kernels.top_k.row_source import RowFilter, RowSource
from ffjax.storage import Storage

# What programs call the score of 3CosMul: each query is the vectors of a, b and c, one behind the other.
PRODUCTS = "products of cosines"


@partial(jax.jit, static_argnames=("k", "metric", "n_rows", "ascending", "recall"))
def search_storage(
    storage: Storage,
    queries: Float[Array, "batch dims"],
    exclude: Int32[Array, "batch n"] | None,
    mask: Bool[Array, " n_rows"] | None,
    ids: Int32[Array, " n_ids"] | None,
    start: Int32[Array, ""] | None,
    stop: Int32[Array, ""] | None,
    *,
    k: int,
    metric: str,
    n_rows: int,
    ascending: bool = True,
    recall: float | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """Searches a storage that is on the device.

    Args:
        storage: the rows.
        queries: shape `[batch, dims]`, `[batch, 3 * dims]` for `PRODUCTS`.
        exclude: rows to leave out for each query.
        mask: which rows may be answers.
        ids: row numbers of the rows that may be.
        start: the first row that may be.
        stop: the row after the last.
        k: how many.
        metric: how to score.
        n_rows: how many rows of the storage there are to search.
        ascending: whether `ids` ascend.
        recall: the share of the best rows to find, or `None` for all.
    """
    source = storage.row_source(n_rows)
    if ids is None or not ids.shape[0] or not n_rows:
        source = source if ids is None else source._replace(n_rows=0)
        restriction = RowFilter(allowed=mask, start=start, stop=stop, exclude=exclude)
        return top_k_in(source, queries, k, metric, restriction, recall)
    ids = ids if ascending else lax.sort(ids)
    listed, counts = of_ids(source, ids)
    restriction = RowFilter(allowed=counts, exclude=None if exclude is None else placed(exclude, ids))
    scores, places = top_k_in(listed, queries, k, metric, restriction, recall)
    return scores, jnp.where(places < 0, -1, ids.at[jnp.maximum(places, 0)].get(mode="promise_in_bounds"))


def top_k_in(
    source: RowSource, queries: Array, k: int, metric: str, restriction: RowFilter, recall: float | None = None
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """`top_k_of` with the lengths of rows computed on the way where the metric needs them, or products of cosines."""
    if metric == PRODUCTS:
        terms = jnp.moveaxis(queries.reshape(queries.shape[0], 3, queries.shape[1] // 3), 1, 0)
        return cos_mul_of(source, terms, k, restriction)
    return top_k_of(source, queries, k, metric, restriction._replace(unit=metric != "dot"), recall)
