"""Explicit shardings: those that `jax.make_mesh` gives by default, part of an array's type.

JAX then asks of each operation on a divided axis how to divide its answer. The functions of this
library decide that themselves, so while they are traced the axes become automatic ones.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import jax
from jax.core import Tracer
from jax.sharding import (
    AbstractMesh,
    AxisType,
    NamedSharding,
    PartitionSpec,
    auto_axes,
    get_abstract_mesh,
)

from ffjax.storage.base import Storage
from ffjax.storage.sharded import ShardedArray

F = TypeVar("F", bound=Callable[..., Any])


def takes_explicit(function: F) -> F:
    """A function to be compiled, whose arguments may have explicit shardings.

    A storage whose rows are divided becomes a `ShardedArray`; answers are on all devices.
    """

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        mesh = _explicit_mesh((args, options))
        if mesh is None:
            return function(*args, **options)
        trees = jax.tree.map(_divided, (args, options), is_leaf=_is_storage)
        leaves, structure = jax.tree.flatten(trees)
        numbers = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

        def on_arrays(*arrays: jax.Array) -> Any:
            for number, array in zip(numbers, arrays, strict=True):
                leaves[number] = array
            args, options = structure.unflatten(leaves)
            return function(*args, **options)

        everywhere = NamedSharding(mesh, PartitionSpec())
        inside = auto_axes(on_arrays, axes=mesh.axis_names, out_sharding=everywhere)
        return inside(*(leaves[number] for number in numbers))

    return call  # type: ignore[return-value]


def _explicit_mesh(tree: Any) -> AbstractMesh | None:
    """The mesh of explicit axes that is set, or over which an array of the tree may be divided."""
    traced = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, Tracer)]
    shardings = (jax.typeof(leaf).sharding for leaf in traced)
    meshes = (get_abstract_mesh(), *(sharding.mesh for sharding in shardings))
    explicit = {AxisType.Explicit}
    return next((mesh for mesh in meshes if set(mesh.axis_types) == explicit), None)


def _is_storage(tree: Any) -> bool:
    return isinstance(tree, Storage)


def _divided(tree: Any) -> Any:
    """A storage as a `ShardedArray` if its rows are divided, and the storages in it likewise."""
    if not isinstance(tree, Storage) or isinstance(tree, ShardedArray):
        return tree
    if not tree.row_arrays:
        is_inner = lambda x: x is not tree and _is_storage(x)  # noqa: E731
        return jax.tree.map(_divided, tree, is_leaf=is_inner)
    sharding = jax.typeof(getattr(tree, tree.row_arrays[0])).sharding
    rows, dims = (*sharding.spec, None, None)[:2]
    if rows is None or dims is not None:
        return tree
    automatic = {axis: AxisType.Auto for axis in sharding.mesh.axis_names}
    mesh = sharding.mesh.update_axis_types(automatic)
    axes = rows if isinstance(rows, tuple) else (rows,)
    return ShardedArray.of_divided(tree, mesh, axes)
