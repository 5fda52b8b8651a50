"""Optimized product quantization: a rotation after which the subquantizers lose less.

The non-parametric solution of Ge, He, Ke and Sun, "Optimized Product Quantization" (2013): steps of
k-means on rotated rows alternate with the rotation that brings rows nearest to what their codes
stand for (orthogonal Procrustes).
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from ffjax.transforms.quantize.kmeans import Codebooks, Points, decoded, moved

# Rows are columns here.
Columns: TypeAlias = Float32[Array, "dims rows"]
Rotation: TypeAlias = Float32[Array, "dims dims"]

_EXACT = jax.lax.Precision.HIGHEST


def balanced_rotation(rows: Columns, subquantizers: int) -> Rotation:
    """The rotation to principal axes, dealt out so that products of variances are about the same.

    That is the parametric solution of the same paper, the best one for rows that are normally
    distributed: from the largest variance on, each axis goes to the subquantizer with the least
    product that has room for it.
    """
    dims = rows.shape[0]
    centred = rows - rows.mean(1, keepdims=True)
    covariances = jnp.matmul(centred, centred.T, precision=_EXACT)
    variances, axes = np.linalg.eigh(np.asarray(covariances))
    variances = np.maximum(variances, 1e-9 * max(float(variances[-1]), 1e-30))
    logarithms = np.log(variances / variances.min())  # none below zero: products never shrink
    dealt: list[list[int]] = [[] for _ in range(subquantizers)]
    for axis in range(dims - 1, -1, -1):
        with_room = [group for group in dealt if len(group) < dims // subquantizers]
        min(with_room, key=lambda group: sum(logarithms[group])).append(axis)
    return jnp.array(axes[:, np.concatenate(dealt)])


def random_rotation(dims: int, key: Array) -> Rotation:
    """A random orthonormal matrix."""
    return jnp.linalg.qr(jax.random.normal(key, (dims, dims), jnp.float32))[0]


@jax.jit
def rotated(rows: Columns, rotation: Rotation, codebooks: Codebooks) -> Points:
    """Rows times the rotation, as points in each subquantizer's space."""
    subquantizers, _, dims_each = codebooks.shape
    points = jnp.matmul(rotation.T, rows, precision=_EXACT)
    return points.reshape(subquantizers, dims_each, -1)


def alternate(
    rows: Columns, rotation: Rotation, codebooks: Codebooks
) -> tuple[Rotation, Codebooks]:
    """A step of k-means on rotated rows, then the best rotation for the resulting codes.

    These are three compiled programs: as one they take four times as long on a CPU (JAX 0.10).
    """
    codebooks, codes = _moved(rotated(rows, rotation, codebooks), codebooks)
    return _aligned(rows, _decoded(codebooks, codes)), codebooks


_moved = jax.jit(moved)
_decoded = jax.jit(decoded)


@jax.jit
def _aligned(rows: Array, targets: Array) -> Array:
    """The rotation R with the least |X R - Y|^2: U V^T, where U S V^T decomposes X^T Y."""
    products = jnp.matmul(rows, targets.reshape(rows.shape).T, precision=_EXACT)
    u, _, vt = jnp.linalg.svd(products, full_matrices=False)
    return jnp.matmul(u, vt, precision=_EXACT)
