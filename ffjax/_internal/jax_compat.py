"""What releases of JAX call differently: each difference is bridged once, here."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

_GATHERS_ALIKE = "to" in inspect.signature(lax.all_gather).parameters


def is_traced(tree: Any) -> bool:
    """Whether a leaf is traced, so that the call is part of a caller's program."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def varying(x: Shaped[Array, "*shape"], axes: tuple[str, ...]) -> Shaped[Array, "*shape"]:
    """Says that a value inside of `shard_map` may differ between the devices along `axes`."""
    if hasattr(lax, "pcast"):  # JAX 0.8
        return lax.pcast(x, axes, to="varying")
    return lax.pvary(x, axes)  # type: ignore[attr-defined]


def gathered(x: Shaped[Array, "batch k"], axes: tuple[str, ...], n_parts: int) -> Shaped[Array, "batch n_parts_k"]:
    """What all devices along `axes` hold, side by side, the same on each of them; inside of `shard_map`."""
    if _GATHERS_ALIKE:
        return lax.all_gather(x, axes, axis=1, tiled=True, to="invarying")
    # Adding up what each device has put into its own place says the same.
    batch, k = x.shape
    whole = varying(jnp.zeros((batch, n_parts * k), x.dtype), axes)
    place = lax.axis_index(axes).astype(jnp.int32) * k
    return lax.psum(lax.dynamic_update_slice_in_dim(whole, x, place, 1), axes)


@contextmanager
def abstract_mesh(mesh: Any) -> Iterator[None]:
    """The mesh that JAX takes for its own within the block, whatever a caller has set."""
    if not hasattr(jax.sharding, "use_abstract_mesh"):  # before JAX 0.8 a mesh is handed to `shard_map` alone
        yield
        return
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        yield
