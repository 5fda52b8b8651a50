"""The best rows of a source for each query: what every search runs on a device."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from ffjax.kernels.top_k import block_max
from ffjax.kernels.top_k.approximate import approximate_search
from ffjax.kernels.top_k.block_max import Answers
from ffjax.kernels.top_k.metrics import Scorer, from_cosine, prepared_queries
from ffjax.kernels.top_k.row_filter import RowFilter, listed_rows
from ffjax.kernels.top_k.row_source import RowSource, of_listed
from ffjax.kernels.top_k.tiling import ACCELERATOR, Tiling, for_platform


def top_k_rows(
    source: RowSource,
    queries: Float[Array, "batch *terms dims"],
    k: int,
    metric: str,
    row_filter: RowFilter,
    *,
    recall: float | None = None,
    tiling: Tiling | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The `k` rows with the highest scores for each query, best first.

    Equal scores come in the order of the rows. To be called inside `jit`, `vmap` or `shard_map`;
    gradients flow to the queries and to the rows that are answers. Queries are searched in blocks
    and rows are read in chunks: neither the scores of all rows nor a copy of them ever exist.

    Args:
        source: the rows.
        queries: shape `[batch, dims]`, or `[batch, 3, dims]` for 3CosMul; any batch.
        k: how many rows, any number.
        metric: one of `METRICS`, or `COS_MUL`.
        row_filter: which rows may be answers.
        recall: for an approximate search, the share of the best rows that is expected.
        tiling: sizes; by default those of the platform that the program is compiled for.

    Returns:
        `(scores, rows)`. Missing answers are row -1 with a score of minus infinity.
    """
    if row_filter.ids is not None:
        listed = of_listed(source, jnp.asarray(row_filter.ids))._replace(
            n_rows=len(row_filter.ids) if source.n_rows else 0
        )
        row_filter, ids = row_filter.of_listed(source.n_rows), row_filter.ids
        options = {"recall": recall, "tiling": tiling}
        scores, positions = top_k_rows(listed, queries, k, metric, row_filter, **options)
        return scores, listed_rows(positions, ids) if listed.n_rows else positions
    if not queries.shape[0] or not k or not source.n_rows:
        return no_answers(queries.shape[0], k)
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
    source: RowSource,
    queries: Float[Array, "batch dims"],
    rows: Int32[Array, "batch n"],
    k: int,
    metric: str,
    tiling: Tiling | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """As `top_k_rows`, among the rows listed for each query, each once; -1 is padding."""
    if not source.n_rows or not rows.size:
        return no_answers(queries.shape[0], k)

    def rank(tiling: Tiling, queries: Array, rows: Array) -> tuple[Array, Array]:
        return block_max.best_of_rows(Scorer(source, metric, tiling), queries, rows, k)

    prepared = prepared_queries(source, queries, metric)
    scores, rows = for_platform(rank, tiling, prepared, rows)
    return from_cosine(scores, metric), rows


def no_answers(batch: int, k: int) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """Answers where there are no rows."""
    return jnp.full((batch, k), -jnp.inf, jnp.float32), jnp.full((batch, k), -1, jnp.int32)
