"""Exact top-k without sorting all rows: block maxima, the best blocks, then the rows in them.

For a block of queries at a time:

1. One pass over the rows, in chunks that stay in cache, keeps only the maximum score of every block
   of rows. The rows stand on the left of the product and the maxima are a `reduce_window` over it:
   XLA's CPU backend fuses both, at nearly the speed of the bare product.
2. The best blocks of each query in the same way: groups of blocks, the best groups, their blocks.
3. The scores of the rows in those blocks, from which `lax.top_k` takes the answer.

On CPUs, steps 2 and 3 select many answers by a threshold, see `threshold_select`.

The k best blocks hold the k best rows, ties included: rank rows by (score descending, row
ascending) and blocks by (maximum descending, block ascending). If k blocks ranked before the block
of row t, each would have a row that ranks before t, which then is not one of the k best.

Steps 1 and 3 contract in different shapes and may round differently. Within a step equal rows get
equal scores, since all products have a multiple of `_ALIGNED_ROWS` rows (XLA's CPU backend sums the
rows at the end of a tile in another order). `_SPARE_BLOCKS` more blocks than needed are taken, so
that rows which differ by rounding alone are ranked by the scores that are returned.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int32

from ffjax._internal.arrays import AnyArray, pad_rows
from ffjax.kernels.top_k.rows import ChunkReader, RowFilter, Scorer
from ffjax.kernels.top_k.threshold_select import capacity_for, largest
from ffjax.kernels.top_k.tiling import Tiling

_SPARE_BLOCKS = 2
_MAX_BLOCK_ROWS = 32
_ALIGNED_ROWS = 32
_RESCORED_SHARE = 64  # at most one row in so many is scored twice, or 512 rows
_QUERY_TILE = 64  # the product takes as long for fewer queries
_THRESHOLD_K = 64  # for fewer answers `lax.top_k` is faster, whatever the batch
_LEAST_GROUP = 8  # smaller groups save less time than their kernels take to compile

Answers = tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]
ArrayPair = tuple[Array, Array]
BlockSearch = Callable[[Array, RowFilter], Answers]


def search(
    scorer: Scorer, queries: Float[Array, "batch *terms dims"], k: int, row_filter: RowFilter
) -> Answers:
    """The `k` best rows for each query, best first, given at least one row, query and answer."""
    n_rows, tiling = scorer.source.n_rows, scorer.tiling
    block_rows = _block_rows(n_rows, k + row_filter.n_excluded)
    size = max(1, min(tiling.queries, tiling.maxima // (n_rows // block_rows)))
    if size > _QUERY_TILE:
        size -= size % _QUERY_TILE
    search_block = partial(_search_block, scorer, k, block_rows)
    return in_query_blocks(search_block, queries, row_filter, size)


def in_query_blocks(
    search_block: BlockSearch, queries: Array, row_filter: RowFilter, size: int
) -> Answers:
    """Works through a batch, at most `size` queries at a time."""
    batch = queries.shape[0]
    n_blocks = -(-batch // size)
    if n_blocks == 1:
        return search_block(queries, row_filter)
    size = -(-batch // n_blocks)

    def blocks(array: AnyArray) -> Array:
        padded = jnp.asarray(pad_rows(array, n_blocks * size - batch))
        return padded.reshape(n_blocks, size, *array.shape[1:])

    def search_one(xs: tuple[Array, Array | None]) -> Answers:
        return search_block(xs[0], row_filter._replace(exclude=xs[1]))

    exclude = None if row_filter.exclude is None else blocks(row_filter.exclude)
    scores, rows = lax.map(search_one, (blocks(queries), exclude))
    k = scores.shape[-1]
    return scores.reshape(-1, k)[:batch], rows.reshape(-1, k)[:batch]


def _block_rows(n_rows: int, n: int) -> int:
    """Large blocks leave few maxima to select from, but many rows to score twice."""
    size = _MAX_BLOCK_ROWS
    while size > 1 and (size > n_rows or n * size > max(512, n_rows // _RESCORED_SHARE)):
        size //= 2
    return size


def _search_block(
    scorer: Scorer, k: int, block_rows: int, queries: Array, row_filter: RowFilter
) -> Answers:
    n_rows, tiling = scorer.source.n_rows, scorer.tiling
    n = k + row_filter.n_excluded
    maxima, first_row = _block_maxima(scorer, block_rows, queries, row_filter)
    # A block at an end of the range may hold a maximum that is not allowed.
    n_blocks = min(n + row_filter.n_ends + _SPARE_BLOCKS, maxima.shape[0])
    blocks, best = _best_blocks(maxima, n_blocks, tiling)
    is_block = jnp.repeat(best != -jnp.inf, block_rows, axis=0)
    rows = jnp.where(is_block, _members(first_row(blocks), block_rows), -1).T
    # Rows after the last full block are always candidates; -1 fills up.
    rest = n_rows % block_rows
    n_last = rest + -(rows.shape[1] + rest) % _ALIGNED_ROWS
    last = np.where(np.arange(n_last) < rest, n_rows - rest + np.arange(n_last), -1)
    last = jnp.broadcast_to(last.astype(np.int32), (rows.shape[0], n_last))
    rows = jnp.concatenate([rows, last], axis=1)
    valid, rows = rows >= 0, jnp.maximum(rows, 0)
    scores = _valid_scores(scorer.row_scores(queries, rows), valid & row_filter.allows(rows))
    if 2 * n < scores.shape[1] and _by_threshold(n, scores.shape[0], tiling):
        positions, scores = _largest_in_order(scores.T, n, tiling)
        rows, scores = _take(rows, positions.T, axis=1), scores.T
    scores, rows = take_best(scores, rows, n)
    return drop_excluded(scores, rows, k, row_filter)


def best_of_rows(scorer: Scorer, queries: Array, rows: Array, k: int) -> Answers:
    """As `search`, among the rows listed for each query, in any order; -1 is padding."""
    last = scorer.source.n_rows - 1
    padding = np.int32(np.iinfo(np.int32).max)
    rows = lax.sort(jnp.where(rows < 0, padding, rows), dimension=1)
    missing = -rows.shape[1] % _ALIGNED_ROWS
    rows = jnp.pad(rows, ((0, 0), (0, missing)), constant_values=padding)
    scores = scorer.row_scores(queries, jnp.minimum(rows, last))
    scores = _valid_scores(scores, rows != padding)
    return drop_excluded(*take_best(scores, rows, k), k, RowFilter())


def _block_maxima(
    scorer: Scorer, block_rows: int, queries: Array, row_filter: RowFilter
) -> tuple[Array, Callable[[Array], Array]]:
    """Maxima of all full blocks, `[blocks, batch]`, and a function that gives their first rows."""
    queries = lax.stop_gradient(queries)
    batch, dims = queries.shape[0], queries.shape[-1]
    n_scores = queries.size // dims
    n_rows = scorer.source.n_rows // block_rows * block_rows
    read_in_place = n_scores == 1 and not scorer.unit
    numbers_per_row = 1 + dims // 4 if read_in_place else dims + n_scores
    n_chunks = -(-n_rows * numbers_per_row // scorer.tiling.chunk_numbers)
    size = _round_up(-(-n_rows // n_chunks), _ALIGNED_ROWS)
    if size > n_rows:  # two chunks that may overlap instead of one whose size is not aligned
        size = min(n_rows, _round_up(-(-n_rows // 2), _ALIGNED_ROWS))
    n_chunks = -(-n_rows // size)
    overlapping = n_chunks * size != n_rows
    scores_of_chunk = filtered_chunk_scorer(scorer, queries, row_filter)

    def first_row(blocks: Array) -> Array:
        # The last chunk reaches back, so that all chunks have one size.
        rows = blocks * block_rows
        return rows - jnp.where(rows < (n_chunks - 1) * size, 0, n_chunks * size - n_rows)

    def maxima_of_chunk(index: Array | int) -> Array:
        start = jnp.minimum(jnp.int32(index * size), n_rows - size)
        first_rows = start + np.arange(0, size, block_rows, dtype=np.int32)  # not a kernel
        dead = first_rows < index * size
        if row_filter.start is not None:
            dead |= first_rows + block_rows <= row_filter.start
        if row_filter.stop is not None:
            dead |= first_rows >= row_filter.stop

        def scored() -> Array:
            best = _maxima(scores_of_chunk(start, size), block_rows, scorer.tiling.sequential)
            skips = overlapping or row_filter.n_ends
            return jnp.where(dead[:, None], -jnp.inf, best) if skips else best

        def skipped() -> Array:
            # Of the type of scores, which in `shard_map` says over which axes they vary.
            like = scores_of_chunk(start, 1)
            return lax.full_like(like, -jnp.inf, shape=(size // block_rows, batch))

        return lax.cond(dead.all(), skipped, scored) if row_filter.n_ends else scored()

    if n_chunks == 1:
        return maxima_of_chunk(0), first_row
    best = lax.map(maxima_of_chunk, np.arange(n_chunks, dtype=np.int32))
    return best.reshape(-1, batch), first_row


def filtered_chunk_scorer(scorer: Scorer, queries: Array, row_filter: RowFilter) -> ChunkReader:
    """As `Scorer.chunk_scorer`, with minus infinity for rows that the mask does not allow."""
    scores_of_chunk, mask = scorer.chunk_scorer(queries), row_filter.mask
    if mask is None:
        return scores_of_chunk

    def masked(start: Array | int, size: int) -> Array:
        allowed = lax.dynamic_slice_in_dim(jnp.asarray(mask), start, size)
        return scores_of_chunk(start, size) + jnp.where(allowed, 0.0, -jnp.inf)[:, None]

    return masked


def _maxima(scores: Array, block_rows: int, sequential: bool) -> Array:
    """The largest score in each block of rows, ignoring NaN."""
    if sequential:
        # A comparison with NaN is false, so this keeps the largest number so far: one instruction,
        # where `lax.max`, which answers NaN, takes three.
        larger = lambda best, score: lax.select(score > best, score, best)  # noqa: E731
    else:
        larger = lax.max
        scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    window = (block_rows, 1)
    return lax.reduce_window(scores, np.float32(-np.inf), larger, window, window, "VALID")


def _best_blocks(maxima: Array, n: int, tiling: Tiling) -> ArrayPair:
    """At least the `n` best blocks of each query in ascending order, and their maxima."""
    n_blocks, batch = maxima.shape
    group = 1
    while 4 * group * group * n < n_blocks:
        group *= 2
    if group < _LEAST_GROUP:
        return _largest_in_order(maxima, n, tiling)
    padding, window = ((0, -n_blocks % group), (0, 0)), (group, 1)
    group_maxima = lax.reduce_window(maxima, -jnp.inf, lax.max, window, window, padding)
    groups, best = _best_blocks(group_maxima, n, tiling)
    blocks = _members(groups * group, group)
    valid = (blocks < n_blocks) & jnp.repeat(best != -jnp.inf, group, axis=0)
    blocks = jnp.minimum(blocks, n_blocks - 1)
    columns = jnp.arange(batch, dtype=jnp.int32)[None, :]
    best = maxima.at[blocks, columns].get(mode="promise_in_bounds")
    positions, best = _largest_in_order(jnp.where(valid, best, -jnp.inf), n, tiling)
    return _take(blocks, positions, axis=0), best


def _largest_in_order(scores: Array, n: int, tiling: Tiling) -> ArrayPair:
    """At least the `n` largest of each column, first ones among equals: positions and scores."""
    if _by_threshold(n, scores.shape[1], tiling):
        positions = largest(scores, n, capacity_for(n))
        inside = jnp.maximum(positions, 0)
        return inside, jnp.where(positions < 0, -jnp.inf, _take(scores, inside, axis=0))
    _, positions = lax.top_k(_no_negative_zero(scores.T), n)
    # A sort of integers alone: XLA's CPU backend is ten times as slow on pairs.
    positions = lax.sort(positions).T
    return positions, _take(scores, positions, axis=0)


def _by_threshold(n: int, batch: int, tiling: Tiling) -> bool:
    """Whether `largest` is faster than `lax.top_k`."""
    return tiling.threshold is not None and n >= _THRESHOLD_K and n * batch >= tiling.threshold


def _members(firsts: Array, n: int) -> Array:
    """The numbers of the members of groups of n, given those of their first members."""
    numbers = firsts[:, None, :] + jnp.arange(n, dtype=jnp.int32)[None, :, None]
    return numbers.reshape(-1, firsts.shape[1])


def _take(array: Array, positions: Array, axis: int) -> Array:
    return jnp.take_along_axis(array, positions, axis=axis, mode="promise_in_bounds")


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def drop_excluded(scores: Array, rows: Array, k: int, row_filter: RowFilter) -> ArrayPair:
    """The `k` best of enough candidates, without those excluded for the query."""
    if row_filter.exclude is not None:
        excluded = (rows[:, :, None] == row_filter.exclude[:, None, :]).any(-1)
        scores, rows = take_best(jnp.where(excluded, -jnp.inf, scores), rows, k)
    return scores, jnp.where(scores == -jnp.inf, jnp.int32(-1), rows)


def take_best(scores: Array, rows: Array, k: int) -> ArrayPair:
    """The `k` best of candidates in the order of their rows, padded if there are fewer."""
    best, positions = lax.top_k(scores, min(k, scores.shape[1]))
    rows = jnp.take_along_axis(rows, positions, axis=1)
    padding = ((0, 0), (0, k - best.shape[1]))
    best = jnp.pad(best, padding, constant_values=-jnp.inf)
    return best, jnp.pad(rows, padding, constant_values=-1)


def _valid_scores(scores: Array, valid: Array) -> Array:
    valid = valid & ~jnp.isnan(scores)
    return jnp.where(valid, _no_negative_zero(scores), -jnp.inf)


def _no_negative_zero(scores: Array) -> Array:
    """`lax.top_k` ranks -0.0 below 0.0; here they are equal."""
    return jnp.where(scores == 0, 0.0, scores)
