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
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ffjax.kernels.ngram_hashes import STARTS, Words
from ffjax.kernels.normalize import normalize
from ffjax.storage.base import Storage
from ffjax.storage.dense import NdArray
from ffjax.storage.ngram_batching import as_one_batch
from ffjax.storage.ngram_gradients import as_cotangent, finish_gradient, zero_gradient
from ffjax.vocab.ngrams.base import NgramIndexer

C = TypeVar("C")

# Words that are ordered together: their numbers take 16 of the 32 bits that are sorted.
_SORTED_WORDS = 1 << 16
# Words of a block. On a CPU their vectors should stay in the cache while rows are added to them; a
# GPU waits for the host at each step of a loop, so it gets few and large blocks.
_BLOCK_WORDS = {"cpu": 512}
_LARGE_BLOCK_WORDS = 1 << 15
# Of words of more bytes than this a block has fewer, so that its n-grams take no more memory.
_BLOCK_WIDTH = 64
# Rows of each word that are added in one step.
_ROWS_AT_ONCE = 8

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
        n_steps: in how many steps of `_ROWS_AT_ONCE` slots there are rows, int32 scalar.
    """

    positions: Array
    is_first: Array
    ids: Array
    n_steps: Array


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def with_ngram_sums(
    vectors: Array,
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    mode: str,
) -> tuple[Array, Array]:
    """Replaces the vectors of some words by what the rows of their n-grams add up to.

    Args:
        vectors: a vector for each word, `[batch, dims]`.
        storage: the rows.
        indexer: which n-grams a word has.
        words: the words.
        mask: whose vectors to replace, bool `[batch]`.
        subwords: markers and rows of n-grams.
        mode: `UNIT` for sums at unit length, `MEAN` for means of rows, `MEAN_WITH_WORD` for means
            of the word's vector and the rows.

    Returns:
        `(vectors, exist)`: the vectors; and which of the requested words have n-grams with rows.
    """
    return as_one_batch(_forward, storage, indexer, words, (mask, vectors), subwords, mode)


def _save(vectors: Array, *args: Any) -> Any:
    return with_ngram_sums(vectors, *args), (vectors, *args[:-2])


def _gradient(subwords: Subwords, mode: str, saved: Any, cotangents: Any) -> Any:
    vectors, storage, indexer, words, mask = saved
    batch = mask, vectors, cotangents[0]
    args = storage, indexer, words, batch, subwords, mode
    gradient, rest = as_one_batch(_backward, *args, joins=False)
    return rest, as_cotangent(storage, gradient), None, None, None


with_ngram_sums.defvjp(_save, _gradient)


def _forward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Array, Array]:
    mask, vectors = batch

    def write(rows: Array, positions: Array, total: Array, counts: Array) -> Array:
        word = vectors if mode == MEAN_WITH_WORD else None
        new = _finish(storage, total, counts, positions, word, mode)
        return _set(rows, positions, new.astype(vectors.dtype))

    vectors_out, counts = _sums(storage, indexer, words, mask, subwords, vectors, write)
    return vectors_out, counts > 0


def _backward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Any, Array]:
    mask, vectors, cotangents = batch
    zeros = jnp.zeros((len(mask), *_total_shape(storage, 1)[1:]), jnp.float32)

    def write(totals: Array, positions: Array, total: Array, counts: Array) -> Array:
        return _set(totals, positions, total)

    totals, counts = _sums(storage, indexer, words, mask, subwords, zeros, write)

    def finish(storage: Storage, totals: Array, vectors: Array) -> Array:
        word_rows = vectors if mode == MEAN_WITH_WORD else None
        new = _finish(storage, totals, counts, None, word_rows, mode)
        return jnp.where(mask[:, None], new.astype(vectors.dtype), vectors)

    _, pull = jax.vjp(finish, storage, totals, vectors)
    of_storage, direction, rest = pull(cotangents)
    gradient = finish_gradient(storage, zero_gradient(storage), of_storage)

    def add_tile(gradient: Any, tile: _Tile) -> Any:
        incoming = jnp.take(direction, tile.positions, axis=0, mode="fill", fill_value=0)
        return lax.fori_loop(
            0,
            tile.n_steps,
            lambda i, gradient: storage.add_gradient(gradient, _step(tile.ids, i), incoming),
            gradient,
        )

    return _over_tiles(indexer, words, mask, subwords, gradient, add_tile), rest


def _finish(
    storage: Storage,
    total: Array,
    counts: Array,
    positions: Array | None,
    word: Array | None,
    mode: str,
) -> Array:
    total = storage.finish_sum(total)
    if mode == UNIT:
        return normalize(total)[0]
    if positions is not None:
        counts = jnp.take(counts, positions, mode="clip")
        word = None if word is None else jnp.take(word, positions, axis=0, mode="clip")
    if word is not None:
        total, counts = total + word.astype(jnp.float32), counts + 1
    return total / jnp.maximum(counts, 1)[:, None].astype(total.dtype)


def ngram_totals(
    storage: Storage, indexer: NgramIndexer, words: Words, mask: Array, subwords: Subwords
) -> tuple[Array, Array]:
    """The sums of the rows of words' n-grams, `[batch, dims]`, and how many each word has."""

    def write(sums: Array, positions: Array, total: Array, counts: Array) -> Array:
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

    def add_tile(state: tuple[Array, Array, Array], tile: _Tile) -> tuple[Array, Array, Array]:
        total, counts, rows = state
        total = lax.fori_loop(
            0,
            tile.n_steps,
            lambda i, total: _add_rows(storage, total, _step(tile.ids, i)),
            jnp.where(tile.is_first, 0, total),
        )
        # A product with ones is one kernel, and exact.
        exist = (tile.ids >= 0).astype(jnp.float32)
        n = (jnp.ones(len(exist)) @ exist).astype(jnp.int32)
        counts = counts.at[tile.positions].add(n, mode="drop", unique_indices=True)
        return total, counts, write(rows, tile.positions, total, counts)

    total = jnp.zeros(_total_shape(storage, _block_size(len(mask), subwords)), jnp.float32)
    state = total, jnp.zeros(len(mask), jnp.int32), rows
    _, counts, rows = _over_tiles(indexer, words, mask, subwords, state, add_tile)
    return rows, counts


