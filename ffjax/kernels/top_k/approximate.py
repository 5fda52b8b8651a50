"""Approximate top-k by `lax.approx_max_k`: for hardware with an instruction path for it, which is the TPU.

Chern et al., "TPU-KNN: K Nearest Neighbor Search at Peak FLOP/s" (2022): the scores of a chunk are reduced to the
maxima of bins, of which only one in a bin survives; the number of bins follows from the recall that is asked for.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32, Int32

from ffjax.kernels.top_k.block_max import chunk_scores, in_query_blocks, take_best, without_excluded
from ffjax.kernels.top_k.row_source import RowFilter, RowSource, Tiling


def approximate_search(
    source: RowSource,
    queries: Float[Array, "batch dims"],
    k: int,
    restriction: RowFilter,
    recall: float,
    plan: Tiling,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """As `search`, with `recall` the share of the best rows that is expected to be found.

    Scores are those of the first pass, and equal scores come in no particular order.

    Args:
        source: the rows.
        queries: shape `[batch, dims]`.
        k: how many rows, any number.
        restriction: what scales the scores and which rows may be answers.
        recall: above 0 and up to 1.
        plan: sizes.

    Returns:
        `(scores, rows)`; minus infinity and -1 where fewer than `k` rows may be answers.
    """
    exclude = restriction.exclude
    wanted = k + (0 if exclude is None else exclude.shape[1])

    def of_block(restriction: RowFilter, queries: Array) -> tuple[Array, Array]:
        queries = lax.stop_gradient(queries)
        batch, dims = queries.shape
        size = min(source.n_rows, max(wanted, plan.chunk // (dims + batch)))
        n_chunks = -(-source.n_rows // size)

        def add(best: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], None]:
            start = jnp.minimum(index * size, source.n_rows - size)
            rows = start + jnp.arange(size, dtype=jnp.int32)
            scores = chunk_scores(source, restriction, plan, queries, start, size)
            valid = rows >= index * size  # the last chunk reaches back, so that all have one size
            if restriction.start is not None:
                valid &= rows >= restriction.start
            if restriction.stop is not None:
                valid &= rows < restriction.stop
            scores = jnp.where(valid[:, None] & ~jnp.isnan(scores), scores, -jnp.inf)
            found, places = lax.approx_max_k(scores.T, min(wanted, size), recall_target=recall)
            both = jnp.concatenate([best[0], found], 1), jnp.concatenate([best[1], rows[places]], 1)
            return take_best(*both, wanted), None

        none = queries[:, :1].astype(jnp.float32) * 0  # of the queries, to vary over the axes that they vary over
        nothing = jnp.broadcast_to(jnp.where(none == none, -jnp.inf, -jnp.inf), (batch, wanted))
        first = nothing, jnp.where(nothing == nothing, -1, -1).astype(jnp.int32)
        (scores, rows), _ = lax.scan(add, first, jnp.arange(n_chunks, dtype=jnp.int32))
        return without_excluded(scores, rows, restriction, k)

    return in_query_blocks(of_block, restriction, queries, k, plan.queries)
