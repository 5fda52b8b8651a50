"""A keyed 64-bit hash of byte strings, the same on the host and in compiled code.

HalfSipHash-1-3 (Aumasson and Bernstein, https://github.com/veorq/SipHash) with a 64-bit key, in
32-bit arithmetic. One half of the result is HalfSipHash's 32-bit output `v1 ^ v3`; the other is
`v0 ^ v2` of the same final state.

A string longer than 16 bytes is cut into chunks of 16; chunk number `j` is hashed under the key
`(k0, k1 ^ j)`, and the halves are summed modulo 2**32. So no string, however long, means a long
chain of dependent steps, and the program for short strings does for the chunks of long ones.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, Int32, UInt8, UInt32

from ffjax._internal.arrays import AnyArray, ranges
from ffjax.kernels.spans_numpy import words_at

CHUNK = 16
# Strings hashed at a time on the host: the working set should stay in the second-level cache.
_BLOCK = 1 << 15

A = TypeVar("A", np.ndarray, Array)
State = tuple[A, ...]
Halves = tuple[A, A]


def hash_words(
    words: Sequence[Array],
    lengths: Int32[Array, "*batch"],
    key: UInt32[AnyArray, "2"],
    *,
    rounds: tuple[int, int] = (1, 3),
) -> tuple[UInt32[Array, "*batch"], UInt32[Array, "*batch"]]:
    """Both halves of the hash of strings, in straight-line compiled code.

    Words are little-endian uint32; bytes after a string are not read, and lengths that do not fit
    `words` give any value. `rounds` (for a word, at the end) are for known answers of the hash.
    """
    n_words = CHUNK // 4
    # 0 for all strings, as an array: around a loop XLA would make a kernel of each scalar.
    number = (lengths < 0).astype(jnp.uint32)
    first, second = _hash_chunk(words[:n_words], lengths, number, key, rounds)
    for number in range(1, -(-len(words) // n_words)):
        chunk = words[number * n_words : (number + 1) * n_words]
        sizes = lengths - number * CHUNK
        halves = _hash_chunk(chunk, sizes, jnp.uint32(number), key, rounds)
        first, second = first + halves[0], second + halves[1]
    return first, second


def hash_chunks(
    words: Sequence[Array], sizes: Array, number: Array, key: AnyArray
) -> Halves[Array]:
    """As `hash_words`, of strings whose chunks have these words, bytes in use and numbers."""
    first, second = _hash_chunk(words, sizes, number, key, (1, 3))
    return jnp.sum(first, -1, dtype=jnp.uint32), jnp.sum(second, -1, dtype=jnp.uint32)


def _hash_chunk(
    words: Sequence[Array], lengths: Array, number: Array, key: AnyArray, rounds: tuple[int, int]
) -> Halves[Array]:
    """The hash of one chunk of each string; 0 for chunks after a string's end."""
    sizes = jnp.minimum(lengths, CHUNK)
    state = _start(key, number)
    size, last_mask = sizes.astype(jnp.uint32) << 24, low_bytes(sizes & 3)
    for i, word in enumerate([*words, jnp.uint32(0)]):
        rest = sizes - 4 * i
        changed = _absorb(state, jnp.where(rest >= 4, word, size | word & last_mask), rounds[0])
        pairs = zip(changed, state, strict=True)
        state = tuple(jnp.where(rest >= 0, new, old) for new, old in pairs)
    counts = (number == 0) | (sizes > 0)
    first, second = (jnp.where(counts, half, jnp.uint32(0)) for half in _finish(state, rounds[1]))
    return first, second


def words_of(strings: UInt8[Array, "*batch width"]) -> list[UInt32[Array, "*batch"]]:
    """The 32-bit words of a padded batch."""
    width = strings.shape[-1]
    # Columns rather than a bitcast, for which XLA would copy the batch on a CPU.
    columns = [strings[..., i].astype(jnp.uint32) << (8 * (i % 4)) for i in range(width)]
    return [reduce(or_, columns[i : i + 4]) for i in range(0, width, 4)]


def chunks_of(strings: UInt8[Array, "*batch width"]) -> UInt8[Array, "*batch chunks bytes"]:
    """A padded batch, cut into chunks."""
    strings = jnp.pad(strings, [(0, 0)] * (strings.ndim - 1) + [(0, -strings.shape[-1] % CHUNK)])
    return strings.reshape(*strings.shape[:-1], -1, CHUNK)