def _add_rows(storage: Storage, total: Array, ids: Array) -> Array:
    def add(total: Array, ids: Array, *, all_valid: bool) -> Array:
        return total + storage.partial_sum(ids, all_valid=all_valid)

    if not isinstance(storage, NdArray):
        return add(total, ids, all_valid=False)
    # Words of a block have about as many n-grams, so most steps need not look for missing rows.
    choices = partial(add, all_valid=True), partial(add, all_valid=False)
    return lax.cond((ids >= 0).all(), *choices, total, ids)


def _set(rows: Array, positions: Array, new: Array) -> Array:
    return rows.at[positions].set(new, mode="drop", unique_indices=True)


def _total_shape(storage: Storage, n: int) -> tuple[int, ...]:
    return jax.eval_shape(storage.partial_sum, jax.ShapeDtypeStruct((n, 1), jnp.int32)).shape


def _step(ids: Array, i: Array) -> Array:
    return lax.dynamic_slice_in_dim(ids, i * _ROWS_AT_ONCE, _ROWS_AT_ONCE).T


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
    n = words.lengths.shape[0]
    if n == 0 or subwords.marked == 0:
        return carry
    size, chunk = _block_size(n, subwords), min(n, _SORTED_WORDS)
    n_chunks = -(-n // chunk)
    lengths = jnp.minimum(words.lengths, subwords.width)
    lengths, begins = (jnp.pad(x, (0, n_chunks * chunk - n)) for x in (lengths, words.begins))
    mask = jnp.pad(mask & (words.lengths >= 0), (0, n_chunks * chunk - n))
    n_markers = len(subwords.bow) + len(subwords.eow)
    slots, steps = _slot_order(indexer, subwords.marked)

    def of_chunk(first: Array | int, carry: C) -> C:
        chunk_lengths, chunk_begins, chunk_mask = (
            lax.dynamic_slice_in_dim(x, first, chunk) for x in (lengths, begins, mask)
        )
        n_words = chunk_mask.sum(dtype=jnp.int32)
        order = _ordered(chunk_lengths, chunk_mask)
        columns = order + first, chunk_begins[order], chunk_lengths[order]
        plan = jnp.pad(jnp.stack(columns), ((0, 0), (0, size)))

        def of_tile(state: tuple[Array, C]) -> tuple[Array, C]:
            (start, tile), carry = state[0], state[1]
            positions, block_begins, block_lengths = lax.dynamic_slice_in_dim(plan, start, size, 1)
            number = start + jnp.arange(size, dtype=jnp.int32)
            valid = number < n_words
            positions = jnp.where(valid, positions, n + number)
            block = Words(words.data, block_begins, jnp.where(valid, block_lengths, -1))
            # Bytes from this tile to the end of the longest word, which is the last of the block.
            longest = plan[2, jnp.minimum(start + size, n_words) - 1]
            remaining = longest + n_markers - tile * STARTS
            is_last = remaining < STARTS + min(indexer.min_n, subwords.marked)
            after = jnp.where(is_last, jnp.stack([start + size, 0]), jnp.stack([start, tile + 1]))
            n_steps = jnp.asarray(steps)[jnp.clip(remaining, 0, len(steps) - 1)]
            ids = _tile_ids(indexer, block, tile * STARTS, subwords, slots)
            return after, add_tile(carry, _Tile(positions, tile == 0, ids, n_steps))

        begin = jnp.zeros(2, jnp.int32)
        return lax.while_loop(lambda state: state[0][0] < n_words, of_tile, (begin, carry))[1]

    if n_chunks == 1:
        return of_chunk(0, carry)
    return lax.fori_loop(0, n_chunks, lambda i, state: of_chunk(i * chunk, state), carry)


def _tile_ids(
    indexer: NgramIndexer, words: Words, start: Array, subwords: Subwords, slots: np.ndarray
) -> Array:
    ids = indexer.tile_ids(words, start, subwords.width, subwords.bow, subwords.eow)
    ids = ids.at[np.maximum(slots, 0)].get(mode="promise_in_bounds")
    exist = (ids >= 0) & (slots >= 0)[:, None]
    return lax.optimization_barrier(jnp.where(exist, ids + subwords.offset, -1))


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
    steps = (-(-n_valid // _ROWS_AT_ONCE)).astype(np.int32)
    return np.pad(slots, (0, fill), constant_values=-1).astype(np.int32), steps


def _ordered(lengths: Array, mask: Array) -> Array:
    """The numbers of the requested words, in the order of their lengths; then all others."""
    number = jnp.arange(lengths.shape[0], dtype=jnp.uint32)
    keys = jnp.clip(lengths, 0, (1 << 15) - 1).astype(jnp.uint32)
    keys = jnp.where(mask, keys, np.uint32((1 << 16) - 1)) << 16 | number
    return (jnp.sort(keys) & np.uint32((1 << 16) - 1)).astype(jnp.int32)
