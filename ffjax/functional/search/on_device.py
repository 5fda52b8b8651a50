"""Search of rows in the memory of one device or several, each of which searches its own rows.

The partitioner divides a top-k over a sharded axis badly
(https://github.com/jax-ml/jax/issues/19271), hence `shard_map`. Candidates are gathered in the
order of the devices and so of the rows: among equal scores the lower row stays first.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from ffjax._internal.jax_compat import gathered
from ffjax.kernels.top_k.block_max import Answers, take_best
from ffjax.kernels.top_k.rows import RowFilter
from ffjax.kernels.top_k.search import Plan, no_answers, top_k_rows
from ffjax.storage import ShardedArray, Storage
from ffjax.storage.explicit import takes_explicit


@partial(jax.jit, static_argnames=("n_rows", "plan"))
@takes_explicit
def search_on_device(
    storage: Storage, queries: Array, row_filter: RowFilter, n_rows: int, plan: Plan
) -> Answers:
    """`top_k_rows` of the first `n_rows` rows of a storage."""
    if isinstance(storage, ShardedArray):
        return _search_sharded(storage, queries, row_filter, n_rows, plan)
    return top_k_rows(storage.row_source(n_rows), queries, row_filter, plan)


def _search_sharded(
    storage: ShardedArray, queries: Array, row_filter: RowFilter, n_rows: int, plan: Plan
) -> Answers:
    """Searches rows divided over some axes of a mesh; its other axes divide the queries."""
    k, batch, n_padded = plan.k, queries.shape[0], len(storage.padded)
    if batch == 0 or k == 0:
        return no_answers(batch, k)
    start, stop, exclude = row_filter.start, row_filter.stop, row_filter.exclude
    limited = n_padded != n_rows or stop is not None
    first_row = jnp.int32(0) if start is None else jnp.asarray(start)
    stop_row = jnp.int32(n_rows) if stop is None else jnp.minimum(stop, n_rows)
    ends = jnp.stack([first_row, stop_row])
    missing = -batch % math.prod(storage.mesh.shape[axis] for axis in storage.spare_axes)
    queries, exclude = jax.tree.map(
        lambda x: jnp.pad(x, ((0, missing), *((0, 0),) * (x.ndim - 1))), (queries, exclude)
    )

    def local(
        shard: Storage, mask: Array | None, queries: Array, exclude: Array | None, ends: Array
    ) -> Answers:
        size = len(shard)
        first = storage.first(size)
        local_start, local_stop = (jnp.clip(end - first, 0, size) for end in ends)
        if exclude is not None:
            inside = (exclude >= first) & (exclude < first + size)
            exclude = jnp.where(inside, exclude - first, -1)
        local_start = None if start is None else local_start
        local_stop = local_stop if limited else None
        local_filter = RowFilter(local_start, local_stop, mask, exclude=exclude)
        scores, rows = top_k_rows(shard.row_source(size), queries, local_filter, plan)
        rows = jnp.where(rows < 0, -1, rows + first)
        if not storage.axes:
            return scores, rows
        scores, rows = (gathered(x, storage.axes, n_padded // size) for x in (scores, rows))
        return take_best(scores, rows, k)

    by_rows, by_queries = PartitionSpec(storage.axes), PartitionSpec(storage.spare_axes)
    in_specs = (storage.specs, by_rows, by_queries, by_queries, PartitionSpec())
    mask = row_filter.mask
    if mask is not None:
        mask = jnp.pad(mask, (0, n_padded - n_rows))
    if row_filter.ids is not None:  # rows stay where they are, so a list of rows becomes a mask
        ids = jnp.asarray(row_filter.ids)
        ids = jnp.where((ids < 0) | (ids >= n_rows), n_padded, ids)
        mask = jnp.zeros(n_padded, bool).at[ids].set(True, mode="drop")
    search_shards = storage.on_each(local, in_specs, by_queries)
    scores, rows = search_shards(storage.padded, mask, queries, exclude, ends)
    if storage.spare_axes:
        # So that each process has all answers.
        everywhere = NamedSharding(storage.mesh, PartitionSpec())
        scores, rows = lax.with_sharding_constraint((scores, rows), everywhere)
    return scores[:batch], rows[:batch]
