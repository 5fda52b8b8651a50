"""What to divide the scores of rows by to make cosines of products."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

# Between these neither a square of a number that matters nor the sum of squares leaves the range of float32.
_LEAST, _MOST = 1e-26, 1e30
_EXPONENT = 126.0


def inverse_lengths(rows: Float[Array, "*batch dims"]) -> Float32[Array, "*batch"]:
    """One over the length of each row, 0 for rows of zeros.

    Rows whose squares leave the range of float32 are scaled by a power of two first. That takes a second pass, which is
    made only where such a row (or one of zeros) is among the others, so that usual rows don't pay for it.

    Args:
        rows: shape `[*batch, dims]`.

    Returns:
        Float32 `[*batch]`. What it is for rows with NaN or infinity does not matter: their scores are NaN anyway.

    Examples:
        >>> inverse_lengths(jnp.array([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]])).tolist()
        [1.9999...e-31, 2.0000...e+29, 0.0]
    """
    wide = rows.astype(jnp.float32)
    squares = (wide * wide).sum(-1)

    def scaled() -> Array:
        largest = lax.stop_gradient(jnp.abs(wide).max(-1, keepdims=True, initial=0.0))
        exponent = jnp.floor(jnp.log2(jnp.where(largest > 0, largest, 1.0)))
        power = jnp.exp2(-jnp.clip(exponent, -_EXPONENT, _EXPONENT))
        moved = wide * power
        return inverse_roots((moved * moved).sum(-1)) * power[..., 0]

    usual = (squares > _LEAST) & (squares < _MOST)
    return lax.cond(usual.all(), lambda: inverse_roots(squares), scaled)


def inverse_roots(squares: Float32[Array, "*batch"]) -> Float32[Array, "*batch"]:
    """One over the square roots, 0 for zeros.

    Examples:
        >>> inverse_roots(jnp.array([4.0, 0.0])).tolist()
        [0.5, 0.0]
    """
    return jnp.where(squares > 0, lax.rsqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
