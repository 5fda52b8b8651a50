"""The sum of the rows of words' n-grams: one loop for the device, forward and backward, and its NumPy twin.

    the words that are asked for, ordered by their lengths    a sort of one integer a word
    blocks of words, as few as the batch needs                a `while` loop
      the n-grams that start in the next 16 bytes             a loop over the longest word's bytes
        their rows, eight of each word a step, added up       a loop
      the words' vectors, written to their positions

Words of a block have similar lengths, so few slots are empty, and memory is that of a block whatever
the batch. Reverse-mode differentiation cannot go through loops whose steps depend on the data, so
the gradient is written here: the same loops, in which the rows of the n-grams are added to.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_batching import custom_vmap
from jaxtyping import Float32, Int

from ffjax.kernels.ngram_hashes import STARTS, Words
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.normalize import normalize
from ffjax.storage.base import Storage
from ffjax.storage.ngram_gradients import (
    as_cotangent,
    finish_gradient,
    zero_gradient,
)
from ffjax.strings.string_table import StringTable
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


class _Block(NamedTuple):
    """Words that are worked on together.

    Attributes:
        positions: their positions in the batch, beyond it after the last word.
        tiles: how many times `STARTS` bytes there are in the longest.
        ids: gives the rows of the n-grams of a tile, `[slots, words]`.
        steps: gives the number of steps in which all rows of a tile are read.
    """

    positions: Array
    tiles: Array
    ids: Callable[[Array], Array]
    steps: Callable[[Array], Array]


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
        `(vectors, exist)`: the vectors; and which of the words asked for have n-grams with rows.
    """
    return _batched(_forward, storage, indexer, words, (mask, vectors), subwords, mode)


def _save(vectors: Array, *args: Any) -> Any:
    return with_ngram_sums(vectors, *args), (vectors, *args[:-2])


def _gradient(subwords: Subwords, mode: str, saved: Any, cotangents: Any) -> Any:
    vectors, storage, indexer, words, mask = saved
    batch = mask, vectors, cotangents[0]
    gradient, rest = _batched(_backward, storage, indexer, words, batch, subwords, mode)
    return rest, as_cotangent(storage, gradient), None, None, None


with_ngram_sums.defvjp(_save, _gradient)


def _forward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Array, Array]:
    mask, vectors = batch

    def write(state: tuple[Array, Array], block: _Block) -> tuple[Array, Array]:
        vectors, exist = state
        total, counts = _total(storage, block)
        word = jnp.take(vectors, block.positions, axis=0, mode="clip")
        rows = _finish(storage, total, counts, word, mode).astype(vectors.dtype)
        vectors = vectors.at[block.positions].set(rows, mode="drop", unique_indices=True)
        exist = exist.at[block.positions].set(counts > 0, mode="drop", unique_indices=True)
        return vectors, exist

    return _over_blocks(indexer, words, mask, subwords, (vectors, jnp.zeros_like(mask)), write)


def _backward(
    storage: Storage, indexer: NgramIndexer, words: Words, batch: Any, subwords: Subwords, mode: str
) -> tuple[Any, Array]:
    mask, vectors, cotangents = batch

    def write(state: tuple[Any, Array], block: _Block) -> tuple[Any, Array]:
        gradient, cotangents = state
        total, counts = _total(storage, block)
        word = jnp.take(vectors, block.positions, axis=0, mode="clip")
        _, pull = jax.vjp(
            lambda storage, total, word: _finish(storage, total, counts, word, mode).astype(
                cotangents.dtype
            ),
            storage,
            total,
            word,
        )
        incoming = jnp.take(cotangents, block.positions, axis=0, mode="fill", fill_value=0)
        of_storage, direction, of_word = pull(incoming)
        gradient = finish_gradient(storage, gradient, of_storage)

        def add_tile(tile: Array, gradient: Any) -> Any:
            ids = block.ids(tile)
            return lax.fori_loop(
                0,
                block.steps(tile),
                lambda i, gradient: storage.add_gradient(gradient, _step(ids, i), direction),
                gradient,
            )

        gradient = lax.fori_loop(0, block.tiles, add_tile, gradient)
        cotangents = cotangents.at[block.positions].set(of_word, mode="drop", unique_indices=True)
        return gradient, cotangents

    return _over_blocks(
        indexer, words, mask, subwords, (zero_gradient(storage), cotangents), write
    )


