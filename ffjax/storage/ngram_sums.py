"""Putting words' vectors together from their own rows and those of their n-grams, many at a time.

Words are taken in the order of their lengths, as many at a time as fill a block. One program for a block serves words
of all lengths: it adds `_SLOTS` rows a word in each step and takes as many steps as the word with the most n-grams
needs. Rows that lie in a memory map are first fetched, each once a block.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, Int32

from ffjax._internal.arrays import padded_size
from ffjax.kernels.normalize import normalize
from ffjax.storage.base import Storage
from ffjax.storage.dense import NdArray
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.hashed import FastTextIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer
from ffjax.vocab.ngrams.ragged import RaggedWords, flat_buckets, flat_words, patched, valid_ngrams

_SLOTS = 8
EOS = b"</s>"


class Sizes(NamedTuple):
    """How many words, and how many characters, are composed at a time."""

    words: int
    positions: int


# Few sizes, so that calls share compiled programs. Fetched rows of a block take at most 80 MB with 300 dimensions.
SMALL, LARGE, WHOLE = Sizes(64, 1 << 11), Sizes(1024, 1 << 14), Sizes(4096, 1 << 16)


class Composed(NamedTuple):
    """Some words' vectors.

    Attributes:
        words: which words, int64 `[n]`.
        unit: their vectors at unit length, float32 `[n, dims]`.
        norms: the lengths that they had, float32 `[n]`.
    """

    words: Int[np.ndarray, " n"]
    unit: Float32[np.ndarray, "n dims"]
    norms: Float32[np.ndarray, " n"]


class Sums(NamedTuple):
    """What some words' n-grams add up to.

    Attributes:
        words: which words, int64 `[n]`.
        sums: the sums of the rows of their n-grams, float32 `[n, dims]`.
        numbers: how many n-grams they have, float32 `[n]`.
    """

    words: Int[np.ndarray, " n"]
    sums: Float32[np.ndarray, "n dims"]
    numbers: Float32[np.ndarray, " n"]


class Parts(NamedTuple):
    """What words' vectors are put together from.

    Attributes:
        own: the rows of the words.
        ngrams: the rows of the n-grams, or `None`.
        offset: the row in `ngrams` of the first n-gram.
        table: the words.
        indexer: which n-grams a word has, or `None`.
    """

    own: Storage
    ngrams: Storage | None
    offset: int
    table: StringTable
    indexer: FastTextIndexer | PrunedIndexer | None


def compose(parts: Parts, words: Int[np.ndarray, " n"], sizes: Sizes | None = None) -> Iterator[Composed]:
    """Composes words, given by number, in no particular order; compiled code, block by block.

    The work on one block goes on while the caller uses the one before.

    Args:
        parts: rows, words and n-grams.
        words: numbers of words.
        sizes: the size of a block; by the number of words without it.
    """
    return (Composed(*block) for block in _run(parts, words, sizes, True))


def ngram_sums(parts: Parts, words: Int[np.ndarray, " n"], sizes: Sizes | None = None) -> Iterator[Sums]:
    """As `compose`, the words' own rows left out and nothing scaled."""
    return (Sums(*block) for block in _run(parts, words, sizes, False))


def _run(parts: Parts, words: np.ndarray, sizes: Sizes | None, unit: bool) -> Iterator[tuple[np.ndarray, ...]]:
    if sizes is None:
        sizes = SMALL if len(words) <= SMALL.words else LARGE
    waiting: deque[tuple[np.ndarray, tuple[Array, Array]]] = deque()
    for block in _blocks(parts.table, words, sizes):
        waiting.append((block, _block(parts, block, sizes, unit)))
        if len(waiting) > 1:
            yield _done(*waiting.popleft())
    while waiting:
        yield _done(*waiting.popleft())


def _done(words: np.ndarray, arrays: tuple[Array, Array]) -> tuple[np.ndarray, ...]:
    return words, *(np.asarray(array)[: len(words)] for array in arrays)


def _blocks(table: StringTable, words: np.ndarray, sizes: Sizes) -> Iterator[np.ndarray]:
    """Cuts the words, shortest first, into blocks that fit `sizes`; a word too long for that is a block by itself."""
    offsets = table.host_offsets
    marked = offsets[words + 1] - offsets[words] + 2
    order = np.argsort(marked, kind="stable")
    words, ends = words[order], np.cumsum(marked[order], dtype=np.int64)
    begin = 0
    while begin < len(words):
        used = ends[begin - 1] if begin else 0
        stop = int(np.searchsorted(ends, used + sizes.positions, side="right"))
        stop = min(max(stop, begin + 1), begin + sizes.words)
        yield words[begin:stop]
        begin = stop


