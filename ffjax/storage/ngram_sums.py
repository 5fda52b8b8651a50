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
from typing import Any, NamedTuple, TypeVar

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

C = TypeVar("C")

# What becomes of a sum of rows.
UNIT, MEAN, MEAN_WITH_WORD = "unit", "mean", "mean with word"
# Positions beyond a batch stand for no word.
_SCATTER: Any = {"mode": "drop", "unique_indices": True, "wrap_negative_indices": False}


def with_ngram_sums(
    vectors: Array,
    found: Array,
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    subwords: Subwords,
    mode: str,
) -> tuple[Array, Array]:
    """Gives words that have not been found the vectors that the rows of their n-grams add up to.

    `mode` is `UNIT` for sums at unit length, `MEAN` for means of rows, or `MEAN_WITH_WORD` for
    means of the word's vector and the rows. Returns the vectors `[batch, dims]`, and which words
    have been found now.
    """
    # Inside `shard_map` a gradient must vary over devices as its argument does.
    args = varying_together((vectors, found, storage, indexer, words))
    return _with_ngram_sums(*args, subwords, mode)


@partial(jax.custom_jvp, nondiff_argnums=(5, 6))
def _with_ngram_sums(
    vectors: Array,
    found: Array,
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    subwords: Subwords,
    mode: str,
) -> tuple[Array, Array]:
    return as_one_batch(_forward, storage, indexer, words, (vectors, found), subwords, mode)


@_with_ngram_sums.defjvp
def _(subwords: Subwords, mode: str, primals: Any, tangents: Any) -> Any:
    vectors, found, storage, indexer, words = primals

    def replaced(vectors: Array, leaves: Any) -> tuple[Array, Array]:
        rows = with_float_leaves(storage, leaves)
        totals, counts = _totals(rows, indexer, words, ~found, subwords)
        new = _finish(rows, totals, counts, vectors if mode == MEAN_WITH_WORD else None, mode)
        vectors = jnp.where(found[:, None], vectors, new.astype(vectors.dtype))
        return vectors, found | (counts > 0)

    values = vectors, float_leaves(storage)
    directions = tangents[0], float_leaves(tangents[2])
    return jax.jvp(replaced, values, directions)


def _forward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Array, Array]:
    vectors, found = batch
    counts = None if mode == UNIT else jnp.zeros(len(found), jnp.int32)

    def write(rows: Any, positions: Array, total: Array, n: Array) -> Any:
        new, found, counts = rows
        word, count = None, n
        if counts is not None:
            counts = _add(counts, positions, n)
            count = jnp.take(counts, positions, mode="clip")
        if mode == MEAN_WITH_WORD:
            word = jnp.take(vectors, positions, axis=0, mode="clip")
        new = _set(new, positions, _finish(storage, total, count, word, mode).astype(new.dtype))
        return new, found.at[positions].max(n > 0, **_SCATTER), counts

    rows = vectors, found, counts
    vectors, found, _ = _sums(storage, indexer, words, ~found, subwords, rows, write)
    return vectors, found


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
    totals = jnp.zeros((len(mask), *_total_shape(storage, 1)[1:]), jnp.float32)

    def write(rows: Any, positions: Array, total: Array, n: Array) -> Any:
        totals, counts = rows
        return _set(totals, positions, total), _add(counts, positions, n)

    rows = totals, jnp.zeros(len(mask), jnp.int32)
    totals, counts = _sums(storage, indexer, words, mask, subwords, rows, write)
    return totals, counts.astype(jnp.float32)  # which have tangents like any other


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
            lambda _, ids, gradient: storage.add_gradient(gradient, ids.T, incoming), gradient
        )

    return over_tiles(indexer, words, mask, subwords, gradient, add_tile)


def _sums(
    storage: Any,
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    rows: C,
    write: Callable[[C, Array, Array, Array], C],
) -> C:
    """Calls `rows = write(rows, positions, total, n)` as sums of blocks grow by `n` rows a word."""

    def add(is_first: Array, ids: Array, total: Array) -> Array:
        return jnp.where(is_first, 0, total) + storage.partial_sum(ids.T)

    def add_tile(state: tuple[Array, C], tile: Tile) -> tuple[Array, C]:
        total, rows = state
        total = tile.over_steps(add, total)
        n = (tile.ids >= 0).sum((0, 1), dtype=jnp.int32)
        return total, write(rows, tile.positions, total, n)

    total = jnp.zeros(_total_shape(storage, block_size(len(mask), subwords)), jnp.float32)
    return over_tiles(indexer, words, mask, subwords, (total, rows), add_tile)[1]


def _set(rows: Array, positions: Array, new: Array) -> Array:
    return rows.at[positions].set(new, **_SCATTER)


def _add(numbers: Array, positions: Array, new: Array) -> Array:
    return numbers.at[positions].add(new, **_SCATTER)


def _total_shape(storage: Any, n: int) -> tuple[int, ...]:
    return jax.eval_shape(storage.partial_sum, jax.ShapeDtypeStruct((n, 1), jnp.int32)).shape
