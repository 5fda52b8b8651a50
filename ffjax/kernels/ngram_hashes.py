"""The n-grams of a batch of words in compiled code: where they are, and their hashes.

One program serves words of every length: it takes the n-grams that start in `STARTS` bytes of each
word, and runs again for the next `STARTS`. Arrays have the batch in their last axis:

    Tile.bytes       uint32 [n_starts + reach + 4, batch]     a word's bytes from the first start on
    Tile.characters  uint32 [n_starts + reach + 4, batch]     the character at each byte
    sizes            int32  [n_starts, spread, batch]          bytes in each n-gram, 0 for none

N-grams stand in finalfusion's order: by their first character, longest first. What a character is
follows one of two rules, which differ only where the bytes are not UTF-8:

- `BYTES`: a byte that is not a continuation byte (`10xxxxxx`) and all continuation bytes after it,
  as fastText and floret step through a word. Continuation bytes at the very start belong to none.
- `CODE_POINTS`: the code points of valid UTF-8, and for each byte outside of a valid sequence the
  lone surrogate U+DC80 to U+DCFF that `bytes.decode("utf-8", "surrogateescape")` gives.
"""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ffjax._internal.jax_compat import while_loop
from ffjax.kernels import murmur3
from ffjax.kernels.compaction import bit_position
from ffjax.kernels.fnv import OFFSET_32, fasttext_extend, finalfusion_extend, length_state
from ffjax.kernels.siphash import computed_once, low_bytes

BYTES = "bytes"
CODE_POINTS = "code points"

# Bytes of a word whose n-grams are taken at a time.
STARTS = 16
# Bytes before and after a byte that tell which character it belongs to.
_AROUND = 3
# Marks bytes at which no character starts: those inside one, and those after a word.
_INSIDE, _AFTER = np.uint32(1 << 31), np.uint32(3 << 30)
# Stands for the length of a word among those of n-grams.
_WORD = np.uint32(1 << 31)


class Words(NamedTuple):
    """Words in a buffer.

    Attributes:
        data: uint8 `[size]`, or `[batch, width]` with a word in each row.
        begins: where each word begins, int32 `[batch]`; `None` if each has a row.
        lengths: its bytes, int32 `[batch]`; negative for no word.
    """

    data: Array
    begins: Array | None
    lengths: Array

    def begin(self, numbers: Array) -> Array:
        """Where the words with these numbers begin in the buffer."""
        if self.begins is None:
            return numbers * self.data.shape[1]
        return jnp.take(self.begins, numbers, mode="clip")


class Tile(NamedTuple):
    """The bytes of marked words from the first of some starts on.

    Attributes:
        bytes: uint32 `[size, batch]`, zeros after each word.
        characters: the character that starts at each byte, or a number above `_INSIDE`; the end of
            a word counts as the start of a character; uint32 `[size, batch]`.
        start: the first start, counted from the beginning of a marked word, int32 scalar.
        remaining: bytes from there to the end of each word, int32 `[batch]`.
        longest: gives the largest of these, where a loop asks for it: that saves a kernel.
        n_starts: how many starts.
        reach: bytes in the longest n-gram that fits.
    """

    bytes: Array
    characters: Array
    start: Array
    remaining: Array
    longest: Callable[[], Array]
    n_starts: int
    reach: int

    def at(self, plane: Array, offset: Array | int) -> Array:
        """The rows of `bytes` or `characters` at `offset` from each start, `[n_starts, batch]`."""
        return lax.dynamic_slice_in_dim(plane, offset, self.n_starts)


