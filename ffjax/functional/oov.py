"""The vectors of a batch's unknown words: only those words are hashed and only their n-grams' rows are read.

    known and filler words out, the others ordered by their lengths    a sort of one integer a word
    blocks of words, as few as the batch needs                         a `while` loop
      their n-grams, in as many bytes as the longest of the block has  one of a few programs
      the rows of their n-grams, eight a step, added up                a `while` loop
      unit length (or the mean), written to the words' places

Words of a block have about as many characters, so little is read for nothing; memory for n-grams is that of a block,
whatever the batch. The numbers of blocks and of steps depend on the batch, which reverse-mode differentiation cannot
go through, so the gradient is written here: the same loops, in which the rows of the n-grams are added to.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_batching import custom_vmap
from jaxtyping import Bool, Float, Int32, UInt8, UInt32

from ffjax.kernels.normalize import normalize
from ffjax.storage import NdArray, Storage
from ffjax.storage.ngram_gradients import (
    Gradient,
    as_cotangent,
    finish_gradient,
    zero_gradient,
)
from ffjax.strings.strings import Strings
from ffjax.vocab import SubwordVocab

C = TypeVar("C")

# Words that are ordered together: their numbers take 16 of the 32 bits that are sorted.
_CHUNK = 1 << 16
# Words of a block. On a CPU their vectors should stay in the cache while eight rows a step are added to them; a GPU
# waits for the host at each step of a loop, so there it has few of them.
_BLOCK = {"cpu": 512}
_LARGE_BLOCK = 1 << 15
# Of words of more bytes than this, a block has fewer, so that a block of wide words takes no more memory.
_BLOCK_WIDTH = 64
# Rows that are added in one step.
_AT_ONCE = 8
# Bytes of the longest word of a block: each of these is a program of its own.
_WIDTHS = (16, 32)


def with_unknown(
    vectors: Float[Array, "batch dims"],
    storage: Storage,
    vocab: SubwordVocab,
    strings: Strings,
    unknown: Bool[Array, " batch"],
    *,
    means: bool,
) -> tuple[Float[Array, "batch dims"], Bool[Array, " batch"]]:
    """Puts the vectors of a batch's unknown words in their places; compiled code.

    Args:
        vectors: those of the known words, zeros for the others.
        storage: the rows.
        vocab: which n-grams a word has.
        strings: the batch.
        unknown: which words are asked for.
        means: whether to give the mean of the n-grams' rows, and not their sum at unit length.

    Returns:
        `(vectors, found)`: the vectors of all words; and which of those that were asked for have n-grams with rows.
    """
    batch = jnp.asarray(strings.bytes), jnp.asarray(strings.lengths), unknown
    return _placed(vectors, storage, vocab, batch, means)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _placed(vectors: Array, storage: Storage, vocab: SubwordVocab, batch: Any, means: bool) -> tuple[Array, Array]:
    return _batched(_forward, storage, vocab, (*batch, vectors), means)


def _remember(vectors: Array, storage: Storage, vocab: SubwordVocab, batch: Any, means: bool) -> Any:
    placed: Any = _placed(vectors, storage, vocab, batch, means)
    return placed, (storage, vocab, batch, placed[1])


def _gradient(means: bool, kept: Any, cotangents: tuple[Array, Any]) -> tuple[Any, Any, None, None]:
    storage, vocab, batch, found = kept
    gradient = _batched(_backward, storage, vocab, (*batch, cotangents[0]), means)
    rest = jnp.where(found[:, None], jnp.zeros((), cotangents[0].dtype), cotangents[0])
    return rest, as_cotangent(storage, gradient), None, None


_placed.defvjp(_remember, _gradient)


def _batched(work: Callable[..., Any], storage: Storage, vocab: SubwordVocab, batch: Any, means: bool) -> Any:
    """`work`, which under `vmap` over words alone takes all words as one batch.

    Left to itself, `vmap` would turn each choice in the loops into doing both.
    """

    @custom_vmap
    def call(storage: Storage, vocab: SubwordVocab, batch: Any) -> Any:
        return work(storage, vocab, batch, means)

    @call.def_vmap
    def _(axis_size: int, mapped: Any, storage: Storage, vocab: SubwordVocab, batch: Any) -> tuple[Any, Any]:
        storage_mapped, vocab_mapped, batch_mapped = mapped
        batch = jax.tree.map(
            lambda x, is_mapped: x if is_mapped else jnp.broadcast_to(x, (axis_size, *x.shape)), batch, batch_mapped
        )
        if work is _backward or any(jax.tree.leaves((storage_mapped, vocab_mapped))):
            axes = jax.tree.map(lambda is_mapped: 0 if is_mapped else None, (storage_mapped, vocab_mapped))
            out = _one_by_one(call, axes, storage, vocab, batch, axis_size)
        else:
            flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
            out = jax.tree.map(lambda x: x.reshape(axis_size, -1, *x.shape[1:]), call(storage, vocab, flat))
        return out, jax.tree.map(lambda _: True, out)

    return call(storage, vocab, batch)


def _one_by_one(call: Callable[..., Any], axes: Any, storage: Any, vocab: Any, batch: Any, size: int) -> Any:
    def of(i: Array) -> Any:
        def pick(tree: Any, axis: Any) -> Any:
            return jax.tree.map(lambda x, a: x if a is None else x[i], tree, axis, is_leaf=lambda x: x is None)

        return call(pick(storage, axes[0]), pick(vocab, axes[1]), jax.tree.map(lambda x: x[i], batch))

    return lax.map(of, jnp.arange(size, dtype=jnp.int32))


def _forward(storage: Storage, vocab: SubwordVocab, batch: Any, means: bool) -> tuple[Array, Array]:
    data, lengths, unknown, vectors = batch

    def write(out: tuple[Array, Array], places: Array, ids: Array) -> tuple[Array, Array]:
        vectors, found = out
        total, counts = _total(storage, ids)
        rows = _finished(storage, total, counts, means).astype(vectors.dtype)
        return (
            vectors.at[places].set(rows, mode="drop", unique_indices=True),
            found.at[places].set(counts > 0, mode="drop", unique_indices=True),
        )

    return _over_blocks(vocab, data, lengths, unknown, (vectors, jnp.zeros(lengths.shape, bool)), write)


def _backward(storage: Storage, vocab: SubwordVocab, batch: Any, means: bool) -> Gradient:
    data, lengths, unknown, cotangents = batch

    def write(gradient: Gradient, places: Array, ids: Array) -> Gradient:
        total, counts = _total(storage, ids)
        _, back = jax.vjp(lambda storage, total: _finished(storage, total, counts, means), storage, total)
        of_storage, direction = back(jnp.take(cotangents, places, axis=0, mode="fill", fill_value=0))
        gradient = finish_gradient(storage, gradient, of_storage)
        return lax.fori_loop(
            0, _n_steps(ids), lambda i, gradient: storage.add_gradient(gradient, _step(ids, i), direction), gradient
        )

    return _over_blocks(vocab, data, lengths, unknown, zero_gradient(storage), write)


def _total(storage: Storage, ids: Int32[Array, "slots block"]) -> tuple[Array, Array]:
    """The sum of the rows of each word's n-grams, and how many there are."""
    total = jnp.zeros_like(jax.eval_shape(storage.partial_sum, ids[:0].T), dtype=jnp.float32)
    begin = jnp.int32(0)

    def add(whole: bool) -> Callable[[Array, Array], Array]:
        return lambda i, total: total + storage.partial_sum(_step(ids, i), all_valid=whole)

    if isinstance(storage, NdArray):
        # As many steps at first as need no look at which rows there are: words of a block have about as many n-grams.
        full = (ids >= 0).all(1)
        begin = jnp.min(jnp.where(full, ids.shape[0], jnp.arange(ids.shape[0], dtype=jnp.int32))) // _AT_ONCE
        total = lax.fori_loop(0, begin, add(True), total)
    total = lax.fori_loop(begin, _n_steps(ids), add(False), total)
    return total, (ids >= 0).sum(0, dtype=jnp.int32)


