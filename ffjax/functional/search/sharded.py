"""Search over several devices: each searches its own rows, then all candidates meet.

The partitioner is never left to divide a top-k over a sharded axis (https://github.com/jax-ml/jax/issues/19271): what
each device does is written down here, in `shard_map`. Rows lie on the devices in their order, and candidates are
gathered in the order of the devices, so of equal scores the one of the lower row stays first.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Float32, Int32

from ffjax._internal.jax_compat import gathered
from ffjax.functional.search.in_memory import top_k_in
from ffjax.kernels.top_k.block_max import take_best
from ffjax.kernels.top_k.row_source import RowFilter
from ffjax.storage import ShardedArray, Storage


@partial(jax.jit, static_argnames=("k", "metric", "n_rows", "recall"))
def search_sharded(
    storage: ShardedArray,
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
    recall: float | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """Searches rows that are divided over some axes of a mesh; its other axes divide the queries.

    Args:
        storage: the rows.
        queries: shape `[batch, dims]`; any number.
        exclude: rows to leave out for each query.
        mask: which rows may be answers.
        ids: row numbers of the rows that may be.
        start: the first row that may be.
        stop: the row after the last.
        k: how many.
        metric: how to score.
        n_rows: how many rows of the storage there are to search.
        recall: the share of the best rows to find, or `None` for all.

    Returns:
        What one device would answer.
    """
    batch, padded = queries.shape[0], len(storage.padded)
    if batch == 0 or k == 0:
        return jnp.full((batch, k), -jnp.inf, jnp.float32), jnp.full((batch, k), -1, jnp.int32)
    if ids is not None:  # the rows stay where they are: a list of rows becomes a mask
        listed = jnp.where((ids < 0) | (ids >= n_rows), padded, ids)
        mask = jnp.zeros(padded, bool).at[listed].set(True, mode="drop")
    elif mask is not None:
        mask = jnp.pad(mask, (0, padded - n_rows))
    first = jnp.int32(0) if start is None else start
    last = jnp.int32(n_rows) if stop is None else jnp.minimum(stop, n_rows)
    missing = ((0, -batch % math.prod(storage.mesh.shape[axis] for axis in storage.spare_axes)), (0, 0))
    queries = jnp.pad(queries, missing)
    exclude = None if exclude is None else jnp.pad(exclude, missing)
    by_rows, by_queries = PartitionSpec(storage.axes), PartitionSpec(storage.spare_axes)
    limited = padded != n_rows or stop is not None

    def local(part: Storage, mask: Array | None, queries: Array, exclude: Array | None, ends: Array) -> tuple:
        own = len(part)
        begin = storage.first(own)
        near, far = (jnp.clip(end - begin, 0, own) for end in ends)
        if exclude is not None:
            exclude = jnp.where((exclude >= begin) & (exclude < begin + own), exclude - begin, -1)
        restriction = RowFilter(
            allowed=mask, start=None if start is None else near, stop=far if limited else None, exclude=exclude
        )
        scores, rows = top_k_in(part.row_source(own), queries, k, metric, restriction, recall)
        rows = jnp.where(rows < 0, -1, rows + begin)
        if not storage.axes:
            return scores, rows
        both = [gathered(x, storage.axes, padded // own) for x in (scores, rows)]
        return take_best(both[0], both[1], k)

    search = storage.on_each(local, (storage.specs, by_rows, by_queries, by_queries, PartitionSpec()), by_queries)
    scores, rows = search(storage.padded, mask, queries, exclude, jnp.stack([first, last]))
    return scores[:batch], rows[:batch]
