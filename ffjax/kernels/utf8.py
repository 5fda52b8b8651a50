"""From bytes to characters, for whole batches in compiled code.

N-grams are counted in characters, and which n-grams a word has depends on its number of characters alone. So a batch
is first turned into *planes* of shape `[position, batch]`, one row a character, with the batch in the last axis,
where every later step is plain vector arithmetic:

    bytes        uint8  [batch, width]    what `ffjax.pack` makes
    byte planes  uint32 [position, batch] one byte each, with the markers around the word, zeros behind
    characters   uint32 [position, batch] one character each, zeros behind

What a character is, is one of two rules, which differ only where the bytes are not UTF-8:

- `BYTES`: a byte that is no continuation byte (`10xxxxxx`) and all continuation bytes after it. This is how fastText
  and floret step through a word. A character is held as its first four bytes, little endian; bytes beyond those (only
  invalid UTF-8 has them) make `Characters.overlong` true. Continuation bytes at the very start belong to none.
- `CODE_POINTS`: the code points of valid UTF-8, as the Unicode standard defines it (no surrogates, no overlong forms),
  and for each byte outside of a valid sequence the lone surrogate that `bytes.decode("utf-8", "surrogateescape")`
  puts in its place, U+DC80 to U+DCFF. So the characters are those of the `str` that `ffjax.unpack` gives.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ffjax.kernels.compaction import move_left

BYTES = "bytes"
CODE_POINTS = "code points"

# Up to so many positions `pull` picks.
_PICKED = 128


class Characters(NamedTuple):
    """A batch of words as characters.

    Attributes:
        values: uint32 `[position, batch]`, zeros behind each word.
        counts: the number of characters in each word, int32 `[batch]`.
        overlong: whether any character has more than four bytes, bool scalar.
    """

    values: Array
    counts: Array
    overlong: Array


def byte_planes(data: Array, lengths: Array, bow: bytes, eow: bytes) -> tuple[Array, Array]:
    """Transposes a batch and puts markers around each word.

    Args:
        data: uint8 `[batch, width]`.
        lengths: bytes in each word, int32 `[batch]`; negative for rows that hold no word.
        bow: bytes to put before each word.
        eow: bytes to put behind each word.

    Returns:
        `(planes, totals)`: uint32 `[len(bow) + width + len(eow), batch]`, and the bytes in use in each column, 0 for
        rows that hold no word.
    """
    batch, width = data.shape
    edge = len(bow) + len(eow)
    totals = jnp.where(lengths < 0, 0, jnp.minimum(lengths, width) + edge)
    head = np.frombuffer(bow, np.uint8).astype(np.uint32)[:, None]
    planes = jnp.concatenate(
        [
            jnp.broadcast_to(head, (len(bow), batch)),
            data.T.astype(jnp.uint32),
            jnp.zeros((len(eow), batch), jnp.uint32),
        ]
    )
    position = lax.broadcasted_iota(jnp.int32, planes.shape, 0)
    back = totals[None] - position  # 1 at the last byte
    for i, byte in enumerate(reversed(eow), start=1):
        planes = jnp.where(back == i, np.uint32(byte), planes)
    return jnp.where(back > 0, planes, np.uint32(0)), totals


def characters(planes: Array, totals: Array, rule: str) -> Characters:
    """Turns byte planes into characters.

    A batch of ASCII, where each byte is a character already, skips the work at run time.

    Args:
        planes: uint32 `[position, batch]`, one byte each.
        totals: bytes in use in each column, int32 `[batch]`.
        rule: `BYTES` or `CODE_POINTS`.
    """

    def plain() -> Characters:
        return Characters(planes, totals, jnp.zeros((), bool))

    def split() -> Characters:
        values, starts, overlong = _split(planes, totals, rule)
        return Characters(pull(values, starts), starts.sum(0, dtype=jnp.int32), overlong)

    return lax.cond(jnp.any(planes >= np.uint32(0x80)), split, plain)


def starts_of(planes: Array, totals: Array, rule: str) -> Array:
    """Where a character starts, bool `[position, batch]`."""
    return _split(planes, totals, rule)[1]


def offsets(starts: Array, totals: Array, extra: int) -> Array:
    """The byte at which each character starts, int32 `[position + extra, batch]`; behind the last, the total."""
    position = lax.broadcasted_iota(jnp.int32, starts.shape, 0)
    found = pull((totals[None] - position).astype(jnp.uint32), starts).astype(jnp.int32)
    return totals[None] - jnp.pad(found, ((0, extra), (0, 0)))


def pull(values: Array, keep: Array) -> Array:
    """Moves the values to keep to the front of each column, in order; zeros behind them.

    For each row of the answer one pass picks the one value that belongs there. On a CPU this is faster than a gather
    or a scatter: one pass reads in order, and compares a byte and an integer. The passes take the square of the
    positions, so many positions are moved in steps of powers of two instead.

    Args:
        values: uint32 `[..., position, batch]`.
        keep: bool `[position, batch]`.
    """
    rows = keep.shape[0]
    if rows > _PICKED:
        return move_left(values, keep)
    _, ranks = lax.scan(_count, jnp.full(keep.shape[1:], -1, jnp.int32), keep)
    ranks = jnp.where(keep, ranks, rows).astype(jnp.uint8)

    def pick(rank: Array) -> Array:
        return jnp.sum(jnp.where(ranks == rank, values, np.uint32(0)), axis=-2, dtype=jnp.uint32)

    return jnp.moveaxis(lax.map(pick, jnp.arange(rows, dtype=jnp.uint8)), 0, -2)


def later(values: Array, by: int) -> Array:
    """Row `i` of the answer is row `i + by` of `values`, zeros (or false) behind the last."""
    return jnp.pad(values[by:], ((0, min(by, values.shape[0])), (0, 0)))


def _count(total: Array, keep: Array) -> tuple[Array, Array]:
    total = total + keep.astype(jnp.int32)
    return total, total


def _split(planes: Array, totals: Array, rule: str) -> tuple[Array, Array, Array]:
    """The character that starts at each byte, where one starts, and whether any has more than four bytes."""
    used = lax.broadcasted_iota(jnp.int32, planes.shape, 0) < totals[None]
    following = (planes & np.uint32(0xC0)) == np.uint32(0x80)  # continuation bytes; never where unused
    b1, b2, b3 = (later(planes, i) for i in (1, 2, 3))
    c1 = later(following, 1)
    c2 = c1 & later(following, 2)
    c3 = c2 & later(following, 3)
    if rule == BYTES:
        zero = np.uint32(0)
        values = (
            planes
            | jnp.where(c1, b1 << np.uint32(8), zero)
            | jnp.where(c2, b2 << np.uint32(16), zero)
            | jnp.where(c3, b3 << np.uint32(24), zero)
        )
        starts = used & ~following
        return values, starts, jnp.any(starts & c3 & later(following, 4))

    # Table 3-7 of the Unicode standard: the second byte's range depends on the first.
    lead = planes
    lowest = jnp.where(lead == 0xE0, np.uint32(0xA0), jnp.where(lead == 0xF0, np.uint32(0x90), np.uint32(0x80)))
    highest = jnp.where(lead == 0xED, np.uint32(0x9F), jnp.where(lead == 0xF4, np.uint32(0x8F), np.uint32(0xBF)))
    second = (b1 >= lowest) & (b1 <= highest)
    two = second & (lead >= 0xC2) & (lead <= 0xDF)
    three = second & c2 & (lead >= 0xE0) & (lead <= 0xEF)
    four = second & c3 & (lead >= 0xF0) & (lead <= 0xF4)
    inside = _earlier(two | three | four, 1) | _earlier(three | four, 2) | _earlier(four, 3)
    t1, t2, t3 = (b & np.uint32(0x3F) for b in (b1, b2, b3))
    code2 = (lead & np.uint32(0x1F)) << np.uint32(6) | t1
    code3 = (lead & np.uint32(0x0F)) << np.uint32(12) | t1 << np.uint32(6) | t2
    code4 = (lead & np.uint32(0x07)) << np.uint32(18) | t1 << np.uint32(12) | t2 << np.uint32(6) | t3
    alone = jnp.where(lead < 0x80, lead, lead | np.uint32(0xDC00))
    values = jnp.where(two, code2, jnp.where(three, code3, jnp.where(four, code4, alone)))
    return values, used & ~inside, jnp.zeros((), bool)


def _earlier(values: Array, by: int) -> Array:
    kept = values[: values.shape[0] - by] if by < values.shape[0] else values[:0]
    return jnp.pad(kept, ((values.shape[0] - kept.shape[0], 0), (0, 0)))
