"""Exact top-k without sorting the rows: maxima of blocks of rows, the best blocks, then the rows in them.

The search runs in three steps, for a block of queries at a time:

1. One pass over the rows in chunks that stay in cache. Each chunk is multiplied with the queries, and only the maximum
   of every block of rows is kept. The product has the rows on the left, and the maxima are a `reduce_window` over it:
   XLA's CPU backend then makes one kernel of both, at nearly the speed of the bare product.
2. The best blocks of each query, by the same trick once more: groups of blocks, the best groups, the blocks in them.
3. The scores of the rows in those blocks, from which `lax.top_k` takes the answer.

On the CPU a threshold chooses in steps 2 and 3 where answers are many, see `ffjax.kernels.top_k.threshold_select`.

Why the best blocks hold the best rows, ties included. Rank rows by (score descending, row ascending) and blocks by
(maximum descending, block ascending). Let t be one of the k best rows, T its block, and suppose that k blocks rank
before T. Each of them has a row that scores as much as its block, so no less than T and no less than t; and where it
scores the same as t, the block ranks before T because it is lower, and so is the row. So k rows rank before t: a
contradiction. The same holds for blocks and groups of blocks.

Steps 1 and 3 contract in different shapes, so they may round differently. Within each step equal rows get equal scores,
which keeps ties exact: all products have a multiple of `_ALIGNED` rows, since XLA's CPU backend sums the rows left over
at the end of a tile in another order. And `_SPARE` blocks more than needed are taken, so that rows which only rounding
tells apart are ranked by the scores that are returned.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int32

from ffjax.kernels.top_k.row_source import ACCELERATOR, CPU, RowFilter, RowSource, Tiling
from ffjax.kernels.top_k.threshold_select import capacity_for, largest

_SPARE = 2
_LARGEST_BLOCK = 32
_ALIGNED = 32
_TWICE = 64
_TILE = 64  # queries: of a part of so many the product takes as long as of all
_MANY = 64  # answers: for fewer of many numbers `lax.top_k` is the faster, for batches of any size


def search(
    source: RowSource, queries: Float[Array, "batch dims"], k: int, restriction: RowFilter, plan: Tiling | None = None
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The `k` rows with the largest products with each query, best first, equal scores in the order of the rows.

    Meant to be called inside `jit`: every shape is static, and the batch is worked through in blocks of queries.

    Args:
        source: the rows.
        queries: shape `[batch, dims]`.
        k: how many rows, any number.
        restriction: what scales the scores and which rows may be answers.
        plan: sizes; by default those of the platform that the program is compiled for.

    Returns:
        `(scores, rows)`; minus infinity and -1 where fewer than `k` rows may be answers.
    """
    batch = queries.shape[0]
    if batch == 0 or k == 0 or source.n_rows == 0:
        return jnp.full((batch, k), -jnp.inf, jnp.float32), jnp.full((batch, k), -1, jnp.int32)
    if plan is not None:
        return _of_plan(source, restriction, k, plan, queries)
    on = {name: partial(_of_plan, source, restriction, k, plan) for name, plan in _PLANS.items()}
    return lax.platform_dependent(queries, **on)


_PLANS = {"cpu": CPU, "default": ACCELERATOR}


