"""Unit length, with zero vectors left at zero."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ffjax._internal.arguments import array_of

# Sums of many squares outside of these would overflow, or the squares of small entries vanish.
_LARGE, _SMALL = 1e12, 1e-12


def normalize(
    x: Float[Array, "*batch dims"],
) -> tuple[Float[Array, "*batch dims"], Float[Array, "*batch"]]:
    """Scales vectors to unit length and returns the norms they had.

    Zero vectors stay zero, with norm zero and zero gradients. Vectors whose squares leave the range
    of float32 are scaled by their largest entry first, so the norm is right wherever it is finite
    itself. Vectors with NaN or infinity have no direction and become NaN, with norm NaN.

    Args:
        x: vectors along the last axis, shape `[*batch, dims]`.

    Returns:
        `(unit, norms)`: the unit vectors in the dtype of `x`, and their norms, shape `[*batch]`.

    Raises:
        TypeError: if the numbers are not floats.

    Examples:
        >>> import ffjax, jax.numpy as jnp
        >>> unit, norms = ffjax.normalize(jnp.array([[3.0, 4.0], [0.0, 0.0]]))
        >>> unit.tolist(), norms.tolist()
        ([[0.6000000238418579, 0.800000011920929], [0.0, 0.0]], [5.0, 0.0])
    """
    x = jnp.asarray(array_of("x", x, jnp.floating, "vectors of floats along the last axis"))
    wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    largest = jax.lax.stop_gradient(jnp.abs(wide).max(-1, keepdims=True, initial=0.0))
    extreme = (largest > _LARGE) | ((largest < _SMALL) & (largest > 0))
    # A power of two, so that scaling there and back changes no bit of the result.
    bounded = jnp.clip(largest, jnp.finfo(wide.dtype).tiny, jnp.finfo(wide.dtype).max / 4)
    power = jax.lax.reduce_precision(bounded, jnp.finfo(wide.dtype).nexp, 0)
    scale = jnp.where(extreme, jnp.where(largest < jnp.inf, power, largest), 1.0)
    scaled = wide / scale
    squares = (scaled * scaled).sum(-1, keepdims=True)
    nonzero = squares != 0  # true for NaN, which must not become zero
    root = jnp.sqrt(jnp.where(nonzero, squares, 1.0))
    unit = jnp.where(nonzero, scaled / root, 0.0)
    norms = jnp.where(nonzero, root * scale, 0.0)
    return unit.astype(x.dtype), norms[..., 0].astype(x.dtype)
