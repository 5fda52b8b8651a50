"""FastText's n-grams of many words at once, in one long line of characters.

A packed batch is as wide as its longest word, and every width is another program to compile. Where a whole vocabulary
is to be hashed once, its words are laid one after the other instead, with their markers:

    values   uint32[positions]           `<tea><coffee>...`, one character each (its bytes, little endian), zeros behind
    first    int32[words]                where each word begins
    counts   int32[words]                characters in each, markers included; 0 for a word that has no n-grams
    buckets  int32[spread, positions]    the bucket of the n-gram of `min_n + i` characters that begins there

One program for one number of positions serves words of all lengths. What a bucket says where an n-gram would run over
the end of its word means nothing. Characters are those of fastText: a byte that is no continuation byte (`10xxxxxx`)
and all continuation bytes after it.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int32, UInt8, UInt32

from ffjax.kernels.fnv import OFFSET_32, fasttext_byte, fasttext_hash
from ffjax.vocab.ngrams.hashed import FastTextIndexer

_BOW, _EOW = ord("<"), ord(">")


class RaggedWords(NamedTuple):
    """Words laid one after the other.

    Attributes:
        values: characters, uint32 `[positions]`.
        first: where each word begins, int32 `[words]`.
        counts: characters in each word, int32 `[words]`.
        overlong: bytes of the words in which a character has more than four bytes, by number of the word.
    """

    values: UInt32[np.ndarray, " positions"]
    first: Int32[np.ndarray, " words"]
    counts: Int32[np.ndarray, " words"]
    overlong: dict[int, bytes]


def flat_words(
    data: UInt8[np.ndarray, " size"],
    starts: Int[np.ndarray, " n"],
    lengths: Int[np.ndarray, " n"],
    bare: Bool[np.ndarray, " n"],
    *,
    positions: int,
    words: int,
) -> RaggedWords:
    """Lays words of one buffer one after the other, with `<` and `>` around each.

    Args:
        data: the bytes of the words.
        starts: where each word begins.
        lengths: bytes in each word.
        bare: words that have no n-grams; they are left out of the line.
        positions: places for characters, at least two for each word and one for each byte.
        words: places for words; those not in use have no characters.
    """
    marked = np.where(bare, 0, lengths + 2)
    ends = np.cumsum(marked)
    begins = ends - marked
    line = data.take(np.repeat(starts - 1 - begins, marked) + np.arange(ends[-1] if len(ends) else 0), mode="clip")
    line[begins[~bare]], line[ends[~bare] - 1] = _BOW, _EOW
    overlong: dict[int, bytes] = {}
    values = np.zeros(positions, np.uint32)
    first, counts = np.zeros(words, np.int32), np.zeros(words, np.int32)
    if line.size == 0 or line.max() < 0x80:
        values[: line.size] = line
        first[: len(begins)], counts[: len(begins)] = begins, marked
    else:
        following = (line & 0xC0) == 0x80
        places = np.flatnonzero(~following)
        found = line[places].astype(np.uint32)
        more = np.ones(len(places), bool)
        for k in (1, 2, 3, 4):
            at = np.minimum(places + k, line.size - 1)  # the last byte is a marker, never a continuation
            more = more & following[at]
            if k < 4:
                found |= np.where(more, line[at].astype(np.uint32) << np.uint32(8 * k), np.uint32(0))
        values[: len(found)] = found
        bounds = np.searchsorted(places, np.append(begins, line.size))
        first[: len(begins)], counts[: len(begins)] = bounds[:-1], np.diff(bounds)
        for word in np.unique(np.searchsorted(ends, places[more], side="right")).tolist():
            overlong[word] = line[begins[word] : ends[word]].tobytes()
    return RaggedWords(values, first, counts, overlong)


@partial(jax.jit, static_argnames=("min_n", "max_n"))
def flat_buckets(
    values: UInt32[Array, " positions"], n_buckets: UInt32[Array, ""], *, min_n: int, max_n: int
) -> Int32[Array, "spread positions"]:
    """The bucket of each n-gram at each position, shortest first; see `patched` for words in `overlong`."""
    padded = jnp.pad(values, (0, max_n))

    def grow(state: Array, n: Array) -> tuple[Array, Array]:
        character = jax.lax.dynamic_slice_in_dim(padded, n, values.shape[0])
        state = fasttext_byte(state, character & np.uint32(0xFF))
        for k in (1, 2, 3):  # a character that has byte k is at least 256**k
            more = fasttext_byte(state, (character >> np.uint32(8 * k)) & np.uint32(0xFF))
            state = jnp.where(character >= np.uint32(256**k), more, state)
        return state, (state % n_buckets).astype(jnp.int32)

    start = jnp.full(values.shape, np.uint32(OFFSET_32))
    _, buckets = jax.lax.scan(grow, start, jnp.arange(max_n, dtype=jnp.int32))
    return buckets[min_n - 1 :]


def patched(
    buckets: Int32[Array, "spread positions"], flat: RaggedWords, indexer: FastTextIndexer
) -> Int32[Array, "spread positions"]:
    """`buckets` with those of the words in `overlong` hashed byte by byte; the same array if there are none."""
    if not flat.overlong:
        return buckets
    fixed = np.array(buckets)
    for word, raw in flat.overlong.items():
        edges = [i for i, byte in enumerate(raw) if byte & 0xC0 != 0x80] + [len(raw)]
        for i in range(fixed.shape[0]):
            n = indexer.min_n + i
            for start in range(len(edges) - n):
                bucket = fasttext_hash(raw[edges[start] : edges[start + n]]) % indexer.n_buckets
                fixed[i, flat.first[word] + start] = bucket
    return jnp.asarray(fixed)


def valid_ngrams(flat: RaggedWords, indexer: FastTextIndexer, spread: int) -> Bool[np.ndarray, "spread positions"]:
    """Where `buckets` holds an n-gram of a word."""
    left = np.zeros(flat.values.size + 1, np.int32)
    total = int((flat.first + flat.counts).max(initial=0))
    # Characters from a position to the end of its word: counts down to 1, and jumps up where the next word begins.
    used = flat.counts > 0
    left[:total] = np.repeat(flat.first[used] + flat.counts[used], flat.counts[used]) - np.arange(total)
    left = left[:-1]
    valid = left >= np.arange(indexer.min_n, indexer.min_n + spread, dtype=np.int32)[:, None]
    if indexer.skip_edge_unigrams and indexer.min_n == 1:
        valid[0] = left > 1
        valid[0, flat.first[used]] = False
    return valid
