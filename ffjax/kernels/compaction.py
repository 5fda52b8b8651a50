"""From planes of hashes to the n-grams of each word, packed to the left in finalfusion's order.

Finalfusion orders n-grams by their first character, longest first. Let `spread = max_n - min_n + 1`. Every start
with at least `max_n` characters from there on has `spread` n-grams, so up to there the order is that of a rectangle,
character by n. The few starts after it have fewer and fewer: an n-gram there moves to the left by as many places as
are missing before it. That is one of a few static numbers, chosen by the number of characters alone. So packing
needs no sort, gather or scatter: it picks between a few shifted copies. (Where `spread` is so large that they are
not few, it is a gather.)
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Int32

# Shifted copies to pick between: 14 for n-grams of 1 to 6 characters, 19 for 1 to 7.
_MOST_COPIES = 20


def n_slots(n_characters: int, min_n: int, max_n: int) -> int:
    """The number of n-grams of a word of `n_characters` characters.

    Example:
        >>> n_slots(len("<tea>"), 3, 4)
        5
    """
    return sum(n_characters - n + 1 for n in range(min_n, min(max_n, n_characters) + 1))


def left_pack(planes: Array, counts: Array, min_n: int) -> tuple[Array, Array]:
    """Orders the n-grams of each word and packs them to the left.

    Args:
        planes: a number for each n-gram, `[spread, start, batch]`, longest n first; meaningless where the n-gram
            would run over the end of the word.
        counts: the number of characters in each word, int32 `[batch]`.
        min_n: the length of the shortest n-grams; the longest have `min_n + spread - 1` characters.

    Returns:
        `(packed, totals)`: the numbers, `[slots, batch]`, zeros behind; and how many n-grams each word has.
    """
    spread, n_starts, batch = planes.shape
    max_n = min_n + spread - 1
    slots = n_slots(n_starts + min_n - 1, min_n, max_n)
    full = jnp.maximum(counts - (max_n - 1), 0)[None]  # starts with all `spread` n-grams
    first = jnp.maximum(max_n - 1 - counts, 0)[None]  # how many of the shortening starts a short word lacks
    slot = lax.broadcasted_iota(jnp.int32, (slots, batch), 0)
    missing = jnp.zeros((slots, batch), jnp.int32)
    totals = spread * full
    for k in range(spread - 1):  # the start with `spread - 1 - k` n-grams
        has = k >= first
        missing = missing + jnp.where(has & (slot >= totals), k + 1, 0)
        totals = totals + jnp.where(has, spread - 1 - k, 0)

    shifts = _shifts(spread)
    flat = planes.swapaxes(0, 1).reshape(n_starts * spread, batch)
    flat = jnp.pad(flat, ((0, max(0, slots + max(shifts, default=0) - flat.shape[0])), (0, 0)))
    if len(shifts) <= _MOST_COPIES:
        packed = flat[:slots]
        for shift in shifts:
            packed = jnp.where(missing == shift, flat[shift : shift + slots], packed)
    else:
        packed = jnp.take_along_axis(flat, slot + missing, axis=0)
    return jnp.where(slot < totals, packed, jnp.zeros((), packed.dtype)), totals[0]


def drop_edges(packed: Array, totals: Array, counts: Array, max_n: int) -> tuple[Array, Array]:
    """Takes the one-character n-grams at both ends of each word out of packed n-grams whose `min_n` is 1."""
    slot = lax.broadcasted_iota(jnp.int32, packed.shape, 0)
    # The first is the last n-gram of the first start; the last is the last of all.
    after = slot >= jnp.minimum(counts, max_n)[None] - 1
    packed = jnp.where(after, jnp.pad(packed[1:], ((0, min(1, packed.shape[0])), (0, 0))), packed)
    totals = jnp.maximum(totals - 2, 0)
    return jnp.where(slot < totals[None], packed, jnp.zeros((), packed.dtype)), totals


def compact(
    ids: Int32[Array, "batch slots"], mask: Bool[Array, "batch slots"]
) -> tuple[Int32[Array, "batch slots"], Int32[Array, " batch"]]:
    """Moves the ids to keep to the left of each row, in order.

    For masks of any form, such as n-grams that a table holds or does not; the n-grams of hash indexers come packed
    already. Each id moves by the number of gaps before it, in powers of two from the smallest: since that number
    never falls along a row, no two ids ever meet.

    Args:
        ids: int32 `[batch, slots]`.
        mask: which of them to keep, bool `[batch, slots]`.

    Returns:
        `(packed, counts)`: the ids to keep, then zeros; and how many were kept in each row.

    Example:
        >>> packed, counts = compact(jnp.array([[5, 6, 7]], jnp.int32), jnp.array([[True, False, True]]))
        >>> packed.tolist(), counts.tolist()
        ([[5, 7, 0]], [2])
    """
    keep = mask.T
    return move_left(ids.T, keep).T, keep.sum(0, dtype=jnp.int32)


def move_left(values: Array, keep: Array) -> Array:
    """The values to keep at the front of each column, in order; zeros behind them.

    Args:
        values: numbers `[..., slots, batch]`.
        keep: which of them to keep, bool `[slots, batch]`.
    """
    slots, batch = keep.shape
    zero = jnp.zeros((), values.dtype)
    if slots < 2:
        return jnp.where(keep, values, zero)
    dtype = jnp.uint8 if slots < 256 else jnp.uint32
    _, gaps = lax.scan(_count_gaps, jnp.zeros((batch,), jnp.int32), keep)
    gaps = jnp.where(keep, gaps, 0).astype(dtype)
    values = jnp.where(keep, values, zero)
    steps = (slots - 1).bit_length()
    beyond = (0, 1 << (steps - 1)), (0, 0)
    ahead = ((0, 0),) * (values.ndim - 2)

    def move(step: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        values, gaps = carry
        bit = jnp.left_shift(jnp.ones((), dtype), step.astype(dtype))
        by = jnp.left_shift(jnp.int32(1), step)
        incoming = lax.dynamic_slice_in_dim(jnp.pad(gaps, beyond), by, slots)
        arrives, leaves = (incoming & bit) != 0, (gaps & bit) != 0
        from_right = lax.dynamic_slice_in_dim(jnp.pad(values, (*ahead, *beyond)), by, slots, -2)
        values = jnp.where(arrives, from_right, jnp.where(leaves, zero, values))
        return values, jnp.where(arrives, incoming, jnp.where(leaves, jnp.zeros((), dtype), gaps))

    return lax.fori_loop(0, steps, move, (values, gaps))[0]


def _count_gaps(gaps: Array, keep: Array) -> tuple[Array, Array]:
    return gaps + (~keep).astype(jnp.int32), gaps


def _shifts(spread: int) -> list[int]:
    """By how much an n-gram may move to the left: sums of consecutive numbers below `spread`."""
    sums = np.cumsum(np.arange(spread))
    return sorted({int(b - a) for i, a in enumerate(sums) for b in sums[i + 1 :]})
