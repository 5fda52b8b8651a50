"""Many vectors to one: the words of a line to the vector of the line.

On CPUs words are added to their lines by a scatter. On accelerators that would be a chain of atomic
operations, so there lines are added up by tiles of words, as lines ascend.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int32, Integer, Num

from ffjax._internal.arguments import array_of, whole_number
from ffjax._internal.arrays import AnyArray, pad_rows
from ffjax._internal.file_arguments import check_choice
from ffjax.kernels.normalize import normalize

POOLINGS = ("mean", "sum", "max", "fasttext")
# Rows that are gathered and added at a time: they stay in a CPU's cache.
_BLOCK_ROWS = 2048
# Words that are added up at once without a scatter.
_TILE = 16


def pool(
    vectors: Float[AnyArray, "words dims"],
    lines: Integer[AnyArray, " words"],
    n_lines: int,
    *,
    pooling: str = "mean",
    weights: Float[AnyArray, " words"] | None = None,
    found: Bool[AnyArray, " words"] | None = None,
) -> tuple[Float32[Array, "n_lines dims"], Int32[Array, " n_lines"]]:
    """One vector for each line of words.

    Pure: works under `jit` (`n_lines` and `pooling` static), `vmap` and `grad`.

    `"fasttext"` is the mean of the nonzero vectors at unit length, which is what
    `fasttext.get_sentence_vector` gives for models of words. With `weights` the mean is that of
    gensim's `get_mean_vector`: the sum of weighted vectors over the sum of the weights' absolute
    values. Inverse frequency is `weights=idf[rows]`, and smooth inverse frequency (Arora et al.
    2017, https://openreview.net/forum?id=SyK00v5xx) is `weights=a / (a + p[rows])` with
    `pooling="sum"`, over the counts.

    Args:
        vectors: a vector for each word, `[words, dims]`.
        lines: the line that each word belongs to, ascending; words with numbers outside
            `[0, n_lines)` belong to no line.
        n_lines: the number of lines.
        pooling: `"mean"`, `"sum"`, `"max"` or `"fasttext"`.
        weights: a factor for each word; not for `"max"`.
        found: which words count, as `embed` answers; all of them if `None`.

    Returns:
        `(pooled, counts)`: float32 `[n_lines, dims]`, zeros for lines without words that count; and
        how many words counted, int32 `[n_lines]`.

    Raises:
        TypeError: if an argument is not an array of such numbers, or `n_lines` is not a whole
            number, or traced.
        ValueError: for an unknown pooling, weights for `"max"`, or shapes that do not fit.

    Examples:
        >>> import ffjax, jax.numpy as jnp
        >>> vectors = jnp.array([[1.0, 0.0], [0.0, 3.0], [5.0, 5.0]])
        >>> pooled, counts = ffjax.pool(vectors, jnp.array([0, 0, 2]), 3)
        >>> pooled.tolist(), counts.tolist()
        ([[0.5, 1.5], [0.0, 0.0], [5.0, 5.0]], [2, 0, 1])
    """
    check_pooling(pooling, weights)
    what = "a vector for each word, [words, dims]"
    vectors = array_of("vectors", vectors, jnp.floating, what, (None, None))
    shape = vectors.shape[:1]
    per_word = f"for each of {shape[0]} words"
    lines = array_of("lines", lines, jnp.integer, f"a line {per_word}", shape)
    hint = "Inside `jit` it must be a static argument."
    n_lines = whole_number("n_lines", n_lines, 0, hint)
    if weights is not None:
        weights = array_of("weights", weights, jnp.floating, f"a factor {per_word}", shape)
    if found is not None:
        found = array_of("found", found, jnp.bool_, f"a bool {per_word}", shape)

    vectors, lines = jnp.asarray(vectors).astype(jnp.float32), jnp.asarray(lines)
    in_range = (lines >= 0) & (lines < n_lines)
    counted = in_range if found is None else in_range & jnp.asarray(found)
    if pooling == "fasttext":
        vectors, norms = normalize(vectors)
        counted = counted & (norms > 0)
    outside = jnp.where(lines < 0, jnp.int32(-1), jnp.int32(n_lines))
    lines = jnp.where(in_range, lines.astype(jnp.int32), outside)

    counts = _line_totals(counted.astype(jnp.int32), lines, n_lines)
    if pooling == "max":
        vectors = jnp.where(counted[:, None], vectors, -jnp.inf)
        largest = line_totals(vectors, lines, n_lines, largest=True)
        return jnp.where((counts > 0)[:, None], largest, jnp.float32(0)), counts
    factors = jnp.asarray(1 if weights is None else weights).astype(jnp.float32)
    factors = jnp.where(counted, factors, jnp.float32(0))
    weighted = vectors * factors[:, None]
    # Vectors that do not count may be NaN.
    total = line_totals(jnp.where(counted[:, None], weighted, jnp.float32(0)), lines, n_lines)
    if pooling == "sum":
        return total, counts
    weight = line_totals(jnp.abs(factors), lines, n_lines)[:, None]
    empty = weight == 0  # false for NaN: a weight of NaN makes its line NaN
    mean = total / jnp.where(empty, jnp.float32(1), weight)
    return jnp.where(empty, jnp.float32(0), mean), counts


def pool_rows(
    table: Float[Array, "rows dims"],
    ids: Int32[Array, " words"],
    lines: Int32[Array, " words"],
    n_lines: int,
    largest: bool,
) -> Float32[Array, "n_lines dims"]:
    """The sum, or the largest entries, of the rows of each line, gathered block by block.

    Negative ids are skipped; lines ascend, with `n_lines` for no line. With `largest`, lines
    without words get minus infinity.
    """
    options = {"n_lines": n_lines, "largest": largest}
    blocks, tiles = partial(pool_blocks, **options), partial(pool_tiles, **options)
    return lax.platform_dependent(table, ids, lines, cpu=blocks, default=tiles)


def pool_blocks(table: Array, ids: Array, lines: Array, *, n_lines: int, largest: bool) -> Array:
    """As `pool_rows`, by a scatter of each block of words."""
    # Blocks after the last line are not read.
    n_blocks = -(-jnp.searchsorted(lines, n_lines) // _BLOCK_ROWS)
    n_missing = -ids.shape[0] % _BLOCK_ROWS
    ids, lines = pad_rows(ids, n_missing, -1), pad_rows(lines, n_missing, n_lines)

    def add(i: Array, total: Array) -> Array:
        start = i * _BLOCK_ROWS
        block, at = (lax.dynamic_slice_in_dim(x, start, _BLOCK_ROWS) for x in (ids, lines))
        # Words that do not count add nothing to their line, so that lines stay in order.
        rows = _rows_of(table, block, largest)
        update: Any = total.at[at].max if largest else total.at[at].add
        return update(rows, mode="drop", indices_are_sorted=True)

    totals = jnp.full((n_lines, table.shape[1]), _neutral(jnp.float32, largest))
    return lax.fori_loop(0, n_blocks, add, totals)


def pool_tiles(table: Array, ids: Array, lines: Array, *, n_lines: int, largest: bool) -> Array:
    """As `pool_rows`, of all rows at once, without a scatter."""
    return totals_by_tiles(_rows_of(table, ids, largest), lines, n_lines, largest)


def _rows_of(table: Array, ids: Array, largest: bool) -> Array:
    """The rows with these numbers, or what changes nothing for those below zero."""
    rows = table.at[jnp.maximum(ids, 0)].get(mode="promise_in_bounds").astype(jnp.float32)
    return jnp.where((ids >= 0)[:, None], rows, _neutral(jnp.float32, largest))


def pool_rows_numpy(
    table: Float[np.ndarray, "rows dims"],
    ids: Int32[np.ndarray, " words"],
    lines: Int32[np.ndarray, " words"],
    n_lines: int,
    largest: bool,
) -> Float32[np.ndarray, "n_lines dims"]:
    """As `pool_rows`, in NumPy."""
    neutral, add = (-np.inf, np.maximum) if largest else (0, np.add)
    totals = np.full((n_lines, table.shape[1]), neutral, np.float32)
    counted = (ids >= 0) & (lines < n_lines)
    ids, lines = ids[counted], lines[counted]
    for start in range(0, len(ids), _BLOCK_ROWS):
        words = slice(start, start + _BLOCK_ROWS)
        firsts = np.flatnonzero(np.diff(lines[words], prepend=-1))
        block = add.reduceat(table.take(ids[words], axis=0), firsts, axis=0)
        # A line may have begun in the block before.
        at = lines[words][firsts]
        totals[at] = add(totals[at], block)
    return totals


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def line_totals(values: AnyArray, lines: AnyArray, n_lines: int, largest: bool = False) -> Array:
    """The sum, or the largest entries, of the values of each line; lines ascend.

    The derivative is a scatter, which is linear and whose transpose, all that a gradient computes,
    is a gather.
    """
    return _line_totals(values, lines, n_lines, largest)


@line_totals.defjvp
def _totals_and_change(n_lines: int, largest: bool, primals: Any, tangents: Any) -> Any:
    (values, lines), (change, _) = primals, tangents
    totals = line_totals(values, lines, n_lines, largest)
    if largest:
        # Several words with the largest entry share the gradient.
        is_largest = values == totals.at[lines].get(mode="clip")
        n_largest = line_totals(is_largest.astype(jnp.float32), lines, n_lines)
        shares = 1 / jnp.maximum(n_largest, 1).at[lines].get(mode="clip")
        change = change * jnp.where(is_largest, shares, 0)
    return totals, totals_by_scatter(change, lines, n_lines)


@partial(jax.jit, static_argnums=(2, 3))  # so that eager calls are not traced again
def _line_totals(values: AnyArray, lines: AnyArray, n_lines: int, largest: bool = False) -> Array:
    options = {"n_lines": n_lines, "largest": largest}
    scatter, tiles = partial(totals_by_scatter, **options), partial(totals_by_tiles, **options)
    return lax.platform_dependent(values, lines, cpu=scatter, default=tiles)


def totals_by_scatter(
    values: Num[AnyArray, "words *dims"],
    lines: Int32[AnyArray, " words"],
    n_lines: int,
    largest: bool = False,
) -> Num[Array, "n_lines *dims"]:
    """As `line_totals`. On a CPU this takes a fifth of the time of gathers."""
    reduce = jax.ops.segment_max if largest else jax.ops.segment_sum
    return reduce(values, lines, n_lines, indices_are_sorted=True)


def totals_by_tiles(
    values: Num[AnyArray, "words *dims"],
    lines: Int32[AnyArray, " words"],
    n_lines: int,
    largest: bool = False,
) -> Num[Array, "n_lines *dims"]:
    """As `line_totals`: what has run up at the last word of each line.

    Sums of tiles, of tiles of tiles and so on are added up, never across lines, so that long lines
    and long texts lose no digits.
    """
    values, lines = jnp.asarray(values), jnp.asarray(lines)
    neutral = _neutral(values.dtype, largest)
    if not lines.shape[0]:
        return jnp.full((n_lines, *values.shape[1:]), neutral)
    numbers = jnp.arange(n_lines, dtype=jnp.int32)
    lasts = jnp.maximum(jnp.searchsorted(lines, numbers, side="right").astype(jnp.int32) - 1, 0)
    totals = _running_totals(values, lines, lasts, largest)
    return _where(lines[lasts] == numbers, totals, neutral)


def _running_totals(values: Array, lines: Array, words: Array, largest: bool) -> Array:
    """The total of a line up to each of some words."""
    neutral = _neutral(values.dtype, largest)
    reduce, add = partial(jnp.sum, dtype=values.dtype), jnp.add
    if largest:
        reduce, add = jnp.max, jnp.maximum
    slots = words[:, None] // _TILE * _TILE + jnp.arange(_TILE, dtype=jnp.int32)[None]
    line = lines[words]
    is_before = (slots <= words[:, None]) & (lines.at[slots].get(mode="clip") == line[:, None])
    totals = reduce(_where(is_before, values.at[slots].get(mode="clip"), neutral), axis=1)
    if lines.shape[0] <= _TILE:
        return totals
    # The lines with which tiles end may go on in the next tile.
    tiles = pad_rows(values, -lines.shape[0] % _TILE)
    tiles = tiles.reshape(-1, _TILE, *values.shape[1:])
    tile_lines = pad_rows(lines, -lines.shape[0] % _TILE, -1).reshape(-1, _TILE)
    ends = tile_lines[:, -1]
    tails = reduce(_where(tile_lines == ends[:, None], tiles, neutral), axis=1)
    before = words // _TILE - 1
    at = jnp.maximum(before, 0)
    carried = _running_totals(tails, ends, at, largest)
    return add(totals, _where((before >= 0) & (ends[at] == line), carried, neutral))


def _where(mask: Array, values: Array, otherwise: Array) -> Array:
    """`jnp.where` with a mask of the first axes."""
    return jnp.where(jnp.expand_dims(mask, range(mask.ndim, values.ndim)), values, otherwise)


def _neutral(dtype: Any, largest: bool) -> Array:
    """What changes no total."""
    return jnp.array(-jnp.inf if largest else 0, dtype)


def check_pooling(pooling: str, weights: Any) -> None:
    """Checks the name of a pooling, and that it takes weights if there are any."""
    check_choice("pooling", pooling, POOLINGS)
    if weights is not None and pooling == "max":
        raise ValueError(
            '`weights`: expected None for pooling "max", got weights. '
            'Use "mean" or "sum" with them.'
        )
