"""Storage whose rows are divided over several devices."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float

from ffjax._internal.arrays import (
    AnyArray,
    aligned_zeros,
    as_int32,
    automatic_mesh,
    host_view,
    pad_rows,
    release_pages,
)
from ffjax._internal.jax_compat import abstract_mesh
from ffjax._internal.pytree import field_names, replace, set_fields, value
from ffjax.storage.base import Ids, Slots, Storage, Vectors, written
from ffjax.storage.dense import NdArray, check_matrix, unplaced

# Bytes that are read from a memory map at a time.
_READ_BYTES = 1 << 24


@final
@value(static=("n_rows", "mesh", "axes"))
class ShardedArray(Storage):
    """Rows of which each device holds a block, in order: a matrix, or the codes of a quantizer.

    Any number of rows works: the last block is padded with zeros, which are not rows. Each device
    is handed only its own block, so that of a memory map each block is read once, when it is
    placed. Arrays with an entry for each row are divided; others, such as codebooks, are on every
    device.

    The mesh is part of the value, so a compiled program knows how to divide the work wherever the
    storage goes: `gather` and `gather_sum` read on each device what it has and add up, and `top_k`
    searches on each device. A mesh with explicit axes is taken as one with automatic axes.

    Args:
        matrix: the rows, shape `[rows, dims]`, float32, bfloat16 or float16, in memory or a memory
            map; or a storage with an entry for each row in some of its arrays.
        sharding: how to divide them: a mesh, and for the rows one or several of its axes. Without
            axes, as in `PartitionSpec()`, all rows are on every device; a search then divides only
            the queries.

    Raises:
        TypeError: if an argument has another type, or the storage cannot be divided.
        ValueError: if the sharding divides the dimensions.

    Examples:
        >>> import ffjax, jax, numpy as np
        >>> from jax.sharding import NamedSharding, PartitionSpec
        >>> mesh = jax.make_mesh((jax.device_count(),), ("rows",))
        >>> matrix = np.eye(5, 2, dtype=np.float32)
        >>> storage = ffjax.ShardedArray(matrix, NamedSharding(mesh, PartitionSpec("rows")))
        >>> storage.shape, storage[1]
        ((5, 2), array([0., 1.], dtype=float32))
    """

    host_cost = math.inf
    is_divided = True

    padded: Storage
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
        if any(axis is not None for axis in spec[1:]):
            raise ValueError(
                "`sharding`: expected axes for the rows and none for the dimensions, "
                f"got {sharding.spec}."
            )
        if not isinstance(matrix, Storage):
            check_matrix(matrix)
            matrix = unplaced(matrix)
        if not matrix.row_arrays:
            raise TypeError(
                f"`matrix`: expected rows of floats or codes, got {type(matrix).__name__}. "
                "Divide its rows, `np.asarray(storage)`."
            )
        axes = spec[0] if isinstance(spec[0], tuple) else () if spec[0] is None else (spec[0],)
        mesh = automatic_mesh(sharding.mesh)
        n_blocks = math.prod(mesh.shape[axis] for axis in axes)
        n_padded = n_blocks * max(1, -(-len(matrix) // n_blocks))
        by_rows = NamedSharding(mesh, PartitionSpec(axes))
        everywhere = NamedSharding(mesh, PartitionSpec())
        padded = _mapped(
            matrix,
            lambda array: _divided(array, by_rows, n_padded),
            lambda array: jax.device_put(array, everywhere),
        )
        set_fields(self, padded=padded, n_rows=len(matrix), mesh=mesh, axes=axes)

    @classmethod
    def of_divided(cls, rows: Storage, mesh: Any, axes: tuple[str, ...]) -> "ShardedArray":
        """Rows that are divided already, evenly."""
        storage = object.__new__(cls)
        set_fields(storage, padded=rows, n_rows=len(rows), mesh=mesh, axes=axes)
        return storage

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions; the padding of the last block does not count."""
        return self.n_rows, self.padded.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.padded.dtype

    @property
    def sums_are_linear(self) -> bool:
        """Whether sums are linear in the leaves of floats, as those of each block are."""
        return self.padded.sums_are_linear

    @property
    def matrix(self) -> Float[AnyArray, "padded dims"]:
        """The divided matrix, padded with zeros.

        Raises:
            TypeError: if the rows are codes.
        """
        if not isinstance(self.padded, NdArray):
            raise TypeError(
                f"`matrix`: expected rows of floats, got {self!r}. Its rows are in `padded`."
            )
        return self.padded.matrix

    @property
    def spare_axes(self) -> tuple[str, ...]:
        """The axes of the mesh that do not divide the rows."""
        return tuple(axis for axis in self.mesh.axis_names if axis not in self.axes)

    def gather(self, ids: Ids) -> Vectors:
        """The rows with these numbers, on all devices; numbers are clipped into range."""
        if not self.n_rows:
            return jnp.zeros((*ids.shape, self.shape[1]), self.dtype)
        ids = jnp.clip(as_int32(ids), 0, self.n_rows - 1)
        return self.gather_sum(ids[..., None]).astype(self.dtype)

    def partial_sum(self, ids: Slots) -> Vectors:
        """As `gather_sum`, before a rotation; on all devices."""
        last = max(self.n_rows - 1, 0)

        def local_sum(block: Storage, ids: Array) -> Array:
            size = len(block)
            local = jnp.minimum(ids, last) - self.first(size)
            inside = (ids >= 0) & (local >= 0) & (local < size)
            total = block.partial_sum(jnp.where(inside, local, -1))
            return lax.psum(total, self.axes) if self.axes else total

        everywhere = PartitionSpec()
        add = self.on_each(local_sum, (self.specs, everywhere), everywhere)
        return add(self.padded, as_int32(ids))

    def finish_sum(self, total: Vectors) -> Vectors:
        """The sum rotated back: once, when all devices have added up."""
        return self.padded.finish_sum(total)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows on the host; these are fetched, not all."""
        if isinstance(ids, slice):
            return self.slice_rows(ids).read(slice(None), out)
        ids = np.asarray(ids, np.int32)
        rows = self._fetch(ids.reshape(-1)).read(slice(None))
        return written(rows.reshape(*ids.shape, self.shape[1]), out)

    def slice_rows(self, key: slice) -> Storage:
        """A storage on one device of the rows of a slice."""
        start, stop, step = key.indices(self.n_rows)
        is_local = all(array.is_fully_addressable for array in jax.tree.leaves(self.padded))
        if step != 1 or not is_local:
            return self._fetch(np.arange(start, stop, step, dtype=np.int32))
        rows = slice(start, max(start, stop))
        return _mapped(self.padded, lambda x: jnp.asarray(np.asarray(x[rows])), _on_one_device)

    def _fetch(self, ids: np.ndarray) -> Storage:
        """A storage on one device of the rows with these numbers."""
        return jax.tree.map(_on_one_device, _fetched(self, ids))

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps: the rows as they are on one device."""
        return self.slice_rows(slice(None)).to_tree()

    @classmethod
    def from_tree(cls, tree: Any) -> "ShardedArray":
        """Raises an error: snapshots hold rows on one device."""
        raise tree.error("kind", "rows on one device", cls.__name__)

    def __reduce__(self) -> tuple[Any, ...]:
        # Devices have no bytes: a copy or a pickle has the rows, and the numbers of the devices.
        ids = np.array([device.id for device in self.mesh.devices.flat])
        ids = ids.reshape(self.mesh.devices.shape)
        return _divided_again, (self[:], ids, self.mesh.axis_names, self.axes)

    def _details(self) -> str:
        n_blocks = math.prod(self.mesh.shape[axis] for axis in self.axes)
        kind = "" if isinstance(self.padded, NdArray) else f"{type(self.padded).__name__}, "
        return f", {kind}{n_blocks} blocks"

    @property
    def specs(self) -> Any:
        """How the arrays of `padded` are divided, for `on_each`."""
        by_rows, everywhere = PartitionSpec(self.axes), PartitionSpec()
        return _mapped(self.padded, lambda _: by_rows, lambda _: everywhere)

    def first(self, size: int) -> Array | int:
        """The first row of this device's block of `size` rows, for use in `on_each`."""
        return lax.axis_index(self.axes).astype(jnp.int32) * size if self.axes else 0

    def on_each(
        self, function: Callable[..., Any], in_specs: Any, out_specs: Any
    ) -> Callable[..., Any]:
        """`jax.shard_map` over the mesh of this storage, whatever mesh a caller has set."""
        specs = {"in_specs": in_specs, "out_specs": out_specs}
        mapped = jax.jit(jax.shard_map(function, mesh=self.mesh, **specs))

        def call(*arguments: Any) -> Any:
            with abstract_mesh(self.mesh):
                return mapped(*arguments)

        return call


