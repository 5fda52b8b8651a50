"""Storage whose rows are divided over several devices."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int32

from ffjax._internal.jax_compat import abstract_mesh
from ffjax._internal.pytree import equal, pytree
from ffjax._internal.pytree import replace as replace_fields
from ffjax._internal.types import AnyArray
from ffjax.storage.arrays import check_out, checked_key
from ffjax.storage.base import Storage
from ffjax.storage.dense import NdArray, check_matrix, of_matrix


@pytree(static=("n_rows", "mesh", "axes"))
@dataclass(frozen=True, eq=False, init=False, repr=False)
class ShardedArray(Storage):
    """Rows of which each device holds some, one stretch after the other: a matrix, or the codes of a quantizer.

    Any number of rows goes: the last stretch is filled up with zeros, which are no rows. Each device is handed its
    stretch alone, so of a memory map only what a device holds is read, when it is handed over. Codes and norms are
    divided, codebooks and the projection are on every device.

    The mesh is a part of the value, so a compiled program knows how to divide the work wherever the storage goes:
    `rows` and `sum_rows` read on each device what it has and add up, and `top_k` searches on each device. A mesh with
    explicit axes is taken as one with automatic axes.

    Args:
        matrix: the rows, shape `[rows, dims]`, float32, bfloat16 or float16, in memory or a memory map; or a storage of
            such rows or of codes.
        sharding: how to divide them: a mesh, and for the rows one or several of its axes. Without any, as in
            `PartitionSpec()`, all rows are on every device; a search then divides the queries alone.

    Raises:
        TypeError: an argument is of another type, or a storage that cannot be divided.
        ValueError: the sharding divides the dimensions.

    Examples:
        >>> import ffjax, jax, numpy as np
        >>> from jax.sharding import NamedSharding, PartitionSpec
        >>> mesh = jax.make_mesh((jax.device_count(),), ("rows",))
        >>> storage = ffjax.ShardedArray(np.eye(5, 2, dtype=np.float32), NamedSharding(mesh, PartitionSpec("rows")))
        >>> storage.shape, storage[1]
        ((5, 2), array([0., 1.], dtype=float32))
    """

    held: Storage
    n_rows: int
    mesh: Mesh
    axes: tuple[str, ...]

    def __init__(self, matrix: Any, sharding: NamedSharding) -> None:
        if not isinstance(sharding, NamedSharding):
            raise TypeError(
                f"`sharding`: expected a NamedSharding, got {type(sharding).__name__}. "
                'Write `NamedSharding(mesh, PartitionSpec("rows"))` with an axis of the mesh.'
            )
        spec = tuple(sharding.spec) or (None,)
        if any(part is not None for part in spec[1:]):
            raise ValueError(
                f"`sharding`: expected axes for the rows and none for the dimensions, got {sharding.spec}."
            )
        if not isinstance(matrix, Storage):
            check_matrix(matrix)
            matrix = of_matrix(matrix)
        if not matrix.row_arrays:
            raise TypeError(
                f"`matrix`: expected rows of floats or codes, got {type(matrix).__name__}. Divide its rows, "
                "`np.asarray(storage)`."
            )
        axes = spec[0] if isinstance(spec[0], tuple) else () if spec[0] is None else (spec[0],)
        mesh = Mesh(np.asarray(sharding.mesh.devices), sharding.mesh.axis_names)
        parts = math.prod(mesh.shape[axis] for axis in axes)
        padded = parts * max(1, -(-len(matrix) // parts))
        by_rows, everywhere = NamedSharding(mesh, PartitionSpec(axes)), NamedSharding(mesh, PartitionSpec())
        held = _mapped(
            matrix, lambda array: _divided(array, by_rows, padded), lambda array: jax.device_put(array, everywhere)
        )
        for name, value in {"held": held, "n_rows": len(matrix), "mesh": mesh, "axes": axes}.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions; what fills up the last stretch does not count."""
        return self.n_rows, self.held.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.held.dtype  # type: ignore[attr-defined]

    @property
    def matrix(self) -> Float[AnyArray, "padded dims"]:
        """The divided matrix, filled up with zeros.

        Raises:
            TypeError: the rows are codes.
        """
        if not isinstance(self.held, NdArray):
            raise TypeError(f"`matrix`: expected rows of floats, got {self!r}. What it holds is `held`.")
        return self.held.matrix

    @property
    def spare_axes(self) -> tuple[str, ...]:
        """The axes of the mesh that do not divide the rows."""
        return tuple(axis for axis in self.mesh.axis_names if axis not in self.axes)

    def rows(self, ids: Int32[Array, "*batch"]) -> Float[Array, "*batch dims"]:
        """The rows with these numbers, on all devices; numbers outside are clipped into range."""
        if not self.n_rows:
            return jnp.zeros((*ids.shape, self.shape[1]), self.dtype)
        ids = jnp.clip(ids, 0, self.n_rows - 1)
        return self.sum_rows(ids[..., None]).astype(self.dtype)

    def chunk(self, start: Int32[Array, ""] | int, size: int) -> Float[Array, "size dims"]:
        """`size` rows from row `start` on, on all devices."""
        return self.rows(start + jnp.arange(size, dtype=jnp.int32))

    def sum_rows(self, ids: Int32[Array, "*batch slots"]) -> Float[Array, "*batch dims"]:
        """The float32 sum of the rows named in each line of `ids`, those below zero left out; on all devices."""
        return self.finish_sum(self.sum_parts(ids))

    def sum_parts(self, ids: Int32[Array, "*batch slots"], *, whole: bool = False) -> Float[Array, "*batch dims"]:
        """As `sum_rows`, before a rotation."""
        last = max(self.n_rows - 1, 0)

        def own(part: Storage, ids: Array) -> Array:
            size = len(part)
            places = jnp.minimum(ids, last) - self.first(size)
            here = (ids >= 0) & (places >= 0) & (places < size)
            total = part.sum_parts(jnp.where(here, places, -1))
            return lax.psum(total, self.axes) if self.axes else total

        return self.on_each(own, (self.specs, PartitionSpec()), PartitionSpec())(self.held, ids)

    def finish_sum(self, total: Float[Array, "*batch dims"]) -> Float[Array, "*batch dims"]:
        """The sum rotated back, where the rows are: once, when all devices have added up."""
        return self.held.finish_sum(total)

    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows as a NumPy array that is the caller's own; those that are asked for are fetched, never all of them.

        Args:
            key: an `int`, a slice, or integers as a list or an array.
            out: where to write the answer, of the answer's shape.
        """
        if isinstance(checked_key(key), slice):
            found = self[key].embedding(slice(None))
        else:
            numbers = range(self.n_rows)
            ids = numbers[int(key)] if isinstance(key, int | np.integer) else np.asarray(numbers)[key]
            found = np.asarray(_rows(self, np.asarray(ids, np.int32)))
        if out is None:
            return np.array(found)
        check_out(out, found.shape, found.dtype)
        out[...] = found
        return out

    def __getitem__(self, key: Any) -> Any:
        """A storage on one device for a slice, or rows as NumPy arrays for anything else."""
        if not isinstance(key, slice):
            return self.embedding(key)
        start, stop, step = key.indices(self.n_rows)
        some = slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
        return _mapped(self.held, lambda array: jnp.asarray(np.asarray(array[some])), lambda array: array)

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, ShardedArray) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows, dims = self.shape
        parts = math.prod(self.mesh.shape[axis] for axis in self.axes)
        kind = "" if isinstance(self.held, NdArray) else f"{type(self.held).__name__}, "
        return f"ShardedArray({rows} x {dims}, {kind}{parts} parts)"

    @property
    def specs(self) -> Any:
        """How the arrays of `held` are divided, for `on_each`."""
        return _mapped(self.held, lambda _: PartitionSpec(self.axes), lambda _: PartitionSpec())

    def first(self, size: int) -> Int32[Array, ""] | int:
        """The first row of this device's stretch of `size` rows; inside of `on_each`."""
        return lax.axis_index(self.axes).astype(jnp.int32) * size if self.axes else 0

    def on_each(self, own: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
        """`jax.shard_map` over the mesh of this storage, whatever mesh a caller has set.

        Args:
            own: what each device does.
            in_specs: how its arguments are divided.
            out_specs: how its answers are.
        """
        each = jax.jit(jax.shard_map(own, mesh=self.mesh, in_specs=in_specs, out_specs=out_specs))

        def call(*arguments: Any) -> Any:
            with abstract_mesh(self.mesh):
                return each(*arguments)

        return call


@jax.jit
def _rows(storage: ShardedArray, ids: Int32[Array, "*batch"]) -> Float[Array, "*batch dims"]:
    return storage.rows(ids)


def _mapped(storage: Storage, by_rows: Callable[[Any], Any], rest: Callable[[Any], Any]) -> Storage:
    """A storage like this one of what `by_rows` makes of arrays with a row for each row, and `rest` of all others."""
    changes = {}
    for field in dataclasses.fields(storage):  # type: ignore[arg-type]
        make = by_rows if field.name in storage.row_arrays else rest
        changes[field.name] = jax.tree.map(make, getattr(storage, field.name))
    return replace_fields(storage, **changes)


def _divided(array: Any, placed: NamedSharding, padded: int) -> Array:
    """An array whose rows are divided, filled up with zeros to a number of rows."""
    n_rows = array.shape[0]

    def stretch(index: tuple[slice, ...] | None) -> np.ndarray:
        start, stop, _ = (index or (slice(None),))[0].indices(padded)
        held = np.asarray(array[start : min(stop, n_rows)])
        if len(held) == stop - start:
            return held
        filled = np.zeros((stop - start, *array.shape[1:]), held.dtype)
        filled[: len(held)] = held
        return filled

    if isinstance(array, jax.Array) and n_rows == padded:
        return jax.device_put(array, placed)  # where it lies, if it is so divided
    return jax.make_array_from_callback((padded, *array.shape[1:]), placed, stretch)
