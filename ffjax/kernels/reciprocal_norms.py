"""Reciprocal norms of rows: dot products times these are cosines."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ffjax.kernels.normalize import reciprocal_power

# Between these, neither a square that matters nor the sum of squares leaves the range of float32.
_MIN_SQUARES, _MAX_SQUARES = 1e-26, 1e30


def reciprocal_norms(rows: Float[Array, "*batch dims"]) -> Float32[Array, "*batch"]:
    """One over the norm of each row; 0 for rows of zeros, anything for rows with NaN or infinity.

    Examples:
        >>> reciprocal_norms(jnp.array([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]])).tolist()
        [1.9999...e-31, 2.0000...e+29, 0.0]
    """
    rows = rows.astype(jnp.float32)
    squares = (rows * rows).sum(-1)

    def scaled() -> Array:
        largest = lax.stop_gradient(jnp.abs(rows).max(-1, keepdims=True, initial=0.0))
        power = reciprocal_power(largest)
        small = rows * power
        return reciprocal_sqrt((small * small).sum(-1)) * power[..., 0]

    # The second pass is made only where a row needs it (rows of zeros do).
    in_range = (squares > _MIN_SQUARES) & (squares < _MAX_SQUARES)
    return lax.cond(in_range.all(), lambda: reciprocal_sqrt(squares), scaled)


def reciprocal_sqrt(squares: Float32[Array, "*batch"]) -> Float32[Array, "*batch"]:
    """One over the square roots, 0 for zeros."""
    positive = squares > 0
    return jnp.where(positive, lax.rsqrt(jnp.where(positive, squares, 1.0)), 0.0)
