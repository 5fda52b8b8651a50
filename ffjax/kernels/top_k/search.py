"""The best rows of a source for each query: what every search runs on a device."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int32

from ffjax.kernels.top_k import block_max
from ffjax.kernels.top_k.block_max import (
    Answers,
    ArrayPair,
    drop_excluded,
    filtered_chunk_scorer,
    in_query_blocks,
    take_best,
)
from ffjax.kernels.top_k.rows import (
    RowFilter,
    RowSource,
    Scorer,
    from_cosine,
    listed_rows,
    of_listed,
    prepared_queries,
)
from ffjax.kernels.top_k.tiling import ACCELERATOR, Tiling, for_platform


class Plan(NamedTuple):
    """How to search; hashable.

    Attributes:
        k: how many answers a query has.
        metric: how rows are scored.
        tiling: the sizes for a device; `None` inside a caller's `jit`, where it is not known.
        recall: the share of the best rows that an approximate search is expected to find.
    """

    k: int
    metric: str
    tiling: Tiling | None = None
    recall: float | None = None


def top_k_rows(
    source: RowSource, queries: Float[Array, "batch *terms dims"], row_filter: RowFilter, plan: Plan
) -> Answers:
    """The `k` rows with the highest scores for each query, best first.

    Equal scores come in the order of the rows, and missing answers are row -1 with a score of minus
    infinity. To be called inside `jit`, `vmap` or `shard_map`; gradients flow to the queries and to
    the rows that are answers.
    """
    k, metric, tiling, recall = plan
    ids, n_rows = row_filter.ids, source.n_rows
    if not queries.shape[0] or not k or not n_rows or (ids is not None and not len(ids)):
        return no_answers(queries.shape[0], k)
    if ids is not None:
        listed = of_listed(source, jnp.asarray(ids))._replace(n_rows=len(ids))
        scores, positions = top_k_rows(listed, queries, row_filter.of_listed(n_rows), plan)
        return scores, listed_rows(positions, ids)
    queries = prepared_queries(source, queries, metric)

    def search(tiling: Tiling, queries: Array) -> Answers:
        return block_max.search(Scorer(source, metric, tiling), queries, k, row_filter)

    if recall is None:
        scores, rows = for_platform(search, tiling, queries)
    else:
        scorer = Scorer(source, metric, ACCELERATOR)
        scores, rows = approximate_search(scorer, queries, k, row_filter, recall)
    return from_cosine(scores, metric), rows


def best_of_rows(
    source: RowSource, queries: Array, rows: Int32[Array, "batch n"], plan: Plan
) -> Answers:
    """As `top_k_rows`, among the rows listed for each query, each once; -1 is padding."""
    k, metric, tiling, _ = plan
    if not source.n_rows or not rows.size:
        return no_answers(queries.shape[0], k)

    def rank(tiling: Tiling, queries: Array, rows: Array) -> Answers:
        return block_max.best_of_rows(Scorer(source, metric, tiling), queries, rows, k)

    prepared = prepared_queries(source, queries, metric)
    scores, rows = for_platform(rank, tiling, prepared, rows)
    return from_cosine(scores, metric), rows


def approximate_search(
    scorer: Scorer, queries: Array, k: int, row_filter: RowFilter, recall: float
) -> Answers:
    """Top-k by `lax.approx_max_k`, for hardware with an instruction path for it: TPUs.

    Chern et al., "TPU-KNN: K Nearest Neighbor Search at Peak FLOP/s" (2022): the scores of a chunk
    are reduced to the maxima of bins, as many as `recall` requires. Equal scores come in any order.
    """
    n, n_rows = k + row_filter.n_excluded, scorer.source.n_rows
    start, stop = row_filter.start, row_filter.stop

    def search_block(queries: Array, row_filter: RowFilter) -> Answers:
        queries = lax.stop_gradient(queries)
        batch, dims = queries.shape
        size = min(n_rows, max(n, scorer.tiling.chunk_numbers // (dims + batch)))
        n_chunks = -(-n_rows // size)
        scores_of_chunk = filtered_chunk_scorer(scorer, queries, row_filter)

        def add_chunk(best: ArrayPair, index: Array) -> tuple[ArrayPair, None]:
            first = jnp.minimum(index * size, n_rows - size)
            rows = first + jnp.arange(size, dtype=jnp.int32)
            # The last chunk reaches back, so that all chunks have one size.
            valid = (rows >= index * size) & RowFilter(start, stop).allows(rows)
            scores = scores_of_chunk(first, size)
            scores = jnp.where(valid[:, None] & ~jnp.isnan(scores), scores, -jnp.inf)
            scores, positions = lax.approx_max_k(scores.T, min(n, size), recall_target=recall)
            scores = jnp.concatenate([best[0], scores], axis=1)
            rows = jnp.concatenate([best[1], rows[positions]], axis=1)
            return take_best(scores, rows, n), None

        # `full_like` keeps the axes of `shard_map` over which the queries vary.
        no_scores = lax.full_like(queries, -jnp.inf, jnp.float32, (batch, n))
        no_rows = lax.full_like(queries, -1, jnp.int32, (batch, n))
        chunks = jnp.arange(n_chunks, dtype=jnp.int32)
        (scores, rows), _ = lax.scan(add_chunk, (no_scores, no_rows), chunks)
        return drop_excluded(scores, rows, k, row_filter)

    return in_query_blocks(search_block, queries, row_filter, scorer.tiling.queries)


def no_answers(batch: int, k: int) -> Answers:
    """Answers where there are no rows."""
    return jnp.full((batch, k), -jnp.inf, jnp.float32), jnp.full((batch, k), -1, jnp.int32)
