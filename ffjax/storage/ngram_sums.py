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
from jax.custom_batching import custom_vmap

from ffjax._internal.jax_compat import varying_together
from ffjax.kernels.ngram_hashes import Words
from ffjax.kernels.normalize import normalize
from ffjax.storage.base import Storage, float_leaves, with_float_leaves
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
    words = words._replace(lengths=jnp.where(found, -1, words.lengths))
    # Inside `shard_map` a gradient must vary over devices as its argument does.
    args = varying_together((vectors, found, storage, indexer, words))
    return _with_ngram_sums(*args, subwords, mode)


@partial(jax.custom_jvp, nondiff_argnums=(5, 6))
def _with_ngram_sums(
    vectors: Array, found: Array, storage: Any, indexer: Any, words: Words, subwords: Any, mode: str
) -> tuple[Array, Array]:
    def forward(storage: Storage, indexer: Any, words: Words, batch: Any) -> tuple[Array, Array]:
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

        return _sums(storage, indexer, words, subwords, (vectors, found, counts), write)[:2]

    return _as_one_batch(forward, storage, indexer, words, (vectors, found))


@_with_ngram_sums.defjvp
def _(subwords: Subwords, mode: str, primals: Any, tangents: Any) -> Any:
    vectors, found, storage, indexer, words = primals

    def replaced(vectors: Array, leaves: Any) -> tuple[Array, Array]:
        rows = with_float_leaves(storage, leaves)
        totals, counts = _totals(rows, indexer, words, subwords)
        new = _finish(rows, totals, counts, vectors if mode == MEAN_WITH_WORD else None, mode)
        vectors = jnp.where(found[:, None], vectors, new.astype(vectors.dtype))
        return vectors, found | (counts > 0)

    values = vectors, float_leaves(storage)
    directions = tangents[0], float_leaves(tangents[2])
    return jax.jvp(replaced, values, directions)


def _finish(storage: Storage, total: Array, counts: Array, word: Array | None, mode: str) -> Array:
    total = storage.finish_sum(total)
    if mode == UNIT:
        return normalize(total)[0]
    if word is not None:
        total, counts = total + word.astype(jnp.float32), counts + 1
    return total / jnp.maximum(counts, 1)[:, None].astype(total.dtype)


def ngram_totals(
    storage: Storage, indexer: NgramIndexer, words: Words, subwords: Subwords
) -> tuple[Array, Array]:
    """The sums of the rows of words' n-grams, `[batch, dims]`, and how many each word has."""
    totals, counts = _totals(storage, indexer, words, subwords)
    return storage.finish_sum(totals), counts.astype(jnp.int32)


def _batch_totals(storage: Any, indexer: Any, words: Words, subwords: Subwords) -> Any:
    """The sums of words' n-grams before `finish_sum`, and how many each word has."""

    def totals(storage: Any, indexer: Any, words: Words, _: None) -> tuple[Array, Array]:
        n = len(words.lengths)
        empty = jnp.zeros((n, *_total_shape(storage, 1)[1:]), jnp.float32)
        rows = empty, jnp.zeros(n, jnp.int32)

        def write(rows: Any, positions: Array, total: Array, n: Array) -> Any:
            return _set(rows[0], positions, total), _add(rows[1], positions, n)

        totals, counts = _sums(storage, indexer, words, subwords, rows, write)
        return totals, counts.astype(jnp.float32)  # which have tangents like any other

    return _as_one_batch(totals, storage, indexer, words, None)


_totals = jax.custom_jvp(_batch_totals, nondiff_argnums=(3,))