@jax.jit
def _fetched(storage: ShardedArray, ids: Array) -> Storage:
    """The rows with these numbers, on all devices: each gives those that it has."""

    def local(block: Storage, ids: Array) -> Storage:
        size = len(block)
        ids = ids - storage.first(size)
        inside = (ids >= 0) & (ids < size)

        def everywhere(array: Array) -> Array:
            rows = jnp.take(array, ids, axis=0, mode="clip")
            # As whole numbers, whose sum with zeros keeps every bit.
            bits = lax.bitcast_convert_type(rows, f"uint{8 * rows.dtype.itemsize}")
            bits = jnp.where(inside.reshape(-1, *(1,) * (bits.ndim - 1)), bits, 0)
            bits = lax.psum(bits, storage.axes) if storage.axes else bits
            return lax.bitcast_convert_type(bits, rows.dtype)

        return _mapped(block, everywhere, lambda array: array)

    replicated = PartitionSpec()
    fetch = storage.on_each(local, (storage.specs, replicated), replicated)
    return fetch(storage.padded, ids)


def _divided_again(
    rows: Storage, ids: np.ndarray, names: tuple[str, ...], axes: tuple[str, ...]
) -> ShardedArray:
    devices = {device.id: device for device in jax.devices()}
    if lost := sorted(set(ids.flat) - set(devices)):
        raise ValueError(
            f"`ShardedArray`: expected the devices {ids.tolist()} that it was pickled with, got "
            f"{len(devices)} devices without {lost}. Pickle `storage[:]`, the rows on one device."
        )
    mesh = Mesh(np.vectorize(devices.get, otypes=[object])(ids), names)
    return ShardedArray(rows, NamedSharding(mesh, PartitionSpec(axes)))