def _finished(storage: Storage, total: Array, counts: Array, means: bool) -> Array:
    total = storage.finish_sum(total)
    return total / jnp.maximum(counts, 1)[:, None].astype(total.dtype) if means else normalize(total)[0]


def _n_steps(ids: Int32[Array, "slots block"]) -> Array:
    """In how many steps all rows are read that any word of the block has."""
    last = jnp.max(jnp.where((ids >= 0).any(1), jnp.arange(1, ids.shape[0] + 1, dtype=jnp.int32), 0), initial=0)
    return (last + _AT_ONCE - 1) // _AT_ONCE


def _step(ids: Int32[Array, "slots block"], i: Array) -> Int32[Array, "block at_once"]:
    return lax.dynamic_slice_in_dim(ids, i * _AT_ONCE, _AT_ONCE).T


def _over_blocks(
    vocab: SubwordVocab, data: Array, lengths: Array, unknown: Array, carry: C, write: Callable[[C, Array, Array], C]
) -> C:
    """Calls `write(carry, places, ids)` for blocks of unknown words: their places and their n-grams' rows `[slots, n]`.

    Behind the last word of a block `places` is outside of the batch, and there are no n-grams.
    """
    n, width = data.shape
    if n == 0:
        return carry
    block_size = _BLOCK.get(jax.default_backend(), _LARGE_BLOCK)
    size = min(n, max(1, block_size * _BLOCK_WIDTH // max(width, _BLOCK_WIDTH)))
    chunk = min(n, _CHUNK)
    n_chunks = -(-n // chunk)
    fill = (0, n_chunks * chunk - n)
    unknown = jnp.pad(unknown & (lengths >= 0), fill)
    keys = jnp.pad(_keys(data, lengths), fill)

    def of_chunk(i: Array | int, carry: C) -> C:
        own, asked = (lax.dynamic_slice_in_dim(x, i * chunk, chunk) for x in (keys, unknown))
        order = jnp.pad(_ordered(own, asked), (0, size))
        n_asked = asked.sum(dtype=jnp.int32)

        def block(state: tuple[Array, C]) -> tuple[Array, C]:
            done, carry = state
            number = done + jnp.arange(size, dtype=jnp.int32)
            places = lax.dynamic_slice_in_dim(order, done, size) + i * chunk
            places = jnp.where(number < n_asked, places, n + number)
            words = jnp.take(data, places, axis=0, mode="clip")
            sizes = jnp.take(lengths, places, mode="fill", fill_value=-1)
            return done + size, write(carry, places, _block_ids(vocab, words, sizes))

        return lax.while_loop(lambda state: state[0] < n_asked, block, (jnp.int32(0), carry))[1]

    return of_chunk(0, carry) if n_chunks == 1 else lax.fori_loop(0, n_chunks, of_chunk, carry)


def _keys(data: UInt8[Array, "batch width"], lengths: Int32[Array, " batch"]) -> UInt32[Array, " batch"]:
    """By what words are ordered, 16 bits: the program that hashes them, and how many characters they have.

    On the characters depends how many n-grams a word has.
    """
    program = jnp.stack([lengths > width for width in _WIDTHS]).sum(0, dtype=jnp.uint32)
    following = ((data & np.uint8(0xC0)) == 0x80).sum(1, dtype=jnp.int32)
    characters = jnp.clip(lengths - following, 0, (1 << 14) - 2).astype(jnp.uint32)
    return program << 14 | characters


def _ordered(keys: UInt32[Array, " chunk"], asked: Bool[Array, " chunk"]) -> Int32[Array, " chunk"]:
    """The numbers of the words asked for, in the order of their keys; then all others."""
    number = jnp.arange(keys.shape[0], dtype=jnp.uint32)
    key = jnp.where(asked, keys, np.uint32(_CHUNK - 1)) << 16 | number
    key = lax.cond(asked.any(), jnp.sort, lambda key: key, key)
    return (key & np.uint32(_CHUNK - 1)).astype(jnp.int32)


def _block_ids(vocab: SubwordVocab, words: Array, sizes: Array) -> Int32[Array, "slots block"]:
    """The rows of the n-grams of a block of words, -1 behind the last; a number of slots that steps divide."""
    width = words.shape[1]
    shape = jax.eval_shape(vocab.ngram_rows, words, sizes).shape
    slots = max(1, -(-shape[1] // _AT_ONCE)) * _AT_ONCE

    def of_width(width: int) -> Callable[[Array, Array], Array]:
        def rows(words: Array, sizes: Array) -> Array:
            ids = vocab.ngram_rows(words[:, :width], sizes).T
            return jnp.pad(ids, ((0, slots - ids.shape[0]), (0, 0)), constant_values=-1)

        return rows

    widths = [w for w in _WIDTHS if w < width] + [width]
    if len(widths) == 1:
        return of_width(width)(words, sizes)
    longest = jnp.max(sizes)
    which = jnp.stack([longest > w for w in widths[:-1]]).sum(dtype=jnp.int32)
    return lax.switch(which, [of_width(w) for w in widths], words, sizes)
