"""The sum of the rows of words' n-grams in compiled code, forward and backward.

    the requested words, ordered by their lengths        a sort of one integer a word
      for a block of words, the n-grams of 16 starts     one loop over blocks and starts
        their rows, eight of each word a step            a loop

Words of a block have similar lengths, so few slots are empty, and memory is that of a block
whatever the batch. Each kernel takes as long to compile whatever it does, so there are few of them:
blocks and starts share a loop, and each of its steps writes the vectors of the sums so far.

Reverse-mode differentiation cannot go through loops whose steps depend on the data, so the gradient
is written here: the same loops, in which the rows of the n-grams are added to.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ffjax._internal.jax_compat import varying_together, while_loop
from ffjax.kernels.ngram_hashes import STARTS, Words
from ffjax.kernels.normalize import normalize
from ffjax.storage.base import Storage, add_leaves, float_leaves
from ffjax.storage.ngram_batching import as_one_batch
from ffjax.vocab.ngrams.base import NgramIndexer

C = TypeVar("C")

# Words of a block. On a CPU their vectors should stay in the cache while rows are added to them; a
# GPU waits for the host at each step of a loop, so it gets few and large blocks.
_BLOCK_WORDS = {"cpu": 512}
_LARGE_BLOCK_WORDS = 1 << 15
# Of words of more bytes than this a block has fewer, so that its n-grams take no more memory.
_BLOCK_WIDTH = 64
# Rows of each word that are added in one step.
_ROWS_AT_ONCE = 8
# The key after those of all requested words.
_NO_WORD = np.uint32(2**32 - 1)

# What becomes of a sum of rows.
UNIT, MEAN, MEAN_WITH_WORD = "unit", "mean", "mean with word"


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


class _Tile(NamedTuple):
    """The n-grams that start in the same 16 bytes of the words of a block.

    Attributes:
        positions: the words' positions in the batch, beyond it after the last word.
        is_first: whether these are the first bytes, bool scalar.
        ids: the rows of the n-grams, -1 for none, `[slots, words]`.
        remaining: bytes from the first start to the end of the longest word, int32 scalar.
        steps: in how many steps of `_ROWS_AT_ONCE` slots there are rows, by `remaining`.
    """

    positions: Array
    is_first: Array
    ids: Array
    remaining: Array
    steps: np.ndarray

    def over_steps(self, add: Callable[[Array, Array, C], C], carry: C) -> C:
        """Calls `add(i, ids, carry)` for each step that has rows, and for the first."""

        def has_rows(state: tuple[Array, C]) -> Array:
            return state[0] < jnp.take(self.steps, self.remaining, mode="clip")

        def step(state: tuple[Array, C]) -> tuple[Array, C]:
            i, carry = state
            ids = lax.dynamic_slice_in_dim(self.ids, i * _ROWS_AT_ONCE, _ROWS_AT_ONCE)
            return i + 1, add(i, ids, carry)

        return while_loop(has_rows, step, (jnp.int32(0), carry))[1]


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
    # Inside of `shard_map` a gradient must vary over devices as its argument does.
    args = varying_together((vectors, storage, indexer, words, mask))
    return _with_ngram_sums(*args, subwords, mode)


def _replaced(vectors: Array, *args: Any) -> tuple[Array, Array]:
    storage, indexer, words, mask, subwords, mode = args
    return as_one_batch(_forward, storage, indexer, words, (mask, vectors), subwords, mode)


_with_ngram_sums = jax.custom_vjp(_replaced, nondiff_argnums=(5, 6))


def _save(vectors: Array, *args: Any) -> Any:
    # For derivatives of gradients: the loops have a forward mode, which `_with_ngram_sums` lacks.
    return _replaced(vectors, *args), (vectors, *args[:-2])


def _gradient(subwords: Subwords, mode: str, saved: Any, cotangents: Any) -> Any:
    vectors, storage, indexer, words, mask = saved
    batch = mask, vectors, cotangents[0]
    args = storage, indexer, words, batch, subwords, mode
    gradient, rest = as_one_batch(_backward, *args, joins=False)
    sums = iter(gradient)

    def cotangent(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return next(sums).astype(leaf.dtype)
        return np.zeros(leaf.shape, jax.dtypes.float0)

    return rest, jax.tree.map(cotangent, storage), None, None, None


_with_ngram_sums.defvjp(_save, _gradient)


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

    vectors_out, counts = _sums(storage, indexer, words, mask, subwords, vectors, write)
    return vectors_out, counts > 0


def _backward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Any, Array]:
    """The gradient of the storage, float32 for each leaf of floats, and that of the vectors.

    What `jax.grad` makes of a sum of rows is an array like the whole storage for each step of the
    sum. Here one such array is added to.
    """
    mask, vectors, cotangents = batch
    zeros = jnp.zeros((len(mask), *_total_shape(storage, 1)[1:]), jnp.float32)

    def write(totals: Array, positions: Array, total: Array, _: Array) -> Array:
        return _set(totals, positions, total)

    totals, counts = _sums(storage, indexer, words, mask, subwords, zeros, write)

    def finish(storage: Storage, totals: Array, vectors: Array) -> Array:
        new = _finish(storage, totals, counts, vectors if mode == MEAN_WITH_WORD else None, mode)
        return jnp.where(mask[:, None], new.astype(vectors.dtype), vectors)

    _, pull = jax.vjp(finish, storage, totals, vectors)
    of_storage, direction, rest = pull(cotangents)
    gradient = tuple(jnp.zeros(leaf.shape, jnp.float32) for leaf in float_leaves(storage))
    gradient = add_leaves(gradient, of_storage)

    def add_tile(gradient: Any, tile: _Tile) -> Any:
        incoming = jnp.take(direction, tile.positions, axis=0, mode="fill", fill_value=0)
        return tile.over_steps(
            lambda i, ids, gradient: storage.add_gradient(gradient, ids.T, incoming), gradient
        )

    return _over_tiles(indexer, words, mask, subwords, gradient, add_tile), rest


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

    def write(sums: Array, positions: Array, total: Array, _: Array) -> Array:
        return _set(sums, positions, storage.finish_sum(total))

    sums = jnp.zeros((len(mask), storage.shape[1]), jnp.float32)
    return _sums(storage, indexer, words, mask, subwords, sums, write)


def _sums(
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    rows: Array,
    write: Callable[[Array, Array, Array, Array], Array],
) -> tuple[Array, Array]:
    """Calls `write(rows, positions, total, counts)` as sums of blocks grow; counts of all words."""
    size = _block_size(len(mask), subwords)

    def add_tile(state: tuple[Array, ...], tile: _Tile) -> tuple[Array, ...]:
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
    _, _, counts, rows = _over_tiles(indexer, words, mask, subwords, state, add_tile)
    return rows, counts


def _set(rows: Array, positions: Array, new: Array) -> Array:
    return rows.at[positions].set(
        new, mode="drop", unique_indices=True, wrap_negative_indices=False
    )


def _total_shape(storage: Storage, n: int) -> tuple[int, ...]:
    return jax.eval_shape(storage.partial_sum, jax.ShapeDtypeStruct((n, 1), jnp.int32)).shape


def _block_size(n: int, subwords: Subwords) -> int:
    block_words = _BLOCK_WORDS.get(jax.default_backend(), _LARGE_BLOCK_WORDS)
    return min(n, max(1, block_words * _BLOCK_WIDTH // max(subwords.width, _BLOCK_WIDTH)))


def _over_tiles(
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    carry: C,
    add_tile: Callable[[C, _Tile], C],
) -> C:
    """Calls `add_tile(carry, tile)` for the tiles of each block of the requested words."""
    n, width = len(mask), subwords.width
    if n == 0 or subwords.marked == 0:
        return carry
    size, data = _block_size(n, subwords), words.data.reshape(-1)
    order, steps = _slot_order(indexer, subwords.marked)
    number_bits = max(n - 1, 1).bit_length()
    longest = min((1 << (32 - number_bits)) - 2, width)
    keys = _ordered(words.lengths, mask, number_bits, longest, -n % size + size)
    # The loop's counter has the tile in its lower bits, and above them the first word of the block.
    tile_bits = (subwords.marked // STARTS + 1).bit_length()

    def of_tile(state: tuple[Array, C]) -> tuple[Array, C]:
        counter, carry = state
        start, number = counter >> tile_bits, counter & ((1 << tile_bits) - 1)
        block = lax.dynamic_slice_in_dim(keys, start, size)
        index = (block & ((1 << number_bits) - 1)).astype(jnp.int32)
        positions = jnp.where(block == _NO_WORD, n + np.arange(size, dtype=np.int32), index)
        lengths = jnp.take(words.lengths, positions, mode="fill", fill_value=-1)
        block_words = Words(data, words.begin(index), jnp.minimum(lengths, width))
        # Bytes to the end of the longest word, which is the first of the block.
        length = longest - (block[0] >> number_bits).astype(jnp.int32)
        length = length if longest == width else jnp.where(length < longest, length, width)
        remaining = length + (subwords.marked - width) - number * STARTS
        ids = indexer.tile_ids(block_words, number * STARTS, width, subwords.bow, subwords.eow)
        ids = jnp.where(ids < 0, -1, ids + subwords.offset)
        ids = jnp.pad(ids, ((0, 1), (0, 0)), constant_values=-1)  # a slot to fill up with
        ids = jnp.take(ids, order, axis=0, mode="clip")
        carry = add_tile(carry, _Tile(positions, number == 0, ids, remaining, steps))
        is_last = remaining < STARTS + min(indexer.min_n, subwords.marked)
        return jnp.where(is_last, (start + size) << tile_bits, counter + 1), carry

    def has_words(state: tuple[Array, C]) -> Array:
        start = state[0] >> tile_bits
        return lax.dynamic_index_in_dim(keys, start, keepdims=False) != _NO_WORD

    return while_loop(has_words, of_tile, (jnp.int32(0), carry))[1]


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


def _ordered(lengths: Array, mask: Array, number_bits: int, longest: int, n_fill: int) -> Array:
    """Keys of the requested words, the longest words first, and then at least a block `_NO_WORD`.

    A key has the word's number in its lower bits and above them the bytes it is short of `longest`.
    """
    number = jnp.arange(len(mask), dtype=jnp.uint32)
    keys = (longest - jnp.clip(lengths, 0, longest)).astype(jnp.uint32) << number_bits | number
    keys = jnp.where(mask & (lengths >= 0), keys, _NO_WORD)
    return jnp.sort(jnp.pad(keys, (0, n_fill), constant_values=_NO_WORD))
