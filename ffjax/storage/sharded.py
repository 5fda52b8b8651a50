"""Dense storage whose rows are divided over several devices."""

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

from ffjax._compat import abstract_mesh, varying
from ffjax._pytree import equal, pytree
from ffjax.storage.base import Storage
from ffjax.storage.dense import NdArray, check_matrix


@pytree(static=("n_rows", "mesh", "axes"))
@dataclass(frozen=True, eq=False, init=False, repr=False)
class ShardedArray(Storage):
    """A matrix of which each device holds some rows, one stretch after the other.

    Any number of rows goes: the last stretch is filled up with zeros, which are no rows. Each device is handed its
    stretch alone, so of a memory map only what a device holds is read, when it is handed over.

    The mesh is a part of the value, so a compiled program knows how to divide the work wherever the storage goes:
    `rows` and `sum_rows` read on each device what it has and add up, and `top_k` searches on each device. A mesh with
    explicit axes is taken as one with automatic axes.

    Args:
        matrix: the rows, shape `[rows, dims]`, float32, bfloat16 or float16, in memory or a memory map.
        sharding: how to divide them: a mesh, and for the rows one or several of its axes.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the sharding divides the dimensions.

    Examples:
        >>> import ffjax, jax, numpy as np
        >>> from jax.sharding import NamedSharding, PartitionSpec
        >>> mesh = jax.make_mesh((jax.device_count(),), ("rows",))
        >>> storage = ffjax.ShardedArray(np.eye(5, 2, dtype=np.float32), NamedSharding(mesh, PartitionSpec("rows")))
        >>> storage.shape, storage[1]
        ((5, 2), array([0., 1.], dtype=float32))
    """

    matrix: Float[Array, "padded dims"]
    n_rows: int
    mesh: Mesh
    axes: tuple[str, ...]

    def __init__(self, matrix: Any, sharding: NamedSharding) -> None:
        if not isinstance(sharding, NamedSharding):
            raise TypeError(
                f"`sharding`: expected a NamedSharding, got {type(sharding).__name__}. "
                'Write `NamedSharding(mesh, PartitionSpec("rows"))` with an axis of the mesh.'
            )
        spec = tuple(sharding.spec)
        if not spec or spec[0] is None or any(part is not None for part in spec[1:]):
            raise ValueError(
                f"`sharding`: expected axes for the rows and none for the dimensions, got {sharding.spec}."
            )
        check_matrix(matrix)
        axes = spec[0] if isinstance(spec[0], tuple) else (spec[0],)
        mesh = Mesh(np.asarray(sharding.mesh.devices), sharding.mesh.axis_names)
        n_rows, dims = matrix.shape
        parts = math.prod(mesh.shape[axis] for axis in axes)
        each = max(1, -(-n_rows // parts))

        def stretch(index: tuple[slice, ...] | None) -> np.ndarray:
            start, stop, _ = (index or (slice(None),))[0].indices(parts * each)
            held = np.asarray(matrix[start : min(stop, n_rows)])
            if len(held) == stop - start:
                return held
            filled = np.zeros((stop - start, dims), held.dtype)
            filled[: len(held)] = held
            return filled

        placed = NamedSharding(mesh, PartitionSpec(axes))
        if isinstance(matrix, jax.Array) and n_rows == parts * each:
            array = jax.device_put(matrix, placed)  # where it lies, if it is so divided
        else:
            array = jax.make_array_from_callback((parts * each, dims), placed, stretch)
        for name, value in {"matrix": array, "n_rows": n_rows, "mesh": mesh, "axes": axes}.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions; what fills up the last stretch does not count."""
        return self.n_rows, self.matrix.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.matrix.dtype

    @property
    def spare_axes(self) -> tuple[str, ...]:
        """The axes of the mesh that do not divide the rows."""
        return tuple(axis for axis in self.mesh.axis_names if axis not in self.axes)

    def rows(self, ids: Int32[Array, "*batch"]) -> Float[Array, "*batch dims"]:
        """The rows with these numbers, on all devices; numbers outside are clipped into range."""
        ids = jnp.clip(ids, 0, max(self.n_rows - 1, 0))

        def own(part: Array, ids: Array) -> Array:
            places = ids - self._first(part)
            here = (places >= 0) & (places < part.shape[0])
            found = part.at[jnp.clip(places, 0, part.shape[0] - 1)].get(mode="promise_in_bounds")
            return lax.psum(jnp.where(here[..., None], found, jnp.zeros((), part.dtype)), self.axes)

        return self._divided(own)(self.matrix, ids)

    def chunk(self, start: Int32[Array, ""] | int, size: int) -> Float[Array, "size dims"]:
        """`size` rows from row `start` on, on all devices."""
        return self.rows(start + jnp.arange(size, dtype=jnp.int32))

    def sum_rows(self, ids: Int32[Array, "*batch slots"]) -> Float[Array, "*batch dims"]:
        """The float32 sum of the rows named in each line of `ids`, those below zero left out; on all devices."""
        last = max(self.n_rows - 1, 0)

        def own(part: Array, ids: Array) -> Array:
            places = jnp.minimum(ids, last) - self._first(part)
            here = (ids >= 0) & (places >= 0) & (places < part.shape[0])

            def add(total: Array, slot: tuple[Array, Array]) -> tuple[Array, None]:
                found = part.at[jnp.clip(slot[0], 0, part.shape[0] - 1)].get(mode="promise_in_bounds")
                return total + jnp.where(slot[1][..., None], found.astype(jnp.float32), jnp.float32(0)), None

            nothing = jnp.zeros((*ids.shape[:-1], part.shape[1]), jnp.float32)
            slots = jnp.moveaxis(places, -1, 0), jnp.moveaxis(here, -1, 0)
            total, _ = lax.scan(add, varying(nothing, self.axes), slots, unroll=8)
            return lax.psum(total, self.axes)

        return self._divided(own)(self.matrix, ids)

    def sum_parts(self, ids: Int32[Array, "*batch slots"], *, whole: bool = False) -> Float[Array, "*batch dims"]:
        """As `sum_rows`: there is nothing to finish."""
        return self.sum_rows(ids)

    def finish_sum(self, total: Float[Array, "*batch dims"]) -> Float[Array, "*batch dims"]:
        """The sum itself."""
        return total

    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows as a NumPy array that is the caller's own; those that are asked for are fetched, never the matrix.

        Args:
            key: an `int`, a slice, or integers as a list or an array.
            out: where to write the answer, of the answer's shape.
        """
        if isinstance(key, int | np.integer):
            found = np.asarray(self.matrix[range(self.n_rows)[int(key)]])
        elif isinstance(key, slice):
            start, stop, step = key.indices(self.n_rows)
            found = np.asarray(self.matrix[start:stop] if step == 1 else self.matrix[np.arange(start, stop, step)])
        else:
            ids = np.arange(self.n_rows)[key]
            found = np.asarray(_rows(self, ids.astype(np.int32)))
        if out is None:
            return np.array(found)
        out[...] = found
        return out

    def __getitem__(self, key: Any) -> Any:
        """A storage on one device for a slice, or rows as NumPy arrays for anything else."""
        return NdArray(self.embedding(key)) if isinstance(key, slice) else self.embedding(key)

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, ShardedArray) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows, dims = self.shape
        parts = math.prod(self.mesh.shape[axis] for axis in self.axes)
        return f"ShardedArray({rows} x {dims}, {parts} parts)"

    def _first(self, part: Array) -> Array:
        return lax.axis_index(self.axes).astype(jnp.int32) * part.shape[0]

    def _divided(self, own: Any) -> Any:
        return self.on_each(own, (PartitionSpec(self.axes), PartitionSpec()), PartitionSpec())

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
