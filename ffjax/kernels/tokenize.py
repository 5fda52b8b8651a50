"""Splitting text into words, in compiled code.

Bytes that divide words are those of fastText: space, tab, line feed, vertical tab, form feed, carriage return and NUL;
a line feed ends a line as well. Where words begin and end is found without a sort and without a sum over all bytes:

    bits    uint32[blocks]   32 bytes of text each: which of them differ from the byte before in being part of a word
    before  int32[blocks]    how many such bytes the blocks before have

The k-th boundary lies in the last block with `before <= k`; which byte of the block it is follows from its bits.
Boundaries take turns: a word begins, a word ends.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int32, UInt8, UInt32

LINE_FEED = 10
_BLOCK = 32


class Words(NamedTuple):
    """Where the words of a text are, in order; slots that are not in use come last.

    Attributes:
        starts: where each word begins, int32 `[n]`.
        lengths: its bytes, int32 `[n]`; -1 in slots not in use.
        lines: the number of its line, int32 `[n]`; the number of lines in slots not in use.
        n_words: how many words there are, int32. More than `n` if there were not enough slots.
        n_lines: how many lines there are, int32. What follows the last line feed is one too, unless it is empty.
    """

    starts: Int32[Array, " n"]
    lengths: Int32[Array, " n"]
    lines: Int32[Array, " n"]
    n_words: Int32[Array, ""]
    n_lines: Int32[Array, ""]


def is_space(text: UInt8[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Which bytes divide words.

    Example:
        >>> is_space(jnp.array([9, 32, 65], jnp.uint8)).tolist()
        [True, True, False]
    """
    # 9 to 13 are tab, line feed, vertical tab, form feed and carriage return.
    return (text == 32) | (text == 0) | ((text >= 9) & (text <= 13))


def split(text: UInt8[Array, " bytes"], n: int, length: Int32[Array, ""] | None = None) -> Words:
    r"""The words of a text and their lines. Pure; compile it, with `n` static.

    Args:
        text: UTF-8, or any bytes.
        n: slots for words. A text of `b` bytes has at most `(b + 1) // 2`.
        length: how many bytes of `text` are the text; all of them if `None`.

    Returns:
        The words.

    Example:
        >>> words = split(jnp.frombuffer(b"a bc\n\nd", jnp.uint8), 4)
        >>> words.starts[:3].tolist(), words.lengths.tolist(), words.lines.tolist(), int(words.n_lines)
        ([0, 2, 6], [1, 2, 1, -1], [0, 0, 2, 3], 3)
    """
    size = text.shape[0]
    used = jnp.int32(size) if length is None else length
    fill = _BLOCK - size % _BLOCK  # at least one byte, so that the last word ends
    text = jnp.pad(text, (0, fill))
    place = lax.iota(jnp.int32, size + fill)
    inside = ~is_space(text) & (place < used)
    edges = inside ^ jnp.concatenate([jnp.zeros(1, bool), inside[:-1]])
    feeds = (text == LINE_FEED) & (place < used)
    edge_bits, feed_bits = _bits(edges), _bits(feeds)
    before, n_edges = _before(edge_bits)
    feeds_before, n_feeds = _before(feed_bits)
    block, bit = _places(edge_bits, before, 2 * n)
    places = (block * _BLOCK + bit).reshape(n, 2)
    at_start, from_bit = block[::2], bit[::2].astype(jnp.uint32)
    earlier = feed_bits[at_start] & ((jnp.uint32(1) << from_bit) - jnp.uint32(1))
    lines = feeds_before[at_start] + lax.population_count(earlier).astype(jnp.int32)
    n_words = n_edges // 2
    last = jnp.take(text, jnp.maximum(used - 1, 0), mode="clip")
    n_lines = n_feeds + ((used > 0) & (last != LINE_FEED)).astype(jnp.int32)
    real = lax.iota(jnp.int32, n) < n_words
    return Words(
        jnp.where(real, places[:, 0], 0),
        jnp.where(real, places[:, 1] - places[:, 0], -1),
        jnp.where(real, lines, n_lines),
        n_words,
        n_lines,
    )


def windows(text: UInt8[Array, " bytes"], starts: Int32[Array, " n"], width: int) -> UInt8[Array, "n width"]:
    """`width` bytes from each start; `text` must go on for `width` bytes behind the last.

    Example:
        >>> windows(jnp.arange(5, dtype=jnp.uint8), jnp.array([0, 2]), 3).tolist()
        [[0, 1, 2], [2, 3, 4]]
    """
    numbers = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(), start_index_map=(0,))
    return lax.gather(text, starts[:, None], numbers, (width,), mode="clip")


def _bits(flags: Bool[Array, " bytes"]) -> UInt32[Array, " blocks"]:
    ones = flags.reshape(-1, _BLOCK).astype(jnp.uint32)
    return (ones << np.arange(_BLOCK, dtype=np.uint32)[None]).sum(1, dtype=jnp.uint32)


def _before(bits: UInt32[Array, " blocks"]) -> tuple[Int32[Array, " blocks"], Int32[Array, ""]]:
    counts = lax.population_count(bits).astype(jnp.int32)
    upto = jnp.cumsum(counts, dtype=jnp.int32)
    return upto - counts, upto[-1]


def _places(
    bits: UInt32[Array, " blocks"], before: Int32[Array, " blocks"], n: int
) -> tuple[Int32[Array, " n"], Int32[Array, " n"]]:
    """The block and the bit of the first `n` bits that are set."""
    if n == 0:
        return jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.int32)
    numbers = lax.iota(jnp.int32, bits.shape[0])
    # Blocks without a bit share their place with the next that has one, which has the larger number.
    owner = jnp.zeros(n, jnp.int32).at[jnp.where(bits != 0, before, n)].max(numbers, mode="drop")
    owner = lax.cummax(owner)
    rank = lax.iota(jnp.int32, n) - before[owner]
    rest = bits[owner]
    # Takes away the lowest bit as many times as there are bits before the one wanted.
    rest = lax.fori_loop(0, _BLOCK - 1, lambda i, left: jnp.where(i < rank, left & (left - 1), left), rest)
    lowest = rest & (~rest + jnp.uint32(1))
    return owner, jnp.minimum(lax.population_count(lowest - jnp.uint32(1)).astype(jnp.int32), _BLOCK - 1)