def _mapped(
    storage: Storage, by_rows: Callable[[Any], Any], replicated: Callable[[Any], Any]
) -> Storage:
    """The storage with arrays that have an entry for each row changed by `by_rows`."""
    fields = {}
    for name in field_names(type(storage)):
        change = by_rows if name in storage.row_arrays else replicated
        fields[name] = jax.tree.map(change, getattr(storage, name))
    return replace(storage, **fields)


def _divided(array: Any, sharding: NamedSharding, n_padded: int) -> Array:
    """An array whose rows are divided, padded with zeros."""
    n_rows = array.shape[0]
    is_spread = isinstance(array, jax.Array) and len(array.sharding.device_set) > 1
    if is_spread and n_rows == n_padded:
        return jax.device_put(array, sharding)  # stays where it is, if it is divided like this
    if is_spread:
        pad = jax.jit(pad_rows, static_argnums=1, out_shardings=sharding)
        return pad(array, n_padded - n_rows)
    if isinstance(array, jax.Array) and (view := host_view(array)) is not None:
        array = view

    @cache  # devices along axes that do not divide the rows have the same block
    def block(start: int, stop: int) -> np.ndarray:
        rows = aligned_zeros((stop - start, *array.shape[1:]), array.dtype)
        step = max(1, _READ_BYTES // max(1, rows[:1].nbytes))
        for first in range(start, min(stop, n_rows), step):
            read = np.asarray(array[first : min(first + step, stop, n_rows)])
            rows[first - start :][: len(read)] = read
            release_pages(array)
        return rows

    def block_at(index: tuple[slice, ...] | None) -> np.ndarray:
        start, stop, _ = (index or (slice(None),))[0].indices(n_padded)
        return block(start, stop)

    return jax.make_array_from_callback((n_padded, *array.shape[1:]), sharding, block_at)


def _on_one_device(array: Array) -> Array:
    return jnp.asarray(np.asarray(array))
