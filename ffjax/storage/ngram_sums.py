"""The sums of the rows of words' n-grams in compiled code, and their derivatives.

The n-grams come in tiles (`ngram_tiles`), and each step of the loop over them writes the vectors of
the sums so far.

Derivatives cannot go through loops whose steps depend on the data, so they are written here. Sums
are linear in what is summed: their tangents are a loop over the same n-grams, and their gradients
another, in which rows are added to. `lax.custom_linear_solve` ties the two together, for `vmap` and
derivatives of any order. (`custom_vjp` has no forward mode; `linear_call` has neither `vmap` nor
derivatives of what the map depends on.)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ffjax._internal.jax_compat import varying_together
from ffjax.kernels.ngram_hashes import Words
from ffjax.kernels.normalize import normalize
from ffjax.storage.base import Storage, float_leaves, with_float_leaves
from ffjax.storage.ngram_batching import as_one_batch
from ffjax.storage.ngram_tiles import Subwords, Tile, all_ids, block_size, over_tiles
from ffjax.vocab.ngrams.base import NgramIndexer

# What becomes of a sum of rows.
UNIT, MEAN, MEAN_WITH_WORD = "unit", "mean", "mean with word"


def with_ngram_sums(
    vectors: Array,
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    mode: str,
) -> tuple[Array, Array]:
    """Replaces the vectors of the masked words by what the rows of their n-grams add up to.

    `mode` is `UNIT` for sums at unit length, `MEAN` for means of rows, or `MEAN_WITH_WORD` for
    means of the word's vector and the rows. Returns the vectors `[batch, dims]`, and which of the
    masked words have n-grams with rows.
    """
    # Inside `shard_map` a gradient must vary over devices as its argument does.
    args = varying_together((vectors, storage, indexer, words, mask))
    vectors, counts = _with_ngram_sums(*args, subwords, mode)
    return vectors, counts > 0


@partial(jax.custom_jvp, nondiff_argnums=(5, 6))
def _with_ngram_sums(
    vectors: Array,
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    mode: str,
) -> tuple[Array, Array]:
    return as_one_batch(_forward, storage, indexer, words, (mask, vectors), subwords, mode)


@_with_ngram_sums.defjvp
def _(subwords: Subwords, mode: str, primals: Any, tangents: Any) -> Any:
    vectors, storage, *batch = primals
    mask = batch[-1]

    def replaced(vectors: Array, leaves: Any) -> tuple[Array, Array]:
        rows = with_float_leaves(storage, leaves)
        totals, counts = _totals(rows, *batch, subwords)
        new = _finish(rows, totals, counts, vectors if mode == MEAN_WITH_WORD else None, mode)
        return jnp.where(mask[:, None], new.astype(vectors.dtype), vectors), counts

    values = vectors, float_leaves(storage)
    directions = tangents[0], float_leaves(tangents[1])
    return jax.jvp(replaced, values, directions)


def _forward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Array, Array]:
    mask, vectors = batch

    def write(rows: Array, positions: Array, total: Array, counts: Array) -> Array:
        word = None
        if mode == MEAN_WITH_WORD:
            word = jnp.take(vectors, positions, axis=0, mode="clip")
        new = _finish(storage, total, counts, word, mode)
        return _set(rows, positions, new.astype(vectors.dtype))

    return _sums(storage, indexer, words, mask, subwords, vectors, write)


def _finish(
    storage: Storage, total: Array, counts: Array, word: Array | None, mode: str
) -> Array:
    total = storage.finish_sum(total)
    if mode == UNIT:
        return normalize(total)[0]
    if word is not None:
        total, counts = total + word.astype(jnp.float32), counts + 1
    return total / jnp.maximum(counts, 1)[:, None].astype(total.dtype)


def ngram_totals(
    storage: Storage, indexer: NgramIndexer, words: Words, mask: Array, subwords: Subwords
) -> tuple[Array, Array]:
    """The sums of the rows of words' n-grams, `[batch, dims]`, and how many each word has."""
    totals, counts = _totals(storage, indexer, words, mask, subwords)
    return storage.finish_sum(totals), counts.astype(jnp.int32)


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def _totals(
    storage: Storage, indexer: NgramIndexer, words: Words, mask: Array, subwords: Subwords
) -> tuple[Array, Array]:
    """The sums of words' n-grams before `finish_sum`, and how many each word has."""
    return as_one_batch(_batch_totals, storage, indexer, words, mask, subwords)


def _batch_totals(storage: Any, indexer: Any, words: Words, mask: Any, subwords: Subwords) -> Any:
    zeros = jnp.zeros((len(mask), *_total_shape(storage, 1)[1:]), jnp.float32)

    def write(totals: Array, positions: Array, total: Array, _: Array) -> Array:
        return _set(totals, positions, total)

    return _sums(storage, indexer, words, mask, subwords, zeros, write)


