"""Gradients of sums of rows, added up in place.

What `jax.grad` makes of a sum of rows is an array like the whole storage for each step of the sum. Here one such array
is added to: a storage's gradient is a tuple of float32 arrays, one for each of its leaves that holds floats.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int32

from ffjax._internal.pytree import replace as replace_fields
from ffjax.storage.base import Storage
from ffjax.storage.composed import ComposedArray
from ffjax.storage.dense import NdArray
from ffjax.storage.int8 import Int8Array

Gradient = tuple[Array, ...]


def zero_gradient(storage: Storage) -> Gradient:
    """The gradient to begin with."""
    return tuple(jnp.zeros(leaf.shape, jnp.float32) for leaf in jax.tree.leaves(_added(storage)) if _is_float(leaf))


def add_gradient(
    storage: Storage, gradient: Gradient, ids: Int32[Array, "batch slots"], direction: Float[Array, "batch dims"]
) -> Gradient:
    """Adds what `storage.sum_parts(ids)` passes back for `direction`."""
    storage, ids = _added(storage), _added_ids(storage, ids)
    if isinstance(storage, NdArray):
        (matrix,) = gradient
        rows = jnp.where(ids >= 0, ids, matrix.shape[0])

        def add(slot: Array, matrix: Array) -> Array:
            return matrix.at[rows[:, slot]].add(direction, mode="drop")

        # Slot by slot, so that the direction is not repeated in memory for each.
        return (lax.fori_loop(0, ids.shape[1], add, matrix),)
    if isinstance(storage, Int8Array) and len(storage):
        (scales,) = gradient
        codes, rows = jnp.asarray(storage.codes), jnp.where(ids >= 0, ids, scales.shape[0])

        def add_product(slot: Array, scales: Array) -> Array:
            row = jnp.take(codes, rows[:, slot], axis=0, mode="clip").astype(jnp.float32)
            return scales.at[rows[:, slot]].add((row * direction).sum(-1), mode="drop")

        return (lax.fori_loop(0, ids.shape[1], add_product, scales),)
    _, back = jax.vjp(lambda storage: storage.sum_parts(ids), storage)
    return _sum(gradient, back(direction)[0])


def finish_gradient(storage: Storage, gradient: Gradient, cotangent: Storage) -> Gradient:
    """Adds what `storage.finish_sum` passes back, a storage of cotangents."""
    if isinstance(_added(storage), NdArray | Int8Array):
        return gradient  # its sums need no finishing
    return _sum(gradient, _added(cotangent))


def as_cotangent(storage: Storage, gradient: Gradient) -> Storage:
    """The gradient in the form that JAX wants of a storage's: its types, and none for whole numbers."""
    sums = iter(gradient)

    def leaf(x: Any) -> Any:
        return next(sums).astype(x.dtype) if _is_float(x) else _none(x)

    return _with_added(storage, jax.tree.map(leaf, _added(storage)))


def _added(storage: Storage) -> Any:
    """The part of a storage that sums of n-grams' rows are made of."""
    return storage.ngrams if isinstance(storage, ComposedArray) else storage


def _added_ids(storage: Storage, ids: Array) -> Array:
    return jnp.where(ids >= 0, ids - storage.n_words, ids) if isinstance(storage, ComposedArray) else ids


def _with_added(storage: Storage, added: Any) -> Any:
    if not isinstance(storage, ComposedArray):
        return added
    zeros = jax.tree.map(lambda x: jnp.zeros_like(x) if _is_float(x) else _none(x), storage)
    return replace_fields(zeros, ngrams=added)


def _sum(gradient: Gradient, cotangent: Any) -> Gradient:
    leaves = [leaf for leaf in jax.tree.leaves(cotangent) if leaf.dtype != jax.dtypes.float0]
    return tuple(a + b.astype(jnp.float32) for a, b in zip(gradient, leaves, strict=True))


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _none(leaf: Any) -> np.ndarray:
    return np.zeros(leaf.shape, jax.dtypes.float0)