def read_tile(
    words: Words,
    start: Array,
    longest: Callable[[], Array],
    width: int,
    max_n: int,
    rule: str,
    bow: bytes,
    eow: bytes,
) -> Tile:
    """Reads words of at most `width` bytes, with markers around them, from byte `start` on."""
    marked = width + len(bow) + len(eow)
    n_starts = min(STARTS, max(marked, 1))
    max_n = min(max_n, max(marked, 1))
    # A code point has at most four bytes; by the other rule a character may have any number.
    reach = min(marked, 4 * max_n) if rule == CODE_POINTS else marked
    size = n_starts + reach + 1  # so that a byte follows each n-gram
    around = _AROUND if rule == CODE_POINTS else 0
    shape = (size + around + _AROUND, words.lengths.shape[0])
    totals = jnp.where(words.lengths < 0, -1, words.lengths + len(bow) + len(eow))[None]
    position = start - around + lax.broadcasted_iota(jnp.int32, shape, 0)
    inner = jnp.clip(position - len(bow), 0, jnp.maximum(words.lengths - 1, 0)[None])
    begins = jnp.asarray(words.begins)[None]
    data = words.data.at[begins + inner].get(mode="clip").astype(jnp.uint32)
    for i, byte in enumerate(bow):
        data = jnp.where(position == i, np.uint32(byte), data)
    for i, byte in enumerate(reversed(eow), start=1):
        data = jnp.where(position == totals - i, np.uint32(byte), data)
    inside = (position >= 0) & (position < totals)
    data = jnp.where(inside, data, np.uint32(0))
    if rule == CODE_POINTS:
        data = computed_once(data)
        characters = _code_points(data)
    else:
        characters = jnp.where(_is_continuation(data), data | _INSIDE, data)
    end = position - totals
    characters = jnp.where(end == 0, np.uint32(0), jnp.where(end > 0, _AFTER, characters))
    characters = computed_once(characters[around:])
    # Both planes in one kernel, if characters have their bytes.
    data = data[around:] if rule == CODE_POINTS else characters & np.uint32(0xFF)
    return Tile(data, characters, start, totals[0] - start, longest, n_starts, reach)


def short_ngram_sizes(tile: Tile, min_n: int, max_n: int) -> Array:
    """Bytes in the n-grams of code points at each start, 0 where there is none; without a loop."""
    lengths = np.arange(max_n, min_n - 1, -1, dtype=np.int32)[None, :, None]
    sizes, count = jnp.int32(1), jnp.int32(0)
    shape = tile.n_starts, lengths.size, tile.remaining.shape[0]
    for k in range(1, tile.reach + 1):
        # In the shape of the result, so that XLA makes no kernel of what the lengths share.
        ends = jnp.broadcast_to(tile.characters[k : k + tile.n_starts, None], shape) < _INSIDE
        count = jnp.where(ends, count + 1, count)
        sizes += (count < lengths).astype(jnp.int32)
    exist = (tile.characters[: tile.n_starts, None] < _INSIDE) & (count >= lengths)
    return computed_once(jnp.where(exist, sizes, 0))


def edge_unigrams(tile: Tile, spread: int) -> Array:
    """Whether an n-gram is the first or last character of its word; unigrams come last."""
    starts = (tile.characters[:, None] < _INSIDE).astype(jnp.int32)
    counts = jnp.cumsum(starts[: tile.n_starts], axis=0)
    first = (tile.start == 0) & (counts == 1)
    last = counts == starts.sum(0, dtype=jnp.int32)[None] - 1  # the end counts as a start
    return (first | last) & (jnp.arange(spread)[None, :, None] == spread - 1)


def finalfusion_hashes(tile: Tile, min_n: int, max_n: int) -> tuple[Array, Array]:
    """The low halves of finalfusion's hashes, `[n_starts, spread, batch]`, and which exist."""
    starts = np.array([length_state(n) % 2**32 for n in range(max_n, min_n - 1, -1)], np.uint32)

    return _walk(tile, min_n, max_n, starts, finalfusion_extend, by_character=True)


def fasttext_hashes(tile: Tile, min_n: int, max_n: int) -> tuple[Array, Array]:
    """FastText's hashes, uint32 `[n_starts, spread, batch]`, and which n-grams exist."""

    def extend(hashes: Array, character: Array) -> Array:
        return fasttext_extend(hashes, character & np.uint32(0xFF))

    starts = np.full(max_n - min_n + 1, OFFSET_32, np.uint32)
    return _walk(tile, min_n, max_n, starts, extend)