@_totals.defjvp
def _(subwords: Subwords, primals: Any, tangents: Any) -> Any:
    storage, indexer, words, mask = primals
    batch = indexer, words, mask
    out = totals, counts = _totals(storage, *batch, subwords)
    if storage.sums_are_linear:
        storage = lax.stop_gradient(storage)

    def solve(_: Any, right_side: Any) -> Any:
        direction, start = right_side
        rows = _Direction(storage, direction)
        return direction, start + as_one_batch(_batch_totals, rows, *batch, subwords)[0]

    def transposed(_: Any, right_side: Any) -> Any:
        gradient, cotangents = right_side
        args = storage, indexer, words, (mask, gradient, cotangents), subwords
        return as_one_batch(_gradient, *args, joins=False), cotangents

    def matvec(right_side: Any) -> Any:
        """What the other two solve for, in operations of JAX: for derivatives of these only."""
        direction, start = right_side
        if storage.sums_are_linear:
            return right_side
        ids = all_ids(*batch, subwords)
        return direction, start - _Direction(storage, direction).partial_sum(ids)

    # Narrow rows too are added up in float32.
    direction = tuple(leaf.astype(jnp.float32) for leaf in float_leaves(tangents[0]))
    right_side = _linked(varying_together((direction, jnp.zeros_like(totals))), storage)
    solution = lax.custom_linear_solve(matvec, right_side, solve, transposed)
    _, tangent = _linked(solution, storage)
    return out, (tangent, jnp.zeros_like(counts))


def _linked(tree: Any, storage: Storage) -> Any:
    """The leaves as if each depended on all, since JAX differentiates a solve by all or none."""

    def empty_sum(tree: Any) -> Any:
        return sum(leaf[:0].sum(dtype=jnp.float32) for leaf in float_leaves(tree))

    nothing = empty_sum(tree) * (1 + empty_sum(storage))
    return jax.tree.map(lambda leaf: leaf + nothing, tree)


class _Direction(NamedTuple):
    """Sums of rows along a direction of the leaves of floats of a storage."""

    storage: Storage
    direction: tuple[Array, ...]

    def partial_sum(self, ids: Array) -> Array:
        leaves = float_leaves(self.storage)
        direction = [x.astype(leaf.dtype) for x, leaf in zip(self.direction, leaves, strict=True)]

        def partial_sum(leaves: Any) -> Array:
            return with_float_leaves(self.storage, leaves).partial_sum(ids)

        return jax.jvp(partial_sum, (leaves,), (direction,))[1]


def _gradient(storage: Storage, indexer: Any, words: Words, batch: Any, subwords: Subwords) -> Any:
    """Adds the cotangents of words' sums to a gradient, float32 for each leaf of floats.

    What `jax.grad` makes of a sum of rows is an array like the whole storage for each step of the
    sum. Here one such array is added to.
    """
    mask, gradient, cotangents = batch

    def add_tile(gradient: Any, tile: Tile) -> Any:
        incoming = jnp.take(cotangents, tile.positions, axis=0, mode="fill", fill_value=0)
        return tile.over_steps(
            lambda i, ids, gradient: storage.add_gradient(gradient, ids.T, incoming), gradient
        )

    return over_tiles(indexer, words, mask, subwords, gradient, add_tile)


def _sums(
    storage: Any,
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    rows: Array,
    write: Callable[[Array, Array, Array, Array], Array],
) -> tuple[Array, Array]:
    """Calls `write(rows, positions, total, counts)` as sums of blocks grow.

    Returns the rows, and the counts of all words as floats, which have tangents like any other.
    """
    size = block_size(len(mask), subwords)

    def add_tile(state: tuple[Array, ...], tile: Tile) -> tuple[Array, ...]:
        def add(i: Array, ids: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
            total, counts = (jnp.where(tile.is_first & (i == 0), 0, x) for x in sums)
            n = (ids >= 0).sum(0, dtype=jnp.int32)
            return total + storage.partial_sum(ids.T), counts + n

        total, counts, all_counts, rows = state
        total, counts = tile.over_steps(add, (total, counts))
        all_counts = _set(all_counts, tile.positions, counts)
        return total, counts, all_counts, write(rows, tile.positions, total, counts)

    total = jnp.zeros(_total_shape(storage, size), jnp.float32)
    state = total, jnp.zeros(size, jnp.int32), jnp.zeros(len(mask), jnp.int32), rows
    _, _, counts, rows = over_tiles(indexer, words, mask, subwords, state, add_tile)
    return rows, counts.astype(jnp.float32)


def _set(rows: Array, positions: Array, new: Array) -> Array:
    return rows.at[positions].set(
        new, mode="drop", unique_indices=True, wrap_negative_indices=False
    )


def _total_shape(storage: Any, n: int) -> tuple[int, ...]:
    return jax.eval_shape(storage.partial_sum, jax.ShapeDtypeStruct((n, 1), jnp.int32)).shape