@_totals.defjvp
def _(subwords: Subwords, primals: Any, tangents: Any) -> Any:
    storage, indexer, words = primals
    out = totals, counts = _totals(storage, indexer, words, subwords)
    if storage.sums_are_linear:
        storage = lax.stop_gradient(storage)

    def solve(_: Any, right_side: Any) -> Any:
        direction, start = right_side
        rows = _Direction(storage, direction)
        return direction, start + _batch_totals(rows, indexer, words, subwords)[0]

    def transposed(_: Any, right_side: Any) -> Any:
        gradient, cotangents = right_side
        add = partial(_add_gradient, subwords)
        batch = gradient, cotangents
        return _as_one_batch(add, storage, indexer, words, batch, joins=False), cotangents

    def matvec(right_side: Any) -> Any:
        """What the other two solve for, in operations of JAX: for derivatives of these only."""
        direction, start = right_side
        if storage.sums_are_linear:
            return right_side
        ids = all_ids(indexer, words, subwords)
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


def _add_gradient(
    subwords: Subwords, storage: Storage, indexer: Any, words: Words, batch: Any
) -> Any:
    """Adds the cotangents of words' sums to a gradient, float32 for each leaf of floats.

    What `jax.grad` makes of a sum of rows is an array like the whole storage for each step of the
    sum. Here one such array is added to.
    """
    gradient, cotangents = batch

    def add_tile(gradient: Any, tile: Tile) -> Any:
        incoming = jnp.take(cotangents, tile.positions, axis=0, mode="fill", fill_value=0)
        return tile.over_steps(
            lambda _, ids, gradient: storage.add_gradient(gradient, ids.T, incoming), gradient
        )

    return over_tiles(indexer, words, subwords, gradient, add_tile)


def _sums(
    storage: Any,
    indexer: NgramIndexer,
    words: Words,
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

    n = block_size(len(words.lengths), subwords)
    total = jnp.zeros(_total_shape(storage, n), jnp.float32)
    return over_tiles(indexer, words, subwords, (total, rows), add_tile)[1]


def _as_one_batch(work: Callable[..., Any], *args: Any, joins: bool = True) -> Any:
    """`work(storage, indexer, words, batch)`, which under `vmap` over words alone runs once.

    All words are one batch then, if `work` `joins` them. Left to itself, `vmap` would turn each
    choice in the loops into doing both.
    """
    call = custom_vmap(work)

    @call.def_vmap
    def _(size: int, mapped: Any, *args: Any) -> tuple[Any, Any]:
        if not joins or any(jax.tree.leaves(mapped[:2])):

            def call_one(i: Array) -> Any:
                return call(*jax.tree.map(lambda x, many: x[i] if many else x, args, tuple(mapped)))

            out = lax.map(call_one, jnp.arange(size, dtype=jnp.int32))
        else:
            out = call(*args[:2], *_joined(size, mapped[2:], args[2:]))
            out = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return call(*args)


def _joined(size: int, mapped: Any, args: Any) -> Any:
    """The words of all batches as one, and what belongs to each."""

    def join(x: Array, is_mapped: bool) -> Array:
        x = x if is_mapped else jnp.broadcast_to(x, (size, *x.shape))
        return x.reshape(-1, *x.shape[2:])

    (data, begins, lengths), (data_mapped, begins_mapped, lengths_mapped) = args[0], mapped[0]
    if begins is None:
        data = join(data, data_mapped)
    else:
        begins = join(begins, begins_mapped)
        if data_mapped:
            starts = data.shape[1] * jnp.arange(size, dtype=jnp.int32)
            begins += jnp.repeat(starts, len(begins) // size)
    words = Words(data, begins, join(lengths, lengths_mapped))
    return words, jax.tree.map(join, args[1], mapped[1])


def _set(rows: Array, positions: Array, new: Array) -> Array:
    return rows.at[positions].set(new, **_SCATTER)


def _add(numbers: Array, positions: Array, new: Array) -> Array:
    return numbers.at[positions].add(new, **_SCATTER)


def _total_shape(storage: Any, n: int) -> tuple[int, ...]:
    return jax.eval_shape(storage.partial_sum, jax.ShapeDtypeStruct((n, 1), jnp.int32)).shape