def murmur3_hashes(
    tile: Tile, min_n: int, max_n: int, seed: int
) -> tuple[tuple[Array, Array, Array, Array], Array]:
    """MurmurHash3 of the marked word and of the n-grams, uint32 `[n_starts, 1 + spread, batch]`.

    Returns the four quarters of each hash's 128 bits, and which exist.
    """
    quads = jnp.pad(packed_words(tile), ((0, 16), (0, 0)))
    borders = _borders(tile)
    lengths = np.append(_WORD, np.arange(max_n, min_n - 1, -1))[None, :, None].astype(np.uint32)
    shape = (tile.n_starts, lengths.size, tile.remaining.shape[0])

    def seeded(hashes: murmur3.State) -> murmur3.State:
        return tuple((low ^ np.uint32(seed), high) for low, high in hashes)  # type: ignore

    def absorb(state: tuple[Array, Array, Array, murmur3.State]) -> Any:
        k, counts, sizes, hashes = state
        bits = tile.at(borders, k)[:, None]
        n_more = lax.population_count(bits)
        missing = jnp.maximum(lengths, counts) - counts
        last = bit_position(bits, missing.astype(jnp.int32) - 1, 16).astype(jnp.uint32)
        n = jnp.where(missing > n_more, np.uint32(16), last + 1)
        rest = jnp.clip(tile.remaining - k, 0, 16).astype(jnp.uint32)
        n = jnp.where(lengths == _WORD, rest[None, None], jnp.where(missing == 0, 0, n))
        new_sizes = computed_once(sizes + n)
        n = (new_sizes - sizes).astype(jnp.int32)
        words = [tile.at(quads, k + i)[:, None] & low_bytes(n - i) for i in range(0, 16, 4)]
        full = jnp.where(n == 16, np.uint32(0xFFFFFFFF), np.uint32(0))
        hashes = seeded(murmur3.absorb(seeded(hashes), words, full))
        return k + 16, counts + n_more, new_sizes, hashes

    # After an n-gram's end all words are zeros, which leave its hash as it is. Between steps the
    # seed is left out, so that all arrays begin as the same zeros, in one kernel.
    zeros = jnp.zeros(shape, jnp.uint32)
    state = jnp.int32(0), zeros, zeros, murmur3.start(0, zeros)
    state = while_loop(lambda state: state[0] <= tile.longest(), absorb, state)
    _, counts, sizes, hashes = state
    starts = tile.start + jnp.arange(tile.n_starts, dtype=jnp.int32)[:, None, None]
    is_word = (starts == 0) & (tile.remaining >= 0)[None, None]
    is_ngram = (tile.characters[: tile.n_starts, None] < _INSIDE) & (counts >= lengths)
    exist = jnp.where(lengths == _WORD, is_word, is_ngram)
    return murmur3.finish(seeded(hashes), sizes), exist


def _borders(tile: Tile) -> Array:
    """For each byte, a bit for each of the 16 after it: whether a character or the word ends there.

    So bit i says whether it ends after i + 1 bytes.
    """
    bits = np.arange(16, dtype=np.uint32)
    rows = np.arange(tile.characters.shape[0], dtype=np.int32)[:, None] + 1 + bits.astype(np.int32)
    following = jnp.take(tile.characters, rows, axis=0, mode="clip")
    powers = (np.uint32(1) << bits)[None, :, None]
    return jnp.where(following < _INSIDE, powers, np.uint32(0)).sum(1, dtype=jnp.uint32)


def packed_words(tile: Tile) -> Array:
    """The four bytes from each byte of a tile on, little endian, uint32 like `tile.characters`."""
    rows = np.arange(tile.bytes.shape[0] - 3, dtype=np.int32)[:, None] + np.arange(4)[None]
    factors = np.array([1, 1 << 8, 1 << 16, 1 << 24], np.uint32)[None, :, None]
    # Unlike an `or` of four slices, a sum isn't repeated in the kernels that use it.
    return (jnp.take(tile.bytes, rows, axis=0, mode="clip") * factors).sum(1, dtype=jnp.uint32)