def hash_spans(
    data: UInt8[np.ndarray, " size"],
    starts: Int[np.ndarray, " n"],
    lengths: Int[np.ndarray, " n"],
    key: UInt32[AnyArray, "2"],
    *,
    rounds: tuple[int, int] = (1, 3),
) -> tuple[UInt32[np.ndarray, " n"], UInt32[np.ndarray, " n"]]:
    """Both halves of the hash of strings that lie in one buffer, on the host.

    At least 4 bytes follow the last string; negative lengths count as 0.
    """
    words, key = words_at(data), np.asarray(key)
    out = np.empty((2, len(starts)), np.uint32)
    for begin in range(0, len(starts), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        begins, sizes = starts[block].astype(np.int64), np.maximum(lengths[block], 0)
        number = np.zeros(len(begins), np.uint32)
        halves = _hash_spans(words, begins, np.minimum(sizes, CHUNK), number, key, rounds)
        # Most strings are one chunk; the others add those that follow.
        long = np.flatnonzero(sizes > CHUNK)
        if long.size:
            counts = -(-sizes[long] // CHUNK) - 1
            number, string = ranges(np.ones_like(counts), counts), np.repeat(long, counts)
            begins = begins[string] + CHUNK * number
            sizes = np.minimum(sizes[string] - CHUNK * number, CHUNK)
            further = _hash_spans(words, begins, sizes, number.astype(np.uint32), key, rounds)
            firsts = np.cumsum(counts) - counts
            halves[:, long] += np.add.reduceat(further, firsts, axis=1, dtype=np.uint32)
        out[:, block] = halves
    return out[0], out[1]


def low_bytes(count: Int32[Array, "*batch"]) -> UInt32[Array, "*batch"]:
    """A mask of the `count` lower bytes of a 32-bit word: nothing below 1, everything from 4.

    Examples:
        >>> [hex(mask) for mask in low_bytes(jnp.arange(-1, 5)).tolist()]
        ['0x0', '0x0', '0xff', '0xffff', '0xffffff', '0xffffffff']
    """
    # Comparisons vectorize better than shifts by variable amounts.
    mask = jnp.uint32(0)
    for least, bits in ((1, 0xFF), (2, 0xFFFF), (3, 0xFFFFFF), (4, 0xFFFFFFFF)):
        mask = jnp.where(count >= least, jnp.uint32(bits), mask)
    return jnp.broadcast_to(mask, count.shape)


def computed_once(numbers: Array) -> Array:
    """The same numbers, below the largest of their type, computed once and not for each use.

    XLA repeats cheap arithmetic in each kernel that uses its result, and a remainder isn't cheap.
    """
    return lax.rem(numbers, jnp.array(jnp.iinfo(numbers.dtype).max, numbers.dtype))


def _hash_spans(
    words: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    number: np.ndarray,
    key: np.ndarray,
    rounds: tuple[int, int],
) -> np.ndarray:
    """Both halves for chunks, of a buffer of which `words` are those at every byte."""
    # Longest first, so that the strings that still have a word are always the first ones.
    n_words = lengths // 4
    order = np.argsort((-n_words).astype(np.int8), kind="stable")
    starts, lengths, n_words = starts[order], lengths[order], n_words[order]
    n_longer = len(order) - np.cumsum(np.bincount(n_words))
    state = np.stack(_start(key, number[order]))
    masks = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)
    begin = len(order)
    for i, end in enumerate(n_longer):
        # Strings [0, end) have a whole word number i, [end, begin) end in it.
        word = words[starts[:begin] + 4 * i]
        tail = slice(end, begin)
        word[tail] &= masks[lengths[tail] & 3]
        word[tail] |= lengths[tail].astype(np.uint32) << 24
        state[:, :begin] = _absorb(tuple(state[:, :begin].copy()), word, rounds[0])
        begin = end
    halves = np.empty((2, len(order)), np.uint32)
    halves[:, order] = _finish(tuple(state), rounds[1])
    return halves


# From here on NumPy and JAX share the code. Augmented assignments work in place on NumPy arrays.


def slot_of(half: Any, factor: Any, n_slots: int) -> Any:
    """The slot of a string in a hash table: the upper bits of a product modulo 2**32.

    `half` is the second half of its hash, `factor` that of its bucket; both are uint32.
    """
    # Odd halves have inverses. Two shifts, since a shift by 32 (one slot) is not defined.
    return (((half | 1) * factor) >> 1) >> (32 - n_slots.bit_length())


def _start(key: AnyArray, number: A) -> State:
    k0, k1 = (number & ~number) + key[0], number ^ key[1]
    return k0, k1, k0 ^ 0x6C796765, k1 ^ 0x74656462


def _absorb(state: State, word: A, rounds: int) -> State:
    v0, v1, v2, v3 = state
    v3 = v3 ^ word
    for _ in range(rounds):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ word, v1, v2, v3


def _finish(state: State, rounds: int) -> tuple[A, A]:
    v0, v1, v2, v3 = state
    v2 = v2 ^ 0xFF
    for _ in range(rounds):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v1 ^ v3, v0 ^ v2


def _round(v0: A, v1: A, v2: A, v3: A) -> State:
    v0 = v0 + v1
    v1 = _rotate(v1, 5) ^ v0
    v0 = _rotate(v0, 16)
    v2 = v2 + v3
    v3 = _rotate(v3, 8) ^ v2
    v0 = v0 + v3
    v3 = _rotate(v3, 7) ^ v0
    v2 = v2 + v1
    v1 = _rotate(v1, 13) ^ v2
    return v0, v1, _rotate(v2, 16), v3


def _rotate(x: A, bits: int) -> A:
    return (x << bits) | (x >> (32 - bits))
