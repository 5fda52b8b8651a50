"""Unit length, with zero vectors left at zero; reciprocal norms, which make products cosines."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from ffjax._internal.arguments import array_of

# Sums of many squares outside of these would overflow, or the squares of small entries vanish.
_LARGE, _SMALL = 1e12, 1e-12
# Between these, neither a square that matters nor the sum of squares leaves the range of float32.
MIN_SQUARES, MAX_SQUARES = 1e-26, 1e30


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
    return _normalize(array_of("x", x, jnp.floating, "vectors of floats along the last axis"))


@jax.jit
def _normalize(x: Array) -> tuple[Array, Array]:
    wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    largest = lax.stop_gradient(jnp.abs(wide).max(-1, keepdims=True, initial=0.0))
    extreme = (largest > _LARGE) | ((largest < _SMALL) & (largest > 0))
    # A power of two, so that scaling there and back changes no bit of the result.
    scale = jnp.where(extreme, reciprocal_power(largest), 1.0)
    scaled = wide * scale
    squares = (scaled * scaled).sum(-1, keepdims=True)
    nonzero = squares != 0  # true for NaN, which must not become zero
    root = jnp.where(squares < jnp.inf, jnp.sqrt(jnp.where(nonzero, squares, 1.0)), jnp.nan)
    unit = scaled / jnp.where(nonzero, root, jnp.inf)
    norms = jnp.where(nonzero, root / scale, 0.0)
    return unit.astype(x.dtype), norms[..., 0].astype(x.dtype)


def reciprocal_power(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """One over the power of two below each number, so that a product with it is exact."""
    info = jnp.finfo(x.dtype)
    bits = lax.bitcast_convert_type(x, f"int{info.bits}")
    exponent = jnp.clip(bits >> info.nmant, 1, 2 * info.maxexp - 3)
    return lax.bitcast_convert_type((2 * info.maxexp - 2 - exponent) << info.nmant, x.dtype)


def reciprocal_norms(
    rows: Float[Array, "*batch dims"], *, one_pass: bool = False
) -> Float32[Array, "*batch"]:
    """One over the norm of each row; 0 for rows of zeros, anything for rows with NaN or infinity.

    All rows are scaled beforehand if one of them is extreme, or with `one_pass` in any case: under
    `vmap` a choice would do both.

    Examples:
        >>> reciprocal_norms(jnp.array([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]])).tolist()
        [1.9999...e-31, 2.0000...e+29, 0.0]
    """
    rows = rows.astype(jnp.float32)

    def scaled() -> Array:
        largest = lax.stop_gradient(jnp.abs(rows).max(-1, keepdims=True))
        power = reciprocal_power(largest)
        small = rows * power
        return reciprocal_sqrt((small * small).sum(-1)) * power[..., 0]

    if one_pass:
        return scaled()
    squares = (rows * rows).sum(-1)
    # The second pass is made only where a row needs it (rows of zeros do).
    in_range = (squares > MIN_SQUARES) & (squares < MAX_SQUARES)
    # A sum of floats is fewer kernels than `all`.
    any_extreme = jnp.where(in_range, 0.0, 1.0).sum() > 0
    return lax.cond(any_extreme, scaled, lambda: reciprocal_sqrt(squares))


def reciprocal_sqrt(squares: Float32[Array, "*batch"]) -> Float32[Array, "*batch"]:
    """One over the square roots, 0 for zeros."""
    positive = squares > 0
    return jnp.where(positive, lax.rsqrt(jnp.where(positive, squares, 1.0)), 0.0)


def unit_rows(
    rows: Float32[np.ndarray, "n dims"],
) -> tuple[Float32[np.ndarray, "n dims"], Float32[np.ndarray, " n"]]:
    """`normalize` in NumPy, in place."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        extreme = np.flatnonzero(~((norms > _SMALL) & (norms < _LARGE)))
        # Squares of extreme numbers fit 64 bits; infinity has no direction, and becomes NaN.
        wide = rows[extreme].astype(np.float64)
        wide_norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        wide_norms[np.isinf(wide).any(1)] = np.nan
        rows /= np.where(norms > 0, norms, np.float32(1))[:, None]
        rows[extreme] = wide / np.where(wide_norms == 0, 1, wide_norms)[:, None]
        norms[extreme] = wide_norms
    return rows, norms


def unit_vector(vector: np.ndarray) -> tuple[Float32[np.ndarray, " dims"], np.float32]:
    """`normalize` for one vector in NumPy: the unit vector, and its norm."""
    vector = vector.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):
        norm = np.sqrt(vector.dot(vector))
    if _SMALL < norm < _LARGE:
        return vector / norm, norm
    units, norms = unit_rows(vector[None].copy())
    return units[0], norms[0]


@np.errstate(over="ignore", invalid="ignore")
def to_unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors at unit length; zero vectors stay, and infinity becomes NaN."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


@np.errstate(over="ignore", invalid="ignore")
def cosines_of(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The cosines of rows and a vector in float64, 0 for zero vectors, NaN for infinite ones."""
    rows, vector = np.asarray(rows, np.float64), np.asarray(vector, np.float64)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    return np.divide(rows @ vector, norms, out=np.zeros(len(rows)), where=norms != 0)
