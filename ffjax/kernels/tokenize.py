"""Text into words, in compiled code, divided by the bytes that divide words in fastText.

The boundaries of words are found without a sort and without a sum over all bytes. A boundary is a
byte that differs from the one before it in belonging to a word; each 32 bytes of text have one bit
a byte for them. Boundary k lies in the last such block with at most k boundaries before it, and its
byte follows from the bits. Boundaries alternate: a word begins, a word ends.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, UInt8

from ffjax._internal.jax_compat import fori_loop

LINE_FEED = 10
# The word that fastText puts at the end of a line, and how its labels begin.
LINE_END, LABEL_PREFIX = b"</s>", b"__label__"
_BLOCK_BYTES = 32


class Tokens(NamedTuple):
    """The words of a text in order, then unused slots; all int32.

    Each has a start and a length in bytes (-1 in unused slots), and the number of its line
    (`n_lines` in unused slots). `n_words` exceeds the slots if there are too few; what follows the
    last line feed is a line only if it has bytes.
    """

    starts: Any
    lengths: Any
    lines: Any
    n_words: Any
    n_lines: Any


def is_space(text: Any) -> Any:
    """Which bytes divide words."""
    # 9 to 13 are tab, line feed, vertical tab, form feed and carriage return.
    return (text == 32) | (text == 0) | ((text >= 9) & (text <= 13))


def tokenize(
    text: UInt8[Array, " bytes"], n: int, length: Int32[Array, ""] | None = None
) -> Tokens:
    r"""The words of the first `length` bytes, in `n` slots; `b` bytes have at most `(b + 1) // 2`.

    Example:
        >>> tokens = tokenize(jnp.frombuffer(b"a bc\n\nd", jnp.uint8), 4)
        >>> tokens.starts[:3].tolist(), tokens.lengths.tolist(), tokens.lines.tolist()
        ([0, 2, 6], [1, 2, 1, -1], [0, 0, 2, 3])
        >>> int(tokens.n_lines)
        3
    """
    size = text.shape[0]
    n_bytes = jnp.int32(size) if length is None else length
    fill = _BLOCK_BYTES - size % _BLOCK_BYTES  # at least one byte, so that the last word ends
    text = jnp.pad(text, (0, fill))
    in_text = lax.iota(jnp.int32, size + fill) < n_bytes
    in_word = ~is_space(text) & in_text
    edge_bits = _bits(in_word ^ jnp.concatenate([jnp.zeros(1, bool), in_word[:-1]]))
    feed_bits = _bits((text == LINE_FEED) & in_text)
    edges_before, n_edges = _counts_before(edge_bits)
    feeds_before, n_feeds = _counts_before(feed_bits)

    block, bit = _set_bits(edge_bits, edges_before, 2 * n)
    starts, ends = (block * _BLOCK_BYTES + bit).reshape(n, 2).T
    start_block, start_bit = block[::2], bit[::2].astype(jnp.uint32)
    feeds = feed_bits[start_block] & ((jnp.uint32(1) << start_bit) - jnp.uint32(1))
    lines = feeds_before[start_block] + lax.population_count(feeds).astype(jnp.int32)

    last = jnp.take(text, jnp.maximum(n_bytes - 1, 0), mode="clip")
    n_lines = n_feeds + ((n_bytes > 0) & (last != LINE_FEED)).astype(jnp.int32)
    n_words = n_edges // 2
    in_use = lax.iota(jnp.int32, n) < n_words
    lengths = jnp.where(in_use, ends - starts, -1)
    starts = jnp.where(in_use, starts, 0)
    return Tokens(starts, lengths, jnp.where(in_use, lines, n_lines), n_words, n_lines)


def gather_bytes(text: Array, starts: Array, width: int) -> Array:
    """`width` bytes from each start; `text` must have `width` bytes after the last start."""
    axes = lax.GatherDimensionNumbers((1,), collapsed_slice_dims=(), start_index_map=(0,))
    return lax.gather(text, starts[:, None], axes, (width,), mode="clip")


def _bits(flags: Array) -> Array:
    blocks = flags.reshape(-1, _BLOCK_BYTES).astype(jnp.uint32)
    return (blocks << np.arange(_BLOCK_BYTES, dtype=np.uint32)[None]).sum(1, dtype=jnp.uint32)


def _counts_before(bits: Array) -> tuple[Array, Array]:
    """How many bits are set in the blocks before each block, and in all of them."""
    counts = lax.population_count(bits).astype(jnp.int32)
    totals = jnp.cumsum(counts, dtype=jnp.int32)
    return totals - counts, totals[-1]


def _set_bits(bits: Array, before: Array, n: int) -> tuple[Array, Array]:
    """The blocks and the numbers in them of the first `n` bits that are set."""
    if n == 0:
        return jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.int32)
    numbers = lax.iota(jnp.int32, bits.shape[0])
    # A block without a set bit shares `before` with the next that has one, whose number is larger.
    slots = jnp.where(bits != 0, before, n)
    block = lax.cummax(jnp.zeros(n, jnp.int32).at[slots].max(numbers, mode="drop"))
    rank = lax.iota(jnp.int32, n) - before[block]

    def clear_lowest(i: Array, remaining: Array) -> Array:
        return jnp.where(i < rank, remaining & (remaining - 1), remaining)

    remaining = fori_loop(0, _BLOCK_BYTES - 1, clear_lowest, bits[block])
    lowest = remaining & (~remaining + jnp.uint32(1))
    bit = lax.population_count(lowest - jnp.uint32(1)).astype(jnp.int32)
    return block, jnp.minimum(bit, _BLOCK_BYTES - 1)