def _total(storage: Storage, block: _Block) -> tuple[Array, Array]:
    """The sum of the rows of each word's n-grams, and how many there are."""
    n = block.positions.shape[0]
    one = jax.ShapeDtypeStruct((n, 1), jnp.int32)
    total = jnp.zeros_like(jax.eval_shape(storage.partial_sum, one), dtype=jnp.float32)

    def add_tile(tile: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        total, counts = state
        ids = lax.optimization_barrier(block.ids(tile))
        total = lax.fori_loop(
            0, block.steps(tile), lambda i, total: total + storage.partial_sum(_step(ids, i)), total
        )
        return total, counts + (ids >= 0).sum(0, dtype=jnp.int32)

    return lax.fori_loop(0, block.tiles, add_tile, (total, jnp.zeros(n, jnp.int32)))


def _finish(storage: Storage, total: Array, counts: Array, word: Array, mode: str) -> Array:
    total = storage.finish_sum(total)
    if mode == UNIT:
        return normalize(total)[0]
    if mode == MEAN_WITH_WORD:
        total, counts = total + word.astype(jnp.float32), counts + 1
    return total / jnp.maximum(counts, 1)[:, None].astype(total.dtype)


def _step(ids: Array, i: Array) -> Array:
    return lax.dynamic_slice_in_dim(ids, i * _ROWS_AT_ONCE, _ROWS_AT_ONCE).T


def _over_blocks(
    indexer: NgramIndexer,
    words: Words,
    mask: Array,
    subwords: Subwords,
    carry: C,
    write: Callable[[C, _Block], C],
) -> C:
    """Calls `write(carry, block)` for blocks of the words that are asked for."""
    n = words.lengths.shape[0]
    if n == 0 or subwords.marked == 0:
        return carry
    words = Words(words.data, words.begins, jnp.minimum(words.lengths, subwords.width))
    block_words = _BLOCK_WORDS.get(jax.default_backend(), _LARGE_BLOCK_WORDS)
    size = min(n, max(1, block_words * _BLOCK_WIDTH // max(subwords.width, _BLOCK_WIDTH)))
    chunk = min(n, _SORTED_WORDS)
    n_chunks = -(-n // chunk)
    fill = (0, n_chunks * chunk - n)
    mask = jnp.pad(mask & (words.lengths >= 0), fill)
    keys = jnp.pad(jnp.clip(words.lengths, 0, (1 << 15) - 1).astype(jnp.uint32), fill)

    def of_chunk(i: Array | int, carry: C) -> C:
        chunk_keys, chunk_mask = (
            lax.dynamic_slice_in_dim(x, i * chunk, chunk) for x in (keys, mask)
        )
        order = jnp.pad(_ordered(chunk_keys, chunk_mask), (0, size))
        n_words = chunk_mask.sum(dtype=jnp.int32)

        def of_block(state: tuple[Array, C]) -> tuple[Array, C]:
            start, carry = state
            number = start + jnp.arange(size, dtype=jnp.int32)
            positions = lax.dynamic_slice_in_dim(order, start, size) + i * chunk
            positions = jnp.where(number < n_words, positions, n + number)
            return start + size, write(carry, _block(indexer, words, positions, subwords))

        return lax.while_loop(lambda state: state[0] < n_words, of_block, (jnp.int32(0), carry))[1]

    return of_chunk(0, carry) if n_chunks == 1 else lax.fori_loop(0, n_chunks, of_chunk, carry)


def _block(indexer: NgramIndexer, words: Words, positions: Array, subwords: Subwords) -> _Block:
    lengths = jnp.take(words.lengths, positions, mode="fill", fill_value=-1)
    begins = jnp.take(words.begins, positions, mode="clip")
    block = Words(words.data, begins, lengths)
    width, bow, eow = subwords.width, subwords.bow, subwords.eow
    # Bytes of the longest word at which an n-gram can start.
    n_starts = jnp.max(lengths) + len(bow) + len(eow) - (indexer.min_n - 1)
    n_starts = jnp.maximum(n_starts, 1)

    def ids(tile: Array) -> Array:
        ids = indexer.tile_ids(block, tile * STARTS, width, bow, eow)
        ids = jnp.where(ids >= 0, ids + subwords.offset, -1)
        fill = -ids.shape[0] % _ROWS_AT_ONCE
        return jnp.pad(ids, ((0, fill), (0, 0)), constant_values=-1) if fill else ids

    def steps(tile: Array) -> Array:
        slots = jnp.minimum(n_starts - tile * STARTS, STARTS) * indexer.slots(subwords.marked)
        return lax.div(slots + (_ROWS_AT_ONCE - 1), jnp.int32(_ROWS_AT_ONCE))

    return _Block(positions, lax.div(n_starts + (STARTS - 1), jnp.int32(STARTS)), ids, steps)


def _ordered(keys: Array, mask: Array) -> Array:
    """The numbers of the words asked for, in the order of their keys; then all others."""
    number = jnp.arange(keys.shape[0], dtype=jnp.uint32)
    key = jnp.where(mask, keys, np.uint32((1 << 16) - 1)) << 16 | number
    key = lax.cond(mask.any(), jnp.sort, lambda key: key, key)
    return (key & np.uint32((1 << 16) - 1)).astype(jnp.int32)


def _batched(
    work: Callable[..., Any],
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    batch: Any,
    subwords: Subwords,
    mode: str,
) -> Any:
    """`work`, which under `vmap` over words alone takes all words as one batch.

    Left to itself, `vmap` would turn each choice in the loops into doing both.
    """

    @custom_vmap
    def call(storage: Storage, indexer: NgramIndexer, words: Words, batch: Any) -> Any:
        return work(storage, indexer, words, batch, subwords, mode)

    @call.def_vmap
    def _(size: int, mapped: Any, *args: Any) -> tuple[Any, Any]:
        if work is _backward or any(jax.tree.leaves(mapped[:2])):
            out = _one_by_one(call, size, mapped, args)
        else:
            data, data_mapped = args[2].data, mapped[2].data
            words, batch = jax.tree.map(
                lambda x, is_mapped: x if is_mapped else jnp.broadcast_to(x, (size, *x.shape)),
                ((args[2].begins, args[2].lengths), args[3]),
                ((mapped[2].begins, mapped[2].lengths), mapped[3]),
            )
            begins, lengths = words
            if data_mapped:
                begins = begins + data.shape[1] * jnp.arange(size, dtype=jnp.int32)[:, None]
            flat = Words(data.reshape(-1), begins.reshape(-1), lengths.reshape(-1))
            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
            out = call(*args[:2], flat, batch)
            out = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return call(storage, indexer, words, batch)


def _one_by_one(call: Callable[..., Any], size: int, mapped: Any, args: Any) -> Any:
    def pick(i: Array) -> Any:
        return call(*jax.tree.map(lambda x, is_mapped: x[i] if is_mapped else x, args, tuple(mapped)))

    return lax.map(pick, jnp.arange(size, dtype=jnp.int32))


# On the host.

# Words whose sums are computed at a time, by one program and in NumPy.
_PROGRAM_WORDS, _HOST_WORDS = 4096, 256
# Words of more bytes have their n-grams hashed in NumPy.
_WIDEST = 64
_NARROWEST = 16


class NgramRows(NamedTuple):
    """What the n-grams of a table's words add up to is made of.

    Attributes:
        storage: the rows of the n-grams.
        offset: the row of the first n-gram.
        table: the words.
        indexer: which n-grams a word has.
    """

    storage: Storage
    offset: int
    table: StringTable
    indexer: NgramIndexer


class WordSums(NamedTuple):
    """The sums of some words.

    Attributes:
        words: which words, int64 `[n]`.
        sums: the sums of the rows of their n-grams, float32 `[n, dims]`.
        counts: how many n-grams they have, int64 `[n]`.
    """

    words: Int[np.ndarray, " n"]
    sums: Float32[np.ndarray, "n dims"]
    counts: Int[np.ndarray, " n"]


class ComposedWords(NamedTuple):
    """The vectors of some words.

    Attributes:
        words: which words, int64 `[n]`.
        units: their vectors at unit length, float32 `[n, dims]`.
        norms: the lengths that they had, float32 `[n]`.
    """

    words: Int[np.ndarray, " n"]
    units: Float32[np.ndarray, "n dims"]
    norms: Float32[np.ndarray, " n"]


def ngram_sums(rows: NgramRows, words: Int[np.ndarray, " n"]) -> Iterator[WordSums]:
    """Adds up the rows of words' n-grams, in blocks, in no particular order of the words.

    Rows on a device are added up in compiled code, one block while the caller uses the one before;
    of a memory map only the rows that are needed are read.
    """
    lengths = np.diff(rows.table.host_offsets)[words]
    order = np.argsort(lengths, kind="stable")
    words, lengths = words[order], lengths[order]
    n_narrow = 0
    if not rows.storage.is_mapped and len(words) > _HOST_WORDS:
        n_narrow = int(np.searchsorted(lengths, _WIDEST, side="right"))
        yield from _sums_by_program(rows, words[:n_narrow], lengths[:n_narrow])
    for begin in range(n_narrow, len(words), _HOST_WORDS):
        block = words[begin : begin + _HOST_WORDS]
        yield WordSums(block, *_sums_of(rows, block))


def compose(
    own: Storage, rows: NgramRows | None, words: Int[np.ndarray, " n"]
) -> Iterator[ComposedWords]:
    """FastText's vectors of words: the means of their own rows and those of their n-grams.

    Args:
        own: a row for each word of the table.
        rows: the n-grams, or `None` if words have none.
        words: numbers of words; their vectors come in no particular order.
    """
    if rows is None:
        blocks = (words[i : i + _PROGRAM_WORDS] for i in range(0, len(words), _PROGRAM_WORDS))
        yield from (ComposedWords(block, *_unit(_own(own, block))) for block in blocks)
        return
    for block in ngram_sums(rows, words):
        means = _own(own, block.words) + block.sums
        means /= (block.counts + 1).astype(np.float32)[:, None]
        yield ComposedWords(block.words, *_unit(means))


def _own(own: Storage, words: np.ndarray) -> np.ndarray:
    return own.read(words).astype(np.float32, copy=False)


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        extreme = np.flatnonzero(~((norms > 1e-12) & (norms < 1e12)))
        # Squares of extreme numbers fit 64 bits; infinity has no direction, and becomes NaN.
        wide = vectors[extreme].astype(np.float64)
        wide_norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        wide_norms[np.isinf(wide).any(1)] = np.nan
        vectors /= np.where(norms > 0, norms, np.float32(1))[:, None]
        vectors[extreme] = wide / np.where(wide_norms == 0, 1, wide_norms)[:, None]
        norms[extreme] = wide_norms
    return vectors, norms


def _sums_by_program(
    rows: NgramRows, words: np.ndarray, lengths: np.ndarray
) -> Iterator[WordSums]:
    table = jnp.asarray(rows.table.data), jnp.asarray(rows.table.offsets)
    waiting: tuple[np.ndarray, Any] | None = None
    for begin in range(0, len(words), _PROGRAM_WORDS):
        block = words[begin : begin + _PROGRAM_WORDS]
        longest = int(lengths[begin + len(block) - 1])
        width = _NARROWEST if longest <= _NARROWEST else _WIDEST
        ids = np.full(_PROGRAM_WORDS, -1, np.int32)
        ids[: len(block)] = block
        result = _program_sums(rows.storage, rows.indexer, table, ids, Subwords(width, rows.offset))
        if waiting is not None:
            yield _fetched(*waiting)
        waiting = block, result
    if waiting is not None:
        yield _fetched(*waiting)


def _fetched(words: np.ndarray, result: tuple[Array, Array]) -> WordSums:
    sums, counts = (np.asarray(array)[: len(words)] for array in result)
    return WordSums(words, sums, counts)


@partial(jax.jit, static_argnames="subwords")
def _program_sums(
    storage: Storage, indexer: NgramIndexer, table: Any, ids: Array, subwords: Subwords
) -> tuple[Array, Array]:
    words = table_words(*table, ids)
    n = ids.shape[0]

    def write(state: tuple[Array, Array], block: _Block) -> tuple[Array, Array]:
        sums, counts = state
        total, number = _total(storage, block)
        total = storage.finish_sum(total)
        sums = sums.at[block.positions].set(total, mode="drop", unique_indices=True)
        return sums, counts.at[block.positions].set(number, mode="drop", unique_indices=True)

    state = jnp.zeros((n, storage.shape[1]), jnp.float32), jnp.zeros(n, jnp.int32)
    return _over_blocks(indexer, words, ids >= 0, subwords, state, write)


def table_words(data: Array, offsets: Array, ids: Array) -> Words:
    """The words of a table with these numbers; no word for numbers below zero."""
    begins = jnp.take(offsets, ids, mode="clip")
    lengths = jnp.take(offsets, ids + 1, mode="clip") - begins
    return Words(data, begins, jnp.where(ids >= 0, lengths, -1))


def _sums_of(rows: NgramRows, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    data, offsets = rows.table.host_data, rows.table.host_offsets
    starts = offsets[words].astype(np.int64)
    marked = mark_words(data, starts, offsets[words + 1] - starts, b"<", b">")
    ids, splits = rows.indexer.ragged_ids(*marked)
    return sum_of_rows(rows.storage, ids.astype(np.int64) + rows.offset, splits), np.diff(splits)


def sum_of_rows(
    storage: Storage, ids: Int[np.ndarray, " n_ids"], splits: Int[np.ndarray, " n_plus_1"]
) -> Float32[np.ndarray, "n dims"]:
    """Adds up rows in NumPy: those of item i are `ids[splits[i]:splits[i + 1]]`."""
    sums = np.zeros((len(splits) - 1, storage.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(splits))
    if filled.size:
        needed, index = np.unique(ids, return_inverse=True)
        values = storage.read(needed).astype(np.float32, copy=False).take(index, axis=0)
        sums[filled] = np.add.reduceat(values, splits[filled], axis=0)
    return sums