def _block(parts: Parts, words: np.ndarray, sizes: Sizes, unit: bool) -> tuple[Array, Array]:
    padded = np.zeros(sizes.words, np.int32)
    padded[: len(words)] = words
    if not unit:
        own = jnp.zeros((sizes.words, parts.own.shape[1]), jnp.float32)
    else:
        own = jnp.asarray(parts.own.embedding(padded)) if parts.own.is_mapped else _rows(parts.own, padded)
    if parts.indexer is None or parts.ngrams is None:
        return _alone(own, unit)
    hashing = parts.indexer.hashing if isinstance(parts.indexer, PrunedIndexer) else parts.indexer
    flat = _flat(parts.table, words, sizes, hashing.bare_eos)
    top = min(hashing.max_n, int(flat.counts.max(initial=0)))
    if top < hashing.min_n:
        return _alone(own, unit)
    buckets = flat_buckets(flat.values, np.uint32(hashing.n_buckets), min_n=hashing.min_n, max_n=top)
    buckets = patched(buckets, flat, hashing)
    ids = parts.indexer.kept(buckets) if isinstance(parts.indexer, PrunedIndexer) else buckets
    ngrams, offset = parts.ngrams, parts.offset
    if ngrams.is_mapped:
        ngrams, ids = _fetched(ngrams, np.asarray(ids), valid_ngrams(flat, hashing, ids.shape[0]), offset)
        offset = 0
    skip = hashing.skip_edge_unigrams and hashing.min_n == 1
    where = (flat.first, flat.counts, np.int32(offset))
    return _compose(own, ngrams, ids, *where, min_n=hashing.min_n, skip=skip, unit=unit)


def _flat(table: StringTable, words: np.ndarray, sizes: Sizes, bare_eos: bool) -> RaggedWords:
    data, offsets = table.host_data, table.host_offsets
    starts = offsets[words].astype(np.int64)
    lengths = offsets[words + 1] - starts
    bare = (lengths == len(EOS)) & bare_eos
    bare[bare] = (data[starts[bare, None] + np.arange(len(EOS))] == np.frombuffer(EOS, np.uint8)).all(-1)
    needed = int(lengths.sum()) + 2 * len(words)
    positions = padded_size(needed, sizes.positions)
    return flat_words(data, starts, lengths, bare, positions=positions, words=sizes.words)


def _fetched(
    ngrams: Storage, ids: np.ndarray, valid: np.ndarray, offset: int
) -> tuple[NdArray, Int32[np.ndarray, "spread positions"]]:
    """The rows that are needed, and ids that point at them."""
    valid &= ids >= 0
    needed, places = np.unique(ids[valid], return_inverse=True)
    moved = np.full(ids.shape, -1, np.int32)
    moved[valid] = places
    rows = np.zeros(padded_size(len(needed), 256), np.int64)
    rows[: len(needed)] = needed + offset
    return NdArray(ngrams.embedding(rows)), moved


@jax.jit
def _rows(storage: Storage, ids: Int32[Array, " words"]) -> Float32[Array, "words dims"]:
    return storage.gather(ids).astype(jnp.float32)


@partial(jax.jit, static_argnames="unit")
def _alone(
    own: Float32[Array, "words dims"], unit: bool
) -> tuple[Float32[Array, "words dims"], Float32[Array, " words"]]:
    return normalize(own) if unit else (own, jnp.zeros(own.shape[0], jnp.float32))


@partial(jax.jit, static_argnames=("min_n", "skip", "unit"))
def _compose(
    own: Float32[Array, "words dims"],
    ngrams: Storage,
    ids: Int32[Array, "spread positions"],
    first: Int32[Array, " words"],
    counts: Int32[Array, " words"],
    offset: Int32[Array, ""],
    *,
    min_n: int,
    skip: bool,
    unit: bool,
) -> tuple[Float32[Array, "words dims"], Float32[Array, " words"]]:
    spread, positions = ids.shape
    line = ids.reshape(-1)

    def held(i: Array) -> tuple[Array, Array]:
        """How many n-grams of `min_n + i` characters each word has, and where the first of them begins."""
        edge = jnp.where((i == 0) & skip, 1, 0)
        return jnp.maximum(counts - (min_n + i) + 1 - 2 * edge, 0), first + edge

    def slot_ids(slots: Int32[Array, " slots"]) -> Int32[Array, "slots words"]:
        def find(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
            rest, place = state
            number, begin = held(i)
            here = (rest >= 0) & (rest < number[None])
            return rest - number[None], jnp.where(here, i * positions + begin[None] + rest, place)

        rest = jnp.broadcast_to(slots[:, None], (_SLOTS, counts.shape[0]))
        _, place = jax.lax.fori_loop(0, spread, find, (rest, jnp.full(rest.shape, -1, jnp.int32)))
        return jnp.where(place >= 0, line[jnp.maximum(place, 0)], -1)

    def add(step: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        total, number = state
        found = slot_ids(step * _SLOTS + jnp.arange(_SLOTS, dtype=jnp.int32))
        for slot in range(_SLOTS):
            row = ngrams.gather(jnp.maximum(found[slot], 0) + offset).astype(jnp.float32)
            total = total + jnp.where((found[slot] >= 0)[:, None], row, jnp.float32(0))
        return total, number + (found >= 0).sum(0, dtype=jnp.int32)

    slots = jax.lax.fori_loop(0, spread, lambda i, most: most + held(i)[0], jnp.zeros_like(counts)).max()
    steps = (slots + _SLOTS - 1) // _SLOTS
    total, number = jax.lax.fori_loop(0, steps, add, (own, jnp.zeros(counts.shape, jnp.int32)))
    number = number.astype(jnp.float32)
    return normalize(total / (number[:, None] + 1)) if unit else (total, number)
