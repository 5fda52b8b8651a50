"""The `k` rows of a matrix nearest to each query: exact, in bounded memory, without sorting the rows.

How it is done, and why it is exact, says `ffjax.kernels.top_k.block_max`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int32

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.normalize import normalize
from ffjax.kernels.top_k.approximate import approximate_search
from ffjax.kernels.top_k.block_max import best_of, search
from ffjax.kernels.top_k.row_source import ACCELERATOR, RowFilter, RowSource, of_matrix

METRICS = ("dot", "cosine", "euclidean", "angular")


def top_k(
    matrix: Float[AnyArray, "rows dims"],
    queries: Float[AnyArray, "batch dims"],
    k: int,
    *,
    metric: str = "dot",
    inverse_norms: Float[AnyArray, "rows"] | None = None,
    exclude: Int32[AnyArray, "batch n_exclude"] | None = None,
    allowed: Bool[AnyArray, "rows"] | None = None,
    start: int | Int32[AnyArray, ""] | None = None,
    stop: int | Int32[AnyArray, ""] | None = None,
    n_rows: int | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The `k` rows with the highest scores for each query, exactly, best first.

    Equal scores come in the order of the rows. Any batch works in bounded memory: queries are searched in blocks, the
    rows are read in chunks, and neither the scores of all rows nor a second copy of the matrix exist at any time. Works
    inside `jit`, `vmap` and `shard_map`; gradients flow to the queries and to the rows that were chosen.

    The metrics are those of finalfusion-rust (`similarity.rs`), which finalfusion-utils prints, where c is the cosine:

    - `"dot"`: the dot product;
    - `"cosine"`: c, which is 0 where the row or the query is a zero vector;
    - `"angular"`: `1 - acos(c) / pi`, from 0 to 1;
    - `"euclidean"`: `1 - sqrt(2 - 2 c) / 2`, from 0 to 1: one less half the distance between the unit vectors.

    The last three rank the rows alike, by the cosine; ties are ties of the cosine.

    Args:
        matrix: rows to search, shape `[rows, dims]`. Narrow floats are searched as they are; all sums are float32, and
            products of float32 have the full precision of float32 on every backend. A row whose score is NaN is never
            an answer, and a query with NaN has none.
        queries: shape `[batch, dims]`; the batch may be empty.
        k: how many rows, static. Where fewer rows may be answers, the rest is -1 with a score of minus infinity.
        metric: how to score.
        inverse_norms: for the metrics other than `"dot"`, one over the length of each row (0 for a zero row), shape
            `[rows]`. Without it the lengths are computed on the way.
        exclude: rows to leave out for each query, -1 to fill up, shape `[batch, n_exclude]`.
        allowed: the rows that may be answers, shape `[rows]`; by default all.
        start: the first row that may be an answer; may be traced. Chunks outside the range are not read.
        stop: the row after the last that may be; may be traced.
        n_rows: search only this many rows from the top, as if there were no others; static, so each number is compiled
            for, and the search is then as fast as that of a smaller matrix.

    Returns:
        `(scores, rows)`: float32 and int32 of shape `[batch, k]`.

    Raises:
        ValueError: `k` or `n_rows` is negative, the metric is unknown, shapes differ, or norms are given for `"dot"`.

    Examples:
        >>> import jax.numpy as jnp
        >>> from ffjax.kernels.top_k.metrics import top_k
        >>> scores, rows = top_k(jnp.eye(3), jnp.array([[0.0, 0.5, 1.0]]), k=2)
        >>> rows.tolist(), scores.tolist()
        ([[2, 1]], [[1.0, 0.5]])
    """
    _check(matrix, queries, k, metric, inverse_norms, exclude, allowed, n_rows)
    limit = matrix.shape[0] if n_rows is None else min(n_rows, matrix.shape[0])
    if isinstance(start, int | np.integer) and start <= 0:
        start = None
    if isinstance(stop, int | np.integer) and stop >= limit:
        stop = None
    as_row = partial(jnp.asarray, dtype=jnp.int32)
    return _top_k(
        matrix,
        queries,
        inverse_norms,
        exclude,
        allowed,
        None if start is None else as_row(start),
        None if stop is None else as_row(stop),
        k=int(k),
        metric=metric,
        n_rows=limit,
    )


@partial(jax.jit, static_argnames=("k", "metric", "n_rows"))
def _top_k(
    matrix: Array,
    queries: Array,
    inverse_norms: Array | None,
    exclude: Array | None,
    allowed: Array | None,
    start: Array | None,
    stop: Array | None,
    *,
    k: int,
    metric: str,
    n_rows: int,
) -> tuple[Array, Array]:
    source = of_matrix(matrix, n_rows)
    restriction = RowFilter(
        factors=None if inverse_norms is None else inverse_norms.astype(jnp.float32),
        unit=metric != "dot" and inverse_norms is None,
        allowed=allowed,
        start=start,
        stop=stop,
        exclude=exclude,
    )
    return top_k_of(source, queries, k, metric, restriction)


