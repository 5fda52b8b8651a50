"""The sums of the rows of words' n-grams in compiled code, and their derivatives.

    the requested words, ordered by their lengths        a sort of one integer a word
      for a block of words, the n-grams of 16 starts     one loop over blocks and starts
        their rows, eight of each word a step            a loop

Words of a block have similar lengths, so few slots are empty, and memory is that of a block
whatever the batch. Each kernel takes time to compile, so blocks and starts share a loop.

Derivatives cannot go through loops whose steps depend on the data. But sums are linear in the rows:
their tangents are a loop over the same n-grams, and their gradients another, which adds to rows.
`lax.custom_linear_solve` ties the two together, for `vmap` and derivatives of any order.
(`custom_vjp` has no forward mode; `linear_call` no `vmap`, nor derivatives of the map itself.)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_batching import custom_vmap, sequential_vmap

from ffjax._internal.jax_compat import varying_together, while_loop
from ffjax.kernels.ngram_hashes import STARTS, Words
from ffjax.kernels.siphash import computed_once
from ffjax.storage.base import Storage, float_leaves, with_float_leaves
from ffjax.vocab.ngrams.base import NgramIndexer, packed_ids

C = TypeVar("C")

# Words of a block. On a CPU their vectors should stay in the cache while rows are added to them.
# A GPU waits for the host at each step, so it gets few blocks, as large as memory allows.
_BLOCK_WORDS = {"cpu": 512}
_LARGE_BLOCK_WORDS, _LARGE_BLOCK_NUMBERS = 1 << 18, 1 << 23
# Of words of more bytes a block has fewer, and rows of each word that are added in one step.
_BLOCK_WIDTH, _ROWS_AT_ONCE = 64, 8
# The key after those of all requested words.
_NO_WORD = np.uint32(2**32 - 1)
# Positions beyond a batch stand for no word.
SCATTER: Any = {"mode": "drop", "unique_indices": True, "wrap_negative_indices": False}


class Subwords(NamedTuple):
    """How the n-grams of words are taken; hashable.

    Attributes:
        width: bytes in the longest word there can be.
        offset: the row of the first n-gram.
        bow: the marker before a word.
        eow: the marker after it.
    """

    width: int
    offset: int
    bow: bytes = b"<"
    eow: bytes = b">"

    @property
    def marked(self) -> int:
        """Bytes in the longest word with its markers."""
        return self.width + len(self.bow) + len(self.eow)


def ngram_totals(
    storage: Storage, indexer: NgramIndexer, words: Words, subwords: Subwords
) -> tuple[Array, Array]:
    """The sums of the rows of words' n-grams, `[batch, dims]`, and how many each word has."""
    # Inside `shard_map` a gradient must vary over devices as its argument does.
    storage, indexer, words = varying_together((storage, indexer, words))
    totals, counts = _totals(storage, indexer, words, subwords)
    return storage.finish_sum(totals), counts.astype(jnp.int32)


