"""The buckets of all n-grams of a batch of packed words, in compiled code.

Each function takes byte planes (see `characters`) and gives `(ids, counts)`: uint32 `[slots, batch]`, n-grams in
finalfusion's order packed to the left with zeros behind, and how many each word has.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ffjax.kernels import murmur3
from ffjax.kernels.compaction import drop_edges, left_pack
from ffjax.kernels.fnv import (
    OFFSET_32,
    fasttext_byte,
    fasttext_extend,
    finalfusion_extend,
    length_state,
)
from ffjax.kernels.utf8 import BYTES, CODE_POINTS, characters, later, offsets, starts_of

# N-grams of up to so many characters are hashed in straight-line code; for longer ones it would take long to compile.
_UNROLLED = 8


def finalfusion_ids(planes: Array, totals: Array, min_n: int, max_n: int, buckets_exp: int) -> tuple[Array, Array]:
    """Finalfusion's buckets; `buckets_exp` is at most 32."""
    top = min(max_n, planes.shape[0])
    if top < min_n:
        return _nothing(planes)
    chars = characters(planes, totals, CODE_POINTS)
    hashes = jnp.stack([_finalfusion_plane(chars.values, n, min_n) for n in range(top, min_n - 1, -1)])
    return left_pack(hashes & np.uint32(2**buckets_exp - 1), chars.counts, min_n)


def fasttext_ids(
    planes: Array, totals: Array, min_n: int, max_n: int, n_buckets: int, skip_edge_unigrams: bool
) -> tuple[Array, Array]:
    """FastText's buckets."""
    top = min(max_n, planes.shape[0])
    if top < min_n:
        return _nothing(planes)
    chars = characters(planes, totals, BYTES)

    def held() -> Array:
        """An n-gram continues from the one before; the loop keeps XLA from computing that one anew."""
        starts = planes.shape[0] - min_n + 1
        padded = jnp.pad(chars.values, ((0, top - min_n), (0, 0)))

        def extend(state: Array, k: Array) -> tuple[Array, Array]:
            state = fasttext_extend(state, lax.dynamic_slice_in_dim(padded, k, starts))
            return state, state

        state = jnp.full((starts, planes.shape[1]), np.uint32(OFFSET_32))
        state = lax.fori_loop(0, min_n - 1, lambda k, state: extend(state, k)[0], state)
        longest_first = jnp.arange(top - 1, min_n - 2, -1, dtype=jnp.int32)
        return lax.scan(extend, state, longest_first, reverse=True)[1]

    def walked() -> Array:
        def hash_start(stretch: tuple[Array, Array]) -> Array:
            begin, sizes = stretch

            def step(k: Array, state: Array) -> Array:
                byte = _pick(planes, begin + k)
                return jnp.where(k < sizes, fasttext_byte(state, byte[None]), state)

            first = jnp.full(sizes.shape, np.uint32(OFFSET_32))
            return lax.fori_loop(0, jnp.max(sizes, initial=0), step, first)

        return lax.map(hash_start, _stretches(planes, totals, min_n, top)).swapaxes(0, 1)

    hashes, counts = left_pack(lax.cond(chars.overlong, walked, held), chars.counts, min_n)
    if skip_edge_unigrams and min_n == 1:
        hashes, counts = drop_edges(hashes, counts, chars.counts, top)
    # Last, because `left_pack` reads each hash several times, and a remainder is dear.
    return hashes % np.uint32(n_buckets), counts


