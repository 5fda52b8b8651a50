"""Approximate top-k by `lax.approx_max_k`, for hardware with an instruction path for it: TPUs.

Chern et al., "TPU-KNN: K Nearest Neighbor Search at Peak FLOP/s" (2022): the scores of a chunk are
reduced to the maxima of bins; the number of bins follows from the recall that is asked for.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ffjax.kernels.top_k.block_max import (
    Answers,
    drop_excluded,
    filtered_chunk_scorer,
    in_query_blocks,
    take_best,
)
from ffjax.kernels.top_k.metrics import Scorer
from ffjax.kernels.top_k.row_filter import RowFilter


def approximate_search(
    scorer: Scorer, queries: Array, k: int, row_filter: RowFilter, recall: float
) -> Answers:
    """As `block_max.search`, with `recall` the share of the best rows that is expected.

    Scores are those of the first pass, and equal scores come in no particular order.
    """
    n, n_rows = k + row_filter.n_excluded, scorer.source.n_rows
    start, stop = row_filter.start, row_filter.stop

    def search_block(queries: Array, row_filter: RowFilter) -> Answers:
        queries = lax.stop_gradient(queries)
        batch, dims = queries.shape
        size = min(n_rows, max(n, scorer.tiling.chunk_numbers // (dims + batch)))
        n_chunks = -(-n_rows // size)
        scores_of_chunk = filtered_chunk_scorer(scorer, queries, row_filter)

        def add_chunk(best: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], None]:
            first = jnp.minimum(index * size, n_rows - size)
            rows = first + jnp.arange(size, dtype=jnp.int32)
            # The last chunk reaches back, so that all chunks have one size.
            valid = rows >= index * size
            valid &= RowFilter(start, stop).allows(rows)
            scores = scores_of_chunk(first, size)
            scores = jnp.where(valid[:, None] & ~jnp.isnan(scores), scores, -jnp.inf)
            scores, positions = lax.approx_max_k(scores.T, min(n, size), recall_target=recall)
            scores = jnp.concatenate([best[0], scores], axis=1)
            return take_best(scores, jnp.concatenate([best[1], rows[positions]], axis=1), n), None

        # `full_like` keeps the axes of `shard_map` over which the queries vary.
        nothing = (
            lax.full_like(queries, -jnp.inf, jnp.float32, (batch, n)),
            lax.full_like(queries, -1, jnp.int32, (batch, n)),
        )
        (scores, rows), _ = lax.scan(add_chunk, nothing, jnp.arange(n_chunks, dtype=jnp.int32))
        return drop_excluded(scores, rows, k, row_filter)

    return in_query_blocks(search_block, queries, row_filter, scorer.tiling.queries)
