"""Differences between releases of JAX, each bridged once."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax import Array, lax

_GATHERS_INVARYING = "to" in inspect.signature(lax.all_gather).parameters


def gathered(x: Array, axes: tuple[str, ...], n_devices: int) -> Array:
    """The arrays `[batch, k]` of all devices along `axes` side by side; inside of `shard_map`."""
    if _GATHERS_INVARYING:
        return lax.all_gather(x, axes, axis=1, tiled=True, to="invarying")
    # Each device adds its columns to zeros; the sum is the same on all of them.
    batch, k = x.shape
    columns = jnp.zeros((batch, n_devices * k), x.dtype)
    if hasattr(lax, "pcast"):  # JAX 0.8
        columns = lax.pcast(columns, axes, to="varying")
    else:
        columns = lax.pvary(columns, axes)  # type: ignore[attr-defined]
    start = lax.axis_index(axes).astype(jnp.int32) * k
    return lax.psum(lax.dynamic_update_slice_in_dim(columns, x, start, 1), axes)


def is_traced(tree: Any) -> bool:
    """Whether a leaf is traced, so that the call is part of a caller's program."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


@contextmanager
def abstract_mesh(mesh: Any) -> Iterator[None]:
    """The mesh that JAX uses within the block, whatever a caller has set."""
    if not hasattr(jax.sharding, "use_abstract_mesh"):  # before JAX 0.8 only `shard_map` needs one
        yield
        return
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        yield
