"""Stream compaction: values to keep, moved to the front of each column; positions of set bits."""

import jax.numpy as jnp
from jax import Array, lax

from ffjax._internal.jax_compat import fori_loop, scan


def n_slots(n_characters: int, min_n: int, max_n: int) -> int:
    """The number of n-grams of a word of `n_characters` characters.

    Example:
        >>> n_slots(len("<tea>"), 3, 4)
        5
    """
    return sum(n_characters - n + 1 for n in range(min_n, min(max_n, n_characters) + 1))


def move_left(values: Array, keep: Array) -> Array:
    """The values `[..., slots, batch]` to keep at the front of each column, followed by zeros."""
    slots, batch = keep.shape
    zero = jnp.zeros((), values.dtype)
    if slots < 2:
        return jnp.where(keep, values, zero)
    dtype = jnp.uint8 if slots < 256 else jnp.uint32
    no_gaps = jnp.zeros((batch,), jnp.int32)
    _, gaps = scan(lambda gaps, keep: (gaps + (~keep).astype(jnp.int32), gaps), no_gaps, keep)
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

    return fori_loop(0, steps, move, (values, gaps))[0]


def bit_position(words: Array, ordinal: Array, n_bits: int = 32) -> Array:
    """The position, below `n_bits`, of the bit that has `ordinal` set bits below it."""
    position = jnp.zeros_like(ordinal)
    width = n_bits // 2
    while width:
        lower = words & jnp.uint32((1 << width) - 1)
        below = lax.population_count(lower).astype(jnp.int32)
        upper = ordinal >= below
        position = jnp.where(upper, position + width, position)
        ordinal = jnp.where(upper, ordinal - below, ordinal)
        words = jnp.where(upper, words >> width, lower)
        width //= 2
    return position
