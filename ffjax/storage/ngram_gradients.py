"""Gradients of sums of rows, added up in place.

What `jax.grad` makes of a sum of rows is an array like the whole storage for each step of the sum.
Here one such array is added to: a storage's gradient is a tuple of float32 arrays, one for each of
its leaves that holds floats.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ffjax.storage.base import Gradient, Storage, add_leaves, float_leaves


def zero_gradient(storage: Storage) -> Gradient:
    """The gradient to begin with."""
    return tuple(jnp.zeros(leaf.shape, jnp.float32) for leaf in float_leaves(storage))


def finish_gradient(storage: Storage, gradient: Gradient, cotangent: Storage) -> Gradient:
    """Adds what `storage.finish_sum` passes back, a storage of cotangents."""
    return add_leaves(gradient, cotangent)


def as_cotangent(storage: Storage, gradient: Gradient) -> Storage:
    """The gradient in the form that JAX wants of a storage's: its types, whole numbers without."""
    sums = iter(gradient)

    def leaf(x: Any) -> Any:
        if jnp.issubdtype(x.dtype, jnp.floating):
            return next(sums).astype(x.dtype)
        return np.zeros(x.shape, jax.dtypes.float0)

    return jax.tree.map(leaf, storage)
