"""Differences between releases of JAX, each bridged once."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

C = TypeVar("C")

_GATHERS_INVARYING = "to" in inspect.signature(lax.all_gather).parameters


def varying(x: Array, axes: tuple[str, ...]) -> Array:
    """Marks a value inside `shard_map` as one that may differ between devices along `axes`."""
    if hasattr(lax, "pcast"):  # JAX 0.8
        return lax.pcast(x, axes, to="varying")
    return lax.pvary(x, axes)  # type: ignore[attr-defined]


def varying_together(tree: Any) -> Any:
    """The arrays of a tree as values that vary along all axes along which one of them varies."""
    if not _manual_axes():
        return tree
    leaves, structure = jax.tree.flatten(tree)
    axes = frozenset().union(*(_axes(jax.typeof(leaf)) for leaf in leaves))
    return structure.unflatten([_varying_along(leaf, axes) for leaf in leaves])


def while_loop(has_more: Callable[[C], Array], step: Callable[[C], C], carry: C) -> C:
    """`lax.while_loop`, in which the carry may come to vary over the devices of a `shard_map`."""
    return lax.while_loop(has_more, step, _as_after(step, carry))


def fori_loop(start: Any, stop: Any, step: Callable[[Any, C], C], carry: C) -> C:
    """`lax.fori_loop`, in which the carry may come to vary over the devices of a `shard_map`."""
    carry = _as_after(partial(step, jnp.int32(0)), carry)
    # Without `jit` JAX gives plain numbers.
    return lax.fori_loop(start, stop, lambda i, carry: step(jnp.asarray(i), carry), carry)


def scan(
    step: Callable[[C, Array], tuple[C, Any]], carry: C, xs: Array, *, unroll: int = 1
) -> tuple[C, Any]:
    """`lax.scan`, in which the carry may come to vary over the devices of a `shard_map`."""
    if xs.shape[0]:
        carry = _as_after(lambda carry: step(carry, xs[0])[0], carry)
    return lax.scan(step, carry, xs, unroll=unroll)


def _as_after(step: Callable[[C], C], carry: C) -> C:
    """The carry of a loop, varying along the axes along which it varies after a step."""
    if not _manual_axes():
        return carry
    leaves, structure = jax.tree.flatten(carry)
    for _ in leaves:  # one of them may come to vary because another does
        after = jax.make_jaxpr(step)(structure.unflatten(leaves)).out_avals
        leaves = [_varying_along(x, _axes(new)) for x, new in zip(leaves, after, strict=True)]
    return structure.unflatten(leaves)


def _varying_along(x: Any, axes: frozenset[str]) -> Array:
    x = jnp.asarray(x)
    missing = tuple(axes - _axes(jax.typeof(x)))
    return varying(x, missing) if missing else x


def _axes(kind: Any) -> frozenset[str]:
    """The axes along which arrays of a type vary."""
    if hasattr(kind, "manual_axis_type"):  # JAX 0.10
        return kind.manual_axis_type.varying
    return kind.vma


def _manual_axes() -> tuple[str, ...]:
    """The axes of the `shard_map` that is traced, if any."""
    return jax.sharding.get_abstract_mesh().manual_axes


def gathered(x: Array, axes: tuple[str, ...], n_devices: int) -> Array:
    """The arrays `[batch, k]` of all devices along `axes` side by side; inside `shard_map`."""
    if _GATHERS_INVARYING:
        return lax.all_gather(x, axes, axis=1, tiled=True, to="invarying")
    # Each device adds its columns to zeros; the sum is the same on all of them.
    batch, k = x.shape
    columns = varying(jnp.zeros((batch, n_devices * k), x.dtype), axes)
    start = lax.axis_index(axes).astype(jnp.int32) * k
    return lax.psum(lax.dynamic_update_slice_in_dim(columns, x, start, 1), axes)


# JAX 0.7 has it elsewhere.
set_mesh = jax.set_mesh if hasattr(jax, "set_mesh") else jax.sharding.use_mesh  # type: ignore


@contextmanager
def abstract_mesh(mesh: Any) -> Iterator[None]:
    """The mesh that JAX uses within the block, whatever a caller has set."""
    if not hasattr(jax.sharding, "use_abstract_mesh"):  # before JAX 0.8 only `shard_map` needs one
        yield
        return
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        yield