def in_query_blocks(
    search_block: Callable[[RowFilter, Array], tuple[Array, Array]],
    restriction: RowFilter,
    queries: Array,
    k: int,
    size: int,
) -> tuple[Array, Array]:
    """Works through a batch, at most `size` queries at a time."""
    batch, exclude = queries.shape[0], restriction.exclude
    n_blocks = -(-batch // size)
    size = -(-batch // n_blocks)
    if n_blocks == 1:
        return search_block(restriction, queries)
    missing = n_blocks * size - batch
    padded = [jnp.pad(x, ((0, missing), (0, 0))) for x in (queries, *(() if exclude is None else (exclude,)))]
    blocks = [x.reshape(n_blocks, size, x.shape[1]) for x in padded]
    scores, rows = lax.map(
        lambda xs: search_block(restriction._replace(exclude=xs[1] if len(xs) > 1 else None), xs[0]), blocks
    )
    return scores.reshape(-1, k)[:batch], rows.reshape(-1, k)[:batch]


def _of_plan(source: RowSource, restriction: RowFilter, k: int, plan: Tiling, queries: Array) -> tuple[Array, Array]:
    exclude = restriction.exclude
    wanted = k + (0 if exclude is None else exclude.shape[1])
    block_rows = _block_rows(source.n_rows, wanted)
    size = max(1, min(plan.queries, plan.maxima // (source.n_rows // block_rows)))
    size -= size % _TILE if size > _TILE else 0
    sizes = _Sizes(block_rows, wanted, k, plan)
    return in_query_blocks(partial(_search_block, source, sizes), restriction, queries, k, size)


class _Sizes(NamedTuple):
    block_rows: int
    wanted: int
    k: int
    plan: Tiling


def _block_rows(n_rows: int, wanted: int) -> int:
    """Large blocks leave few maxima to choose from, but many rows to score twice: at most one in `_TWICE`, or 512."""
    size = _LARGEST_BLOCK
    while size > 1 and (size > n_rows or wanted * size > max(512, n_rows // _TWICE)):
        size //= 2
    return size


def _search_block(source: RowSource, sizes: _Sizes, restriction: RowFilter, queries: Array) -> tuple[Array, Array]:
    block_rows, wanted, k, plan = sizes
    queried = lax.stop_gradient(queries)
    if plan.tables and source.tables is not None:
        source = source._replace(scores=source.tables(queried, restriction.unit))
    maxima, first_rows = _block_maxima(queried, source, restriction, sizes)
    ends = (restriction.start is not None) + (restriction.stop is not None)  # blocks that only partly may be answers
    blocks, found = _best(maxima, min(wanted + ends + _SPARE, maxima.shape[0]), plan)
    rows = _within(first_rows[blocks], block_rows).T
    valid = jnp.repeat(found != -jnp.inf, block_rows, axis=0).T
    rest = source.n_rows % block_rows  # rows after the last whole block: always candidates
    padding = -(rows.shape[1] + rest) % _ALIGNED
    last = jnp.minimum(jnp.arange(rest + padding, dtype=jnp.int32) + (source.n_rows - rest), source.n_rows - 1)
    rows = jnp.concatenate([rows, jnp.broadcast_to(last, (rows.shape[0], rest + padding))], axis=1)
    valid = jnp.pad(jnp.pad(valid, ((0, 0), (0, rest)), constant_values=True), ((0, 0), (0, padding)))
    scores = scores_of(source, restriction, plan, queries, rows)
    scores, rows = _best_of_valid(scores, rows, restriction.applied(valid, rows), wanted, plan)
    return without_excluded(scores, rows, restriction, k)


def best_of(
    source: RowSource, restriction: RowFilter, k: int, queries: Array, rows: Int32[Array, "batch n"]
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """As `search`, among rows that are listed for each query, each once and in any order; -1 stands for none.

    Args:
        source: all rows.
        restriction: what scales the scores.
        k: how many rows, any number.
        queries: shape `[batch, dims]`.
        rows: the rows to choose from, shape `[batch, n]`.
    """
    if source.n_rows == 0:
        rows = rows[:, :0]
    none = np.iinfo(np.int32).max
    rows = lax.sort(jnp.where(rows < 0, none, rows), dimension=1)
    rows = jnp.pad(rows, ((0, 0), (0, -rows.shape[1] % _ALIGNED)), constant_values=none)
    if rows.size == 0:
        return jnp.full((rows.shape[0], k), -jnp.inf, jnp.float32), jnp.full((rows.shape[0], k), -1, jnp.int32)
    ids = jnp.minimum(rows, source.n_rows - 1)
    on = {name: lambda q, ids, plan=plan: scores_of(source, restriction, plan, q, ids) for name, plan in _PLANS.items()}
    scores, rows = _best_of_valid(lax.platform_dependent(queries, ids, **on), rows, rows != none, k)
    return scores, jnp.where(scores == -jnp.inf, -1, rows)


def _best_of_valid(
    scores: Array, rows: Array, valid: Array, k: int, plan: Tiling | None = None
) -> tuple[Array, Array]:
    scores = jnp.where(valid & ~jnp.isnan(scores), _no_negative_zero(scores), -jnp.inf)
    if plan is not None and 2 * k < scores.shape[1] and _by_threshold(k, scores.shape[0], plan):
        places, found = _in_order(scores.T, k, plan)
        scores, rows = found.T, jnp.take_along_axis(rows, places.T, axis=1, mode="promise_in_bounds")
    return take_best(scores, rows, k)


def _block_maxima(queries: Array, source: RowSource, restriction: RowFilter, sizes: _Sizes) -> tuple[Array, Array]:
    """Maxima of all whole blocks `[blocks, batch]`, and the first row of each of these blocks."""
    block_rows, _, _, plan = sizes
    batch, dims = queries.shape
    n_rows = source.n_rows // block_rows * block_rows
    in_place = batch == 1 and not restriction.unit  # XLA then reads the rows where they lie
    numbers = 1 + dims // 4 if in_place else dims + batch
    size = _rounded_up(-(-n_rows // -(-n_rows * numbers // plan.chunk)), _ALIGNED)
    if size > n_rows:  # two chunks that overlap, if need be, rather than one of a size that is not aligned
        size = min(n_rows, _rounded_up(-(-n_rows // 2), _ALIGNED))
    n_chunks = -(-n_rows // size)
    offsets = jnp.arange(0, size, block_rows, dtype=jnp.int32)

    ranged = restriction.start is not None or restriction.stop is not None

    def maxima(index: Array | int) -> tuple[Array, Array]:
        start = jnp.minimum(jnp.int32(index * size), n_rows - size)
        first_rows = start + offsets
        dead = first_rows < index * size  # the last chunk reaches back, so that all have one size
        if restriction.start is not None:
            dead |= first_rows + block_rows <= restriction.start
        if restriction.stop is not None:
            dead |= first_rows >= restriction.stop

        def of_chunk() -> Array:
            scores = chunk_scores(source, restriction, plan, queries, start, size)
            best = _maxima(scores, block_rows, plan)
            return jnp.where(dead[:, None], -jnp.inf, best) if ranged or n_chunks * size != n_rows else best

        def nothing() -> Array:  # made of the same arrays: a constant would not vary over the axes of `shard_map`
            scores = chunk_scores(source, restriction, plan, queries, start, 1)
            return jnp.broadcast_to(jnp.where(scores > 0, -jnp.inf, -jnp.inf), (size // block_rows, batch))

        return (lax.cond(dead.all(), nothing, of_chunk) if ranged else of_chunk()), first_rows

    if n_chunks == 1:
        return maxima(0)
    best, first_rows = lax.map(maxima, jnp.arange(n_chunks, dtype=jnp.int32))
    return best.reshape(-1, batch), first_rows.reshape(-1)


def _maxima(scores: Array, block_rows: int, plan: Tiling) -> Array:
    """The largest score in each block of rows, whatever else in it is NaN: no NaN may hide a number."""
    # `lax.max` answers NaN where there is one. A comparison with NaN is false, so this keeps what was largest before;
    # one instruction, where `lax.max` takes three.
    larger = (lambda best, score: lax.select(score > best, score, best)) if plan.in_order else lax.max
    if not plan.in_order:
        scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    window = (block_rows, 1)
    return lax.reduce_window(scores, np.float32(-np.inf), larger, window, window, "VALID")


def chunk_scores(
    source: RowSource, restriction: RowFilter, plan: Tiling, queries: Array, start: Array, size: int
) -> Array:
    """Scores of `size` rows from `start` on for each query, `[size, batch]`; minus infinity where not `allowed`."""
    if source.scores is None:
        scores = _products(source, restriction, plan, queries, start, size)
    else:
        scores = source.scores(start, size)
    if restriction.factors is not None:
        scores *= lax.dynamic_slice_in_dim(restriction.factors, start, size)[:, None]
    if restriction.allowed is not None:
        allowed = lax.dynamic_slice_in_dim(restriction.allowed, start, size)
        scores += jnp.where(allowed, 0.0, -jnp.inf)[:, None]
    return scores


def _products(source: RowSource, restriction: RowFilter, plan: Tiling, queries: Array, start: Array, size: int) -> Array:
    chunk = lax.stop_gradient(source.chunk(start, size))
    if plan.widen or chunk.dtype != queries.dtype:
        chunk, queries = chunk.astype(jnp.float32), queries.astype(jnp.float32)
    if queries.shape[0] == 1 and source.tables is None:
        # Written with a transpose, XLA's CPU backend reads the chunk where it lies: no copy, the speed of memory.
        scores = jnp.matmul(queries, chunk.T, precision=lax.Precision.HIGHEST).reshape(size, 1).astype(jnp.float32)
    else:
        scores = _dot(chunk, queries)
    return scores * source.lengths(chunk, False)[:, None] if restriction.unit else scores


def scores_of(source: RowSource, restriction: RowFilter, plan: Tiling, queries: Array, rows: Array) -> Array:
    """Scores of `rows[b, i]` for query b: the same contraction for each, so equal rows score the same."""

    def of_query(xs: tuple[Array, Array]) -> Array:
        query, ids = xs
        found = source.rows(ids).astype(jnp.float32)
        scores = _dot(found, query.astype(jnp.float32))
        if restriction.unit:
            scores *= source.lengths(found, True)
        if restriction.factors is not None:
            scores *= restriction.factors.at[ids].get(mode="promise_in_bounds")
        return scores

    at_once = max(1, plan.gathered // (rows.shape[1] * queries.shape[1]))
    if at_once >= queries.shape[0]:
        return jax.vmap(lambda q, ids: of_query((q, ids)))(queries, rows)
    return lax.map(of_query, (queries, rows), batch_size=at_once)


def _best(maxima: Array, n: int, plan: Tiling) -> tuple[Array, Array]:
    """The `n` best blocks of each query in ascending order, and their maxima, both `[n, batch]`; perhaps a few more."""
    n_blocks, batch = maxima.shape
    group = 1
    while 4 * group * group * n < n_blocks:
        group *= 2
    if group < 4:
        return _in_order(maxima, n, plan)
    ends = ((0, -n_blocks % group), (0, 0))
    groups, found = _best(lax.reduce_window(maxima, -jnp.inf, lax.max, (group, 1), (group, 1), ends), n, plan)
    blocks = _within(groups * group, group)
    valid = (blocks < n_blocks) & jnp.repeat(found != -jnp.inf, group, axis=0)
    inside = jnp.minimum(blocks, n_blocks - 1)
    found = maxima.at[inside, jnp.arange(batch, dtype=jnp.int32)[None, :]].get(mode="promise_in_bounds")
    places, found = _in_order(jnp.where(valid, found, -jnp.inf), n, plan)
    return jnp.take_along_axis(inside, places, axis=0, mode="promise_in_bounds"), found


def _in_order(scores: Array, n: int, plan: Tiling) -> tuple[Array, Array]:
    """The places of the `n` largest scores of each query, lower ones first among equals; ascending, with the scores."""
    if _by_threshold(n, scores.shape[1], plan):
        places = largest(scores, n, capacity_for(n))
        held = jnp.maximum(places, 0)
        found = jnp.take_along_axis(scores, held, axis=0, mode="promise_in_bounds")
        return held, jnp.where(places < 0, -jnp.inf, found)
    _, places = lax.top_k(_no_negative_zero(scores.T), n)
    places = lax.sort(places).T  # one array of integers: XLA's CPU backend is ten times as slow on pairs
    return places, jnp.take_along_axis(scores, places, axis=0, mode="promise_in_bounds")


def _by_threshold(n: int, batch: int, plan: Tiling) -> bool:
    """Whether `largest` is faster than `lax.top_k`."""
    return plan.threshold is not None and n >= _MANY and n * batch >= plan.threshold


def _within(firsts: Array, n: int) -> Array:
    """The numbers of the members of groups of n, from those of their first members; both along the first axis."""
    numbers = firsts[:, None, :] + jnp.arange(n, dtype=jnp.int32)[None, :, None]
    return numbers.reshape(-1, firsts.shape[1])


def _rounded_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def without_excluded(scores: Array, rows: Array, restriction: RowFilter, k: int) -> tuple[Array, Array]:
    """The `k` best of candidates among which are enough to leave some out."""
    if restriction.exclude is not None:
        left_out = (rows[:, :, None] == restriction.exclude[:, None, :]).any(-1)
        scores, rows = take_best(jnp.where(left_out, -jnp.inf, scores), rows, k)
    return scores, jnp.where(scores == -jnp.inf, jnp.int32(-1), rows)


def take_best(scores: Array, rows: Array, k: int) -> tuple[Array, Array]:
    """The k best of candidates in the order of their rows; fewer are filled up."""
    best, places = lax.top_k(scores, min(k, scores.shape[1]))
    rows = jnp.take_along_axis(rows, places, axis=1)
    missing = ((0, 0), (0, k - best.shape[1]))
    return jnp.pad(best, missing, constant_values=-jnp.inf), jnp.pad(rows, missing, constant_values=-1)


def _dot(left: Array, right: Array) -> Array:
    """Products of rows, in float32 on every backend."""
    axes = (((left.ndim - 1,), (right.ndim - 1,)), ((), ()))
    return lax.dot_general(left, right, axes, lax.Precision.HIGHEST, jnp.float32)


def _no_negative_zero(scores: Array) -> Array:
    """`lax.top_k` ranks -0.0 below 0.0; here they are equal."""
    return jnp.where(scores == 0, 0.0, scores)