def _walk(
    tile: Tile,
    min_n: int,
    max_n: int,
    first: np.ndarray,
    extend: Callable[[Array, Array], Array],
    *,
    by_character: bool = False,
) -> tuple[Array, Array]:
    """Takes each n-gram's value one byte further until it ends, and says which n-grams exist.

    The number of characters that have ended stands after the values, since each array of a loop's
    state is a kernel.
    """
    lengths = np.append(np.arange(max_n, min_n - 1, -1), 0)[None, :, None].astype(np.uint32)
    is_count = lengths == 0
    shape = (tile.n_starts, lengths.size, tile.remaining.shape[0])

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        k, values = state
        counts = values[:, -1:]
        character, following = (tile.at(tile.characters, k + i)[:, None] for i in (0, 1))
        # After a word all n-grams end; the lower half of a count remains as it is.
        ended = jnp.where(following == _AFTER, np.uint32(1 << 16), np.uint32(0))
        ended = jnp.where(following < _INSIDE, np.uint32(1), ended)
        changes = counts < lengths
        if by_character:
            changes &= character < _INSIDE
        changed = jnp.where(is_count, values + ended, extend(values, character))
        return k + 1, jnp.where(changes | is_count, changed, values)

    def is_unfinished(state: tuple[Array, Array]) -> Array:
        return (state[1][:, -1] < np.uint32(max_n)).astype(jnp.float32).sum() > 0

    values = jnp.broadcast_to(np.append(first, np.uint32(0))[None, :, None], shape)
    _, values = while_loop(is_unfinished, step, (jnp.int32(0), values))
    counts = values[:, -1:] & np.uint32(0xFFFF)
    starts = tile.characters[: tile.n_starts, None] < _INSIDE
    return values[:, :-1], starts & (counts >= lengths[:, :-1])


def _is_continuation(data: Array) -> Array:
    """Whether bytes are continuation bytes."""
    return (data & np.uint32(0xC0)) == np.uint32(0x80)


def _code_points(data: Array) -> Array:
    rows = np.arange(data.shape[0], dtype=np.int32)

    def word(by: int) -> Array:
        """Four bytes from each row on, moved by some rows, the first one highest."""
        first, *rest = (jnp.take(data, rows + by + i, axis=0, mode="clip") for i in range(4))
        return reduce(lambda word, byte: word << np.uint32(8) | byte, rest, first)

    def begins(n: int, by: int) -> Array:
        """Whether a valid sequence of n bytes begins there."""
        # Table 3-7 of the Unicode standard limits the first two bytes. Each but the first begins
        # with the bits 10: 0x80 in the mark, under a mask of 0xC0.
        least, most, mark = {
            2: (0xC280, 0xDFBF, 0x800000),
            3: (0xE0A0, 0xEFBF, 0x808000),
            4: (0xF090, 0xF48F, 0x808080),
        }[n]
        four = word(by)
        two = four >> np.uint32(16)
        valid = (two >= least) & (two <= most) & (four & np.uint32(mark | mark >> 1) == mark)
        return valid & ((two < 0xEDA0) | (two > 0xEDBF)) if n == 3 else valid

    four = word(0)
    lead = four >> np.uint32(24)
    code = jnp.where(lead < 0x80, lead, lead | np.uint32(0xDC00))
    for n in (2, 3, 4):
        value = lead & np.uint32(0x7F >> n)
        for i in range(1, n):
            value = value << np.uint32(6) | four >> np.uint32(24 - 8 * i) & np.uint32(0x3F)
        code = jnp.where(begins(n, 0), value, code)
    inside = [begins(n, -by) for n in (2, 3, 4) for by in range(1, n)]
    return jnp.where(reduce(or_, inside), _INSIDE, code)