def top_k_of(
    source: RowSource,
    queries: Float[Array, "batch dims"],
    k: int,
    metric: str,
    restriction: RowFilter,
    recall: float | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """`top_k` of rows however they are stored, for use inside `jit`.

    Args:
        source: the rows.
        queries: shape `[batch, dims]`.
        k: how many rows.
        metric: how to score; the restriction says what the rows' scores are scaled by.
        restriction: what scales the scores and which rows may be answers.
        recall: search approximately, with this share of the best rows expected to be found.

    Returns:
        `(scores, rows)` as `top_k` gives them.
    """
    queries = _prepared(source, queries, metric)
    if recall is None or not queries.shape[0] or not k or not source.n_rows:
        scores, rows = search(source, queries, k, restriction)
    else:
        scores, rows = approximate_search(source, queries, k, restriction, recall, ACCELERATOR)
    return _of_cosine(scores, metric), rows


def best_of_rows(
    source: RowSource, queries: Float[Array, "batch dims"], rows: Int32[Array, "batch n"], k: int, metric: str
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """`top_k_of` among a few rows that are listed for each query, which alone are read.

    Args:
        source: the rows.
        queries: shape `[batch, dims]`.
        rows: row numbers, each once, in any order, -1 to fill up.
        k: how many rows.
        metric: how to score.
    """
    scores, best = best_of(source, RowFilter(unit=metric != "dot"), k, _prepared(source, queries, metric), rows)
    return _of_cosine(scores, metric), best


def _prepared(source: RowSource, queries: Array, metric: str) -> Array:
    """Queries to be multiplied with what the source reads."""
    if metric != "dot":
        wide = queries.astype(jnp.float32)
        queries = jnp.where(jnp.isnan(wide).any(-1, keepdims=True), jnp.nan, normalize(wide)[0])
    return source.turned(queries)


def merge_top_k(
    scores: Float[AnyArray, "batch n"], rows: Int32[AnyArray, "batch n"], k: int
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The best `k` of answers that were found apart: on several devices, or in several parts of a file.

    Args:
        scores: the scores of all parts side by side, shape `[batch, n]`, in any order.
        rows: their rows, numbered alike in all parts; -1 where a part had too few.
        k: how many to keep.

    Returns:
        `(scores, rows)` as `top_k` gives them: best first, equal scores in the order of the rows.

    Examples:
        >>> import jax.numpy as jnp
        >>> from ffjax.kernels.top_k.metrics import merge_top_k
        >>> scores, rows = merge_top_k(jnp.array([[0.5, 0.1, 0.5, 0.2]]), jnp.array([[7, 9, 3, 4]]), k=3)
        >>> rows.tolist()
        [[3, 7, 4]]
    """
    wide = jnp.where(rows < 0, -jnp.inf, scores.astype(jnp.float32))
    behind, order = lax.sort((-wide, jnp.asarray(rows)), num_keys=2)
    missing = ((0, 0), (0, max(0, k - wide.shape[1])))
    best = jnp.pad(-behind[:, :k], missing, constant_values=-jnp.inf)
    order = jnp.pad(order[:, :k], missing, constant_values=-1)
    return best, jnp.where(best == -jnp.inf, jnp.int32(-1), order)


def _of_cosine(scores: Array, metric: str) -> Array:
    if metric in ("dot", "cosine"):
        return scores
    # At the ends of the range, where the slopes are infinite, the answer is a constant and its gradient zero.
    inside = (scores > -1) & (scores < 1)
    cosine = jnp.where(inside | jnp.isnan(scores), scores, 0.0)
    turned = 1 - jnp.arccos(cosine) / jnp.pi if metric == "angular" else 1 - jnp.sqrt(2 - 2 * cosine) / 2
    ends = jnp.where(scores > 0, 1.0, 0.0)  # of both metrics
    return jnp.where(scores == -jnp.inf, -jnp.inf, jnp.where(inside | jnp.isnan(scores), turned, ends))


def _check(matrix, queries, k, metric, inverse_norms, exclude, allowed, n_rows) -> None:
    if k < 0:
        raise ValueError(f"`k`: expected 0 or more, got {k}.")
    if metric not in METRICS:
        raise ValueError(f"`metric`: expected one of {', '.join(METRICS)}, got {metric!r}.")
    if n_rows is not None and n_rows < 0:
        raise ValueError(f"`n_rows`: expected 0 or more, got {n_rows}.")
    if matrix.ndim != 2 or queries.ndim != 2 or matrix.shape[1] != queries.shape[1]:
        raise ValueError(
            f"`queries`: expected shape [batch, dims] for a matrix of shape {matrix.shape}, got {queries.shape}."
        )
    if metric == "dot" and inverse_norms is not None:
        raise ValueError("`inverse_norms`: expected None for the metric 'dot'; use 'cosine' to divide by the norms.")
    for name, value in (("inverse_norms", inverse_norms), ("allowed", allowed)):
        if value is not None and value.shape != matrix.shape[:1]:
            raise ValueError(f"`{name}`: expected shape {matrix.shape[:1]}, one entry a row, got {value.shape}.")
    if exclude is not None and exclude.shape[:1] != queries.shape[:1]:
        raise ValueError(f"`exclude`: expected {queries.shape[0]} rows, one for each query, got {exclude.shape}.")