def add_ngrams(
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

    def add_tile(state: Any, positions: Array, ids: Array, over_steps: Any) -> Any:
        total, rows = state
        total = over_steps(add, total)
        n = (ids >= 0).sum((0, 1), dtype=jnp.int32)
        return total, write(rows, positions, total, n)

    total = _empty_sums(storage, _block_size(storage, words, subwords))
    return _over_tiles(storage, indexer, words, subwords, (total, rows), add_tile)[1]


def _empty_sums(storage: Any, n: int) -> Array:
    """Zeros like `n` results of `partial_sum`, which may have another width than rows."""
    ids = jax.ShapeDtypeStruct((n, 1), jnp.int32)
    return jnp.zeros(jax.eval_shape(storage.partial_sum, ids).shape, jnp.float32)


def as_one_batch(work: Callable[..., Any], *args: Any) -> Any:
    """`work(storage, indexer, words, rows)`; under `vmap` over words, all are one batch."""
    call = custom_vmap(work)

    @call.def_vmap
    def _(size: int, mapped: Any, *args: Any) -> tuple[Any, Any]:
        # Left to itself, `vmap` would turn each choice in the loops into doing both.
        if any(jax.tree.leaves(mapped[:2])):
            axes = jax.tree.map(lambda is_mapped: 0 if is_mapped else None, tuple(mapped))
            out = jax.vmap(sequential_vmap(work), axes)(*args)
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


def _add_up(storage: Any, indexer: Any, words: Words, subwords: Subwords) -> tuple[Array, Array]:
    """The sums of words' n-grams before `finish_sum`, and how many each word has."""

    def totals(storage: Any, indexer: Any, words: Words, _: None) -> tuple[Array, Array]:
        def write(rows: Any, positions: Array, total: Array, n: Array) -> Any:
            sums, counts = rows
            return sums.at[positions].set(total, **SCATTER), counts.at[positions].add(n, **SCATTER)

        rows = _empty_sums(storage, len(words.lengths)), jnp.zeros(words.lengths.shape, jnp.int32)
        sums, counts = add_ngrams(storage, indexer, words, subwords, rows, write)
        return sums, counts.astype(jnp.float32)  # which have tangents like any other

    return as_one_batch(totals, storage, indexer, words, None)


_totals = jax.custom_jvp(_add_up, nondiff_argnums=(3,))


@_totals.defjvp
def _(subwords: Subwords, primals: Any, tangents: Any) -> Any:
    storage, indexer, words = primals
    out = totals, counts = _totals(storage, indexer, words, subwords)
    if storage.sums_are_linear:
        storage = lax.stop_gradient(storage)

    def solve(_: Any, right_side: Any) -> Any:
        direction, start = right_side
        rows = _Direction(storage, direction)
        return direction, start + _add_up(rows, indexer, words, subwords)[0]

    def transposed(_: Any, right_side: Any) -> Any:
        gradient, cotangents = right_side
        add = sequential_vmap(partial(_add_gradient, subwords))
        return add(storage, indexer, words, gradient, cotangents), cotangents

    def matvec(right_side: Any) -> Any:
        """What the other two solve for, in operations of JAX: for derivatives of these only."""
        direction, start = right_side
        if storage.sums_are_linear:
            return right_side
        ids = packed_ids(indexer, words, subwords.width, subwords.bow, subwords.eow)
        ids = jnp.where(ids < 0, -1, ids + subwords.offset)
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
    subwords: Subwords, storage: Storage, indexer: Any, words: Words, gradient: Any, incoming: Array
) -> Any:
    """Adds the cotangents of words' sums to a gradient, float32 for each leaf of floats.

    What `jax.grad` makes of a sum of rows is an array like the whole storage for each step of the
    sum. Here one such array is added to.
    """

    def add_tile(gradient: Any, positions: Array, ids: Array, over_steps: Any) -> Any:
        cotangents = jnp.take(incoming, positions, axis=0, mode="fill", fill_value=0)

        def add(_: Array, ids: Array, gradient: Any) -> Any:
            return storage.add_gradient(gradient, ids.T, cotangents)

        return over_steps(add, gradient)

    return _over_tiles(storage, indexer, words, subwords, gradient, add_tile)


