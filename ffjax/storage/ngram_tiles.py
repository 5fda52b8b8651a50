"""The n-grams of words in tiles: those that start in the same 16 bytes of a block of words.

    the requested words, ordered by their lengths        a sort of one integer a word
      for a block of words, the n-grams of 16 starts     one loop over blocks and starts
        their rows, eight of each word a step            a loop

Words of a block have similar lengths, so few slots are empty, and memory is that of a block
whatever the batch. Each kernel takes as long to compile whatever it does, so there are few of them:
blocks and starts share a loop.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ffjax._internal.jax_compat import while_loop
from ffjax.kernels.ngram_hashes import STARTS, Words
from ffjax.kernels.siphash import computed_once
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


class Tile(NamedTuple):
    """The n-grams that start in the same 16 bytes of the words of a block.

    Attributes:
        positions: the words' positions in the batch, beyond it after the last word.
        ids: the rows of the n-grams, -1 for none, `[starts + 1, slots, words]`.
        order: the slots of all starts by where their n-grams end, filled up to full steps.
        at: the first word of the block, the first start, and the next step, from 1; int32 `[3]`.
        n_steps: in how many steps of `_ROWS_AT_ONCE` slots there are rows, by `at`.
    """

    positions: Array
    ids: Array
    order: np.ndarray
    at: Array
    n_steps: Callable[[Array], Array]

    def over_steps(self, add: Callable[[Array, Array, C], C], carry: C) -> C:
        """Calls `add(is_first, ids, carry)` for each step that has rows, and for the first."""

        def has_rows(state: tuple[Array, C]) -> Array:
            return state[0][2] <= self.n_steps(state[0])

        def step(state: tuple[Array, C]) -> tuple[Array, C]:
            at, carry = state
            first = (at[2] - 1) * _ROWS_AT_ONCE
            slots = lax.dynamic_slice_in_dim(jnp.asarray(self.order), first, _ROWS_AT_ONCE)
            ids = jnp.take(slot_ids, slots, axis=0, mode="clip")
            # Of the state, since XLA makes a kernel of each scalar that a loop doesn't change.
            is_first = (at[1] == 0) & (at[2] == 1)
            return at + np.array([0, 0, 1], np.int32), add(is_first, ids, carry)

        slot_ids = self.ids.reshape(-1, self.ids.shape[-1])
        return while_loop(has_rows, step, (self.at, carry))[1]


def block_size(n: int, subwords: Subwords) -> int:
    """How many of `n` words are a block."""
    block_words = _BLOCK_WORDS.get(jax.default_backend(), _LARGE_BLOCK_WORDS)
    return min(n, max(1, block_words * _BLOCK_WIDTH // max(subwords.width, _BLOCK_WIDTH)))


def over_tiles(
    indexer: NgramIndexer,
    words: Words,
    subwords: Subwords,
    carry: C,
    add_tile: Callable[[C, Tile], C],
) -> C:
    """Calls `add_tile(carry, tile)` for the tiles of each block of words."""
    n, width = len(words.lengths), subwords.width
    if n == 0 or subwords.marked == 0:
        return carry
    size, data = block_size(n, subwords), words.data.reshape(-1)
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

    def remaining(at: Array) -> Array:
        """Bytes from the first start to the end of the longest word, the first of its block."""
        length = in_keys(lax.dynamic_index_in_dim(keys, at[0], keepdims=False))
        length = length if longest == width else jnp.where(length < longest, length, width)
        return length + (subwords.marked - width) - at[1]

    def n_steps(at: Array) -> Array:
        return jnp.take(steps, remaining(at), mode="clip")

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
        carry = add_tile(carry, Tile(positions, ids, order, at, n_steps))
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


def all_ids(indexer: NgramIndexer, words: Words, subwords: Subwords) -> Array:
    """The rows of the n-grams of all words at once, -1 for none, `[batch, slots]`."""
    n, marked = len(words.lengths), subwords.marked
    n_slots = (min(STARTS, max(marked, 1)) + 1) * indexer.slots(marked)
    ids = jnp.full((n, -(-marked // STARTS), n_slots), -1, jnp.int32)

    def add_tile(state: tuple[Array, Array], tile: Tile) -> tuple[Array, Array]:
        number, ids = state
        number = jnp.where(tile.at[1] == 0, 0, number + 1)
        ids = ids.at[tile.positions, number].set(tile.ids.reshape(n_slots, -1).T, mode="drop")
        return number, ids

    state = jnp.int32(0), ids
    _, ids = over_tiles(indexer, words, subwords, state, add_tile)
    return ids.reshape(n, -1)