def floret_ids(
    planes: Array,
    totals: Array,
    min_n: int,
    max_n: int,
    n_buckets: int,
    n_hashes: int,
    seed: int,
    skip_edge_unigrams: bool,
) -> tuple[Array, Array]:
    """Floret's buckets: those of the word, then those of its n-grams, `n_hashes` of each."""
    positions, batch = planes.shape
    quads = planes
    for k in (1, 2, 3):
        quads = quads | later(planes, k) << np.uint32(8 * k)
    word = jnp.stack(_murmur3_words(quads, totals, seed)[:n_hashes]) % np.uint32(n_buckets)

    top = min(max_n, positions)
    if top < min_n:
        return word, jnp.full((batch,), n_hashes, jnp.int32)
    chars = characters(planes, totals, BYTES)

    def held() -> Array:
        # One pass for each quarter: XLA's code for a fusion with several results is ten times as slow on a CPU.
        quarters = jnp.arange(n_hashes, dtype=jnp.int32)
        return lax.map(lambda quarter: _murmur3_planes(chars.values, min_n, top, seed, quarter), quarters)

    def walked() -> Array:
        def hash_start(stretch: tuple[Array, Array]) -> Array:
            begin, sizes = stretch

            def step(block: Array, state: murmur3.State) -> murmur3.State:
                left = sizes - 16 * block
                words = [_first_bytes(_pick(quads, begin + 16 * block + k)[None], left - k) for k in range(0, 16, 4)]
                return murmur3.absorb(state, words, _mask(left >= 16))

            start = murmur3.start(seed, sizes.astype(jnp.uint32))
            state = lax.fori_loop(0, jnp.max(sizes, initial=0) // 16 + 1, step, start)
            return jnp.stack(murmur3.finish(state, sizes.astype(jnp.uint32))[:n_hashes])

        return jnp.moveaxis(lax.map(hash_start, _stretches(planes, totals, min_n, top)), 0, 2)

    def packed(hashes: Array) -> tuple[Array, Array]:
        hashes, counts = left_pack(hashes, chars.counts, min_n)
        return drop_edges(hashes, counts, chars.counts, top) if skip_edge_unigrams and min_n == 1 else (hashes, counts)

    hashes = walked() if top > _UNROLLED else lax.cond(chars.overlong, walked, held)
    columns = [packed(hashes[k]) for k in range(n_hashes)]
    ids = jnp.stack([column for column, _ in columns], 1)
    ids = ids.reshape(ids.shape[0] * n_hashes, batch) % np.uint32(n_buckets)
    return jnp.concatenate([word, ids]), (columns[0][1] + 1) * n_hashes


def _finalfusion_plane(values: Array, n: int, min_n: int) -> Array:
    """The low half of the hash of the n-gram of `n` characters at each start, uint32 `[start, batch]`."""
    starts = values.shape[0] - min_n + 1
    padded = jnp.pad(values, ((0, n - min_n), (0, 0)))
    state = jnp.full((starts, values.shape[1]), np.uint32(length_state(n) % 2**32))
    if n > _UNROLLED:
        return lax.fori_loop(
            0, n, lambda k, state: finalfusion_extend(state, lax.dynamic_slice_in_dim(padded, k, starts)), state
        )
    for k in range(n):
        state = finalfusion_extend(state, padded[k : k + starts])
    return state


def _murmur3_words(quads: Array, totals: Array, seed: int) -> tuple[Array, Array, Array, Array]:
    """The hash of each whole word as four uint32 `[batch]`; `quads` has the four bytes from each position on."""
    n_blocks = max(1, -(-quads.shape[0] // 16))
    quads = jnp.pad(quads, ((0, 16 * n_blocks - quads.shape[0]), (0, 0)))

    def absorb(begin: Array, state: murmur3.State) -> murmur3.State:
        words = [lax.dynamic_index_in_dim(quads, begin + k, keepdims=False) for k in range(0, 16, 4)]
        return murmur3.absorb(state, words, _mask(totals >= begin + 16))

    # Blocks behind the longest word are all zeros, which change no hash.
    used = jnp.minimum(jnp.max(totals, initial=0) // 16 + 1, n_blocks)
    state = murmur3.start(seed, totals.astype(jnp.uint32))
    state = lax.fori_loop(0, used, lambda block, state: absorb(16 * block, state), state)
    return murmur3.finish(state, totals.astype(jnp.uint32))


def _murmur3_planes(values: Array, min_n: int, max_n: int, seed: int, quarter: Array) -> Array:
    """One quarter of the hash of each n-gram, uint32 `[max_n - min_n + 1, start, batch]`, longest n first.

    An n-gram's bytes are gathered in 32-bit words, one character of one to four bytes after the other. One loop over
    the lengths holds the code of the hash once, for as many blocks as the longest n-gram can have.
    """
    starts = values.shape[0] - min_n + 1
    padded = jnp.pad(values, ((0, max_n - min_n), (0, 0)))
    zero = jnp.zeros((starts, values.shape[1]), jnp.uint32)
    n_words = 4 * -(-max_n // 4)

    def append(n: Array, grown: tuple[tuple[Array, ...], Array]) -> tuple[tuple[Array, ...], Array]:
        words, size = list(grown[0]), grown[1]
        character = lax.dynamic_slice_in_dim(padded, n, starts)
        place, turn = size >> np.uint32(2), (size & np.uint32(3)) << np.uint32(3)
        low, high = character << turn, character >> (np.uint32(31) - turn) >> np.uint32(1)
        for k in range(max_n):
            words[k] = words[k] | jnp.where(place == k, low, np.uint32(0))
            if k:
                words[k] = words[k] | jnp.where(place == k - 1, high, np.uint32(0))
        size = size + np.uint32(1)
        for k in (1, 2, 3):
            size = size + (character >= np.uint32(256**k)).astype(jnp.uint32)
        return tuple(words), size

    def hashed(grown: tuple[tuple[Array, ...], Array], n: Array) -> tuple[tuple[tuple[Array, ...], Array], Array]:
        words, size = grown = append(n, grown)
        state = murmur3.start(seed, zero)
        for block in range(0, n_words, 4):
            state = murmur3.absorb(state, words[block : block + 4], _mask(size >= 4 * block + 16))
        return grown, lax.select_n(quarter, *murmur3.finish(state, size))

    grown = lax.fori_loop(0, min_n - 1, append, ((zero,) * n_words, zero))
    return lax.scan(hashed, grown, jnp.arange(min_n - 1, max_n, dtype=jnp.int32))[1][::-1]


def _stretches(planes: Array, totals: Array, min_n: int, max_n: int) -> tuple[Array, Array]:
    """The first byte of the n-grams at each start, int32 `[start, batch]`, and their bytes, `[start, n, batch]`.

    Made for words in which a character has more than four bytes. Hashing those goes start by start, so that a program
    that contains it but does not run it takes little more memory.
    """
    edges = offsets(starts_of(planes, totals, BYTES), totals, max_n)
    starts = planes.shape[0] - min_n + 1
    begin = edges[:starts]
    return begin, jnp.stack([edges[n : n + starts] - begin for n in range(max_n, min_n - 1, -1)], 1)


def _pick(planes: Array, positions: Array) -> Array:
    """One position of each column; of those beyond the last, the last."""
    return jnp.take_along_axis(planes, jnp.minimum(positions, planes.shape[0] - 1)[None], axis=0)[0]


def _first_bytes(quads: Array, used: Array) -> Array:
    """Little-endian words of which only the first `used` bytes are kept."""
    used = jnp.clip(used, 0, 4)
    some = quads & ((np.uint32(1) << (8 * jnp.minimum(used, 3)).astype(jnp.uint32)) - np.uint32(1))
    return jnp.where(used == 4, quads, some)


def _mask(where: Array) -> Array:
    return jnp.where(where, np.uint32(0xFFFFFFFF), np.uint32(0))


def _nothing(planes: Array) -> tuple[Array, Array]:
    batch = planes.shape[1]
    return jnp.zeros((0, batch), jnp.uint32), jnp.zeros((batch,), jnp.int32)