def _block_size(storage: Any, words: Words, subwords: Subwords) -> int:
    """How many words are a block."""
    dims = jax.eval_shape(partial(_empty_sums, storage, 1)).shape[1]
    most = min(_LARGE_BLOCK_WORDS, _LARGE_BLOCK_NUMBERS // max(dims, 1))
    n_bytes = _BLOCK_WORDS.get(jax.default_backend(), most) * _BLOCK_WIDTH
    return min(len(words.lengths), max(1, n_bytes // max(subwords.width, _BLOCK_WIDTH)))


def _over_tiles(
    storage: Any,
    indexer: NgramIndexer,
    words: Words,
    subwords: Subwords,
    carry: C,
    add_tile: Callable[[C, Array, Array, Callable], C],
) -> C:
    """Calls `carry = add_tile(carry, positions, ids, over_steps)` for each tile.

    A tile has the n-grams that start in the same `STARTS` bytes of a block of words: the words'
    positions in the batch, beyond it after the last word; and the rows of the n-grams, -1 for none,
    `[starts + 1, slots, words]`. `over_steps(add, x)` calls `x = add(is_first, ids, x)` for each
    step of `_ROWS_AT_ONCE` slots that has rows, and for the first.
    """
    n, width = len(words.lengths), subwords.width
    if not n or not subwords.marked:
        return carry
    size, data = _block_size(storage, words, subwords), words.data.reshape(-1)
    order, steps = _slot_order(indexer, subwords.marked)
    number_bits = max(n - 1, 1).bit_length()
    longest = min((1 << (32 - number_bits)) - 2, width)
    # Keys of the words, the longest first, and then at least a block of `_NO_WORD`: a word's number
    # is in the lower bits, above it are the bytes it is short of `longest`.
    short = (longest - jnp.clip(words.lengths, 0, longest)).astype(jnp.uint32)
    keys = short << number_bits | jnp.arange(n, dtype=jnp.uint32)
    keys = jnp.where(words.lengths >= 0, keys, _NO_WORD)
    keys = jnp.sort(jnp.pad(keys, (0, -n % size + size), constant_values=_NO_WORD))

    def in_keys(block: Array) -> Array:
        """Bytes in words, negative for no word; `longest` may stand for more."""
        return longest - (block >> number_bits).astype(jnp.int32)

    # One array, so one kernel: the block's first word, the first start, and the next step, from 1.
    def remaining(at: Array) -> Array:
        """Bytes from the first start to the end of the longest word, the first of its block."""
        length = in_keys(lax.dynamic_index_in_dim(keys, at[0], keepdims=False))
        length = length if longest == width else jnp.where(length < longest, length, width)
        return length + (subwords.marked - width) - at[1]

    def of_tile(state: tuple[Array, C]) -> tuple[Array, C]:
        at, carry = state
        block = lax.dynamic_slice_in_dim(keys, at[0], size)
        index = (block & ((1 << number_bits) - 1)).astype(jnp.int32)
        positions = jnp.where(block == _NO_WORD, n + np.arange(size, dtype=np.int32), index)
        lengths = in_keys(block)
        if longest < width:
            lengths = jnp.minimum(jnp.take(words.lengths, positions, fill_value=-1), width)
        block_words = Words(data, words.begin(index), lengths)
        markers = subwords.bow, subwords.eow
        ids = indexer.tile_ids(block_words, at[1], partial(remaining, at), width, *markers)
        ids = jnp.where(ids < 0, -1, ids + subwords.offset)
        # A start without n-grams, to fill up with.
        ids = computed_once(jnp.pad(ids, ((0, 1), (0, 0), (0, 0)), constant_values=-1))
        slot_ids = ids.reshape(-1, size)

        def over_steps(add: Callable[[Array, Array, C], C], carry: C) -> C:
            def has_rows(state: tuple[Array, C]) -> Array:
                return state[0][2] <= jnp.take(steps, remaining(state[0]), mode="clip")

            def step(state: tuple[Array, C]) -> tuple[Array, C]:
                at, carry = state
                first = (at[2] - 1) * _ROWS_AT_ONCE
                slots = lax.dynamic_slice_in_dim(jnp.asarray(order), first, _ROWS_AT_ONCE)
                ids = jnp.take(slot_ids, slots, axis=0, mode="clip")
                # Of the state, since XLA makes a kernel of each scalar that a loop doesn't change.
                is_first = (at[1] == 0) & (at[2] == 1)
                return at + np.array([0, 0, 1], np.int32), add(is_first, ids, carry)

            return while_loop(has_rows, step, (at, carry))[1]

        carry = add_tile(carry, positions, ids, over_steps)
        is_last = remaining(at) < STARTS + min(indexer.min_n, subwords.marked)
        next_block = at * np.array([1, 0, 1], np.int32) + np.array([size, 0, 0], np.int32)
        return jnp.where(is_last, next_block, at + np.array([0, STARTS, 0], np.int32)), carry

    def has_words(state: tuple[Array, C]) -> Array:
        return lax.dynamic_index_in_dim(keys, state[0][0], keepdims=False) != _NO_WORD

    # Made of the keys, so that it varies over the devices of a `shard_map` as those do.
    zero = 0 * keys[0].astype(jnp.int32)
    return while_loop(has_words, of_tile, (jnp.stack([zero, zero, zero + 1]), carry))[1]


def _slot_order(indexer: NgramIndexer, marked: int) -> tuple[np.ndarray, np.ndarray]:
    """The slots of a tile by where their n-grams end, and the steps for the bytes that remain.

    So the n-grams of a short word of one-byte characters come first, without a gap.
    """
    extra, n_starts = indexer.extra_slots(), min(STARTS, max(marked, 1))
    start, slot = np.divmod(np.arange(n_starts * indexer.slots(marked)), indexer.slots(marked))
    longest = min(indexer.longest(marked), marked + 1)  # no word has longer n-grams
    ends = start + longest - (slot - extra) // indexer.n_hashes
    ends = np.where(slot < extra, 0, ends)  # the word itself, at the first start only
    slots = np.flatnonzero((slot >= extra) | (start == 0))
    slots = slots[np.argsort(ends[slots], kind="stable")]
    n_valid = np.searchsorted(ends[slots], np.arange(ends.max() + 1), side="right")
    fill = -len(slots) % _ROWS_AT_ONCE
    # At least one, since the first step makes an end of the sums of the block before.
    steps = np.maximum(-(-n_valid // _ROWS_AT_ONCE), 1).astype(np.int32)
    return np.pad(slots, (0, fill), constant_values=len(start)).astype(np.int32), steps
