"""Batches whose size is symbolic, as `jax.export` has them: worked through in blocks."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ffjax._internal.arrays import AnyArray, pad_rows
from ffjax._internal.jax_compat import fori_loop

# Small, since a smaller batch is padded to it.
_BLOCK = 64


def in_blocks(function: Callable[..., Any], *arrays: AnyArray) -> Any:
    """A function of a batch, for a batch of a size that is not known while tracing."""
    n = arrays[0].shape[0]
    padded = [pad_rows(jnp.asarray(x), _BLOCK) for x in arrays]

    def block(first: Array | int) -> Any:
        return function(*(lax.dynamic_slice_in_dim(x, first, _BLOCK) for x in padded))

    def step(i: Array, out: Any) -> Any:
        def put(old: Array, new: Array) -> Array:
            return lax.dynamic_update_slice_in_dim(old, new, i * _BLOCK, 0)

        return jax.tree.map(put, out, block(i * _BLOCK))

    shapes = jax.eval_shape(block, 0)
    out = jax.tree.map(lambda x: jnp.zeros((n + _BLOCK, *x.shape[1:]), x.dtype), shapes)
    out = fori_loop(0, (jnp.asarray(n) + (_BLOCK - 1)) // _BLOCK, step, out)
    return jax.tree.map(lambda x: x[:n], out)
