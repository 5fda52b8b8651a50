"""Unit length, with zero vectors left at zero."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ffjax._internal.arguments import array_of


def normalize(x: Float[Array, "*batch dims"]) -> tuple[Float[Array, "*batch dims"], Float[Array, "*batch"]]:
    """Scales vectors to unit length and returns the lengths they had.

    Zero vectors stay zero, with length zero and zero gradients. Vectors whose squares leave the range of float32 are
    scaled by their largest entry first, so the length is right wherever it is finite itself. Vectors with NaN or
    infinity have no direction and become NaN, with length NaN.

    Args:
        x: vectors along the last axis, shape `[*batch, dims]`.

    Raises:
        TypeError: the numbers are not floats.

    Returns:
        `(unit, norms)`: the unit vectors in the dtype of `x`, and their lengths, shape `[*batch]`.

    Examples:
        >>> import ffjax, jax.numpy as jnp
        >>> unit, norms = ffjax.normalize(jnp.array([[3.0, 4.0], [0.0, 0.0]]))
        >>> unit.tolist(), norms.tolist()
        ([[0.6000000238418579, 0.800000011920929], [0.0, 0.0]], [5.0, 0.0])
    """
    x = jnp.asarray(array_of("x", x, jnp.floating, "vectors of floats along the last axis"))
    wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    largest = jax.lax.stop_gradient(jnp.abs(wide).max(-1, keepdims=True, initial=0.0))
    # A power of two, so that scaling there and back changes no bit of the result; 1 where nothing can overflow.
    # Well inside of what squares can be: sums of many must not overflow, nor the squares of lesser entries vanish.
    extreme = (largest > 1e12) | ((largest < 1e-12) & (largest > 0))
    scale = jnp.where(extreme, jnp.exp2(jnp.floor(jnp.log2(jnp.where(largest > 0, largest, 1.0)))), 1.0)
    scaled = wide / scale
    squares = (scaled * scaled).sum(-1, keepdims=True)
    nonzero = squares != 0  # NaN is none either, and must not become zero
    length = jnp.sqrt(jnp.where(nonzero, squares, 1.0))
    unit = jnp.where(nonzero, scaled / length, 0.0)
    norms = jnp.where(nonzero, length * scale, 0.0)
    return unit.astype(x.dtype), norms[..., 0].astype(x.dtype)
