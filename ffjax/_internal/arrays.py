"""Arrays of either kind: NumPy's, memory maps among them, and JAX's."""

import math
from typing import Any, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding

from ffjax._internal.memmap import release_array_pages

AnyArray: TypeAlias = Array | np.ndarray

# JAX's CPU device takes over, without a copy, an array that begins at a multiple of these bytes.
ALIGNMENT = 64
_COARSE = 1024


def on_host(array: Any) -> np.ndarray:
    """The array as a NumPy array; an error that says what to do instead if it is traced."""
    check_concrete(array)
    return np.asarray(array)


def is_traced(tree: Any) -> bool:
    """Whether a leaf is traced, so that the call is part of a caller's program."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def is_symbolic(array: Any) -> bool:
    """Whether the first axis has no fixed length."""
    return not isinstance(array.shape[0], int)


def check_concrete(tree: Any) -> None:
    """Raises an error that says what to do instead if a leaf is traced."""
    if is_traced(tree):
        raise TypeError(
            "expected arrays, got traced values: functions that take or return a `str` run on the "
            "host. Inside `jit` use `ffjax.embed(embeddings, strings)` with packed words, "
            "`ffjax.classify(classifier, strings)` with packed texts, and the other device "
            "functions; rows are `storage.gather(ids)`, and norms `norms.array`."
        )


def host_view(array: Any) -> np.ndarray | None:
    """The array as a NumPy array if that takes no copy, else `None`."""
    if isinstance(array, np.ndarray):
        return np.asarray(array)
    if isinstance(array, jax.core.Tracer):
        return on_host(array)  # raises
    devices = array.devices()
    if len(devices) == 1 and next(iter(devices)).platform == "cpu":
        return np.asarray(array)
    return None


def all_on_host(*trees: Any) -> bool:
    """Whether NumPy sees the arrays without a copy."""
    return all(host_view(leaf) is not None for leaf in jax.tree.leaves(trees))


def with_automatic_axes(array: Any) -> Any:
    """The array where it is, on a mesh of automatic axes, so that JAX indexes it as any other."""
    sharding = getattr(array, "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return array
    return jax.device_put(array, NamedSharding(automatic_mesh(sharding.mesh), sharding.spec))


def automatic_mesh(mesh: Any) -> Mesh:
    """The mesh with automatic axes."""
    return Mesh(np.asarray(mesh.devices), mesh.axis_names)


def as_int32(numbers: Any) -> Any:
    """Whole numbers as int32; those beyond its range become its ends, so that nothing wraps.

    Examples:
        >>> as_int32(np.array([2**32, -5, 7])).tolist()
        [2147483647, -5, 7]
    """
    if numbers.dtype == np.int32:
        return numbers
    ends, old = np.iinfo(np.int32), np.iinfo(numbers.dtype)
    library = jnp if isinstance(numbers, jax.Array) else np
    clipped = library.clip(numbers, max(ends.min, old.min), min(ends.max, old.max))
    return clipped.astype(np.int32)


def is_mapped(tree: Any) -> bool:
    """Whether an array of the tree is a memory map."""
    return any(isinstance(leaf, np.memmap) for leaf in jax.tree.leaves(tree))


def release_pages(tree: Any, *, keep: float = 0.0) -> None:
    """Takes the pages of memory maps out of this process's memory.

    Call this after each block when scanning a memory map; resident memory then stays at one block.
    The pages may stay in the system's cache. Maps that take no more than the share `keep` of the
    machine's memory are left: entering their pages again would take longer than searching them.
    """
    for leaf in jax.tree.leaves(tree):
        release_array_pages(leaf, keep=keep)


def placed_array(array: Any) -> Any:
    """A NumPy array copied to the default device, so that it cannot change; others as they are."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.memmap):
        return array
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return jax.device_put(copy)  # `jnp.array` would compile a program for each shape


def aligned_empty(shape: tuple[int, ...], dtype: Any, allocate: Any = np.empty) -> np.ndarray:
    """An uninitialized array that JAX's CPU device can take over without a copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = allocate(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `aligned_empty`, all zeros; pages that are never written take no memory."""
    return aligned_empty(shape, dtype, np.zeros)


def read_array(
    source: Any, start: int, shape: tuple[int, ...], dtype: Any, *, mmap: bool = False
) -> Any:
    """Maps an array at byte `start`, or reads it onto the default device (the CPU: no copy)."""
    if mmap and source.mappable and math.prod(shape):  # there are no empty maps
        return source.map(start, shape, dtype)
    array = aligned_empty(shape, dtype)
    source.read_into(start, array)
    return jax.device_put(array)


def pad_rows(array: Any, n: int, fill: int = 0) -> Any:
    """The array with `n` more rows, of one number."""
    library = jnp if isinstance(array, jax.Array) else np
    padding = ((0, n), *((0, 0),) * (array.ndim - 1))
    return library.pad(array, padding, constant_values=fill)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """As many numbers from each start on as its count, one range after the other.

    Examples:
        >>> ranges(np.array([5, 0]), np.array([3, 2])).tolist()
        [5, 6, 7, 0, 1]
    """
    rows = np.flatnonzero(counts)
    if not rows.size:
        return starts[:0]
    starts, counts = starts.take(rows), counts.take(rows)
    ends = np.cumsum(counts)
    # A sum of ones and of steps from range to range takes half the time of `np.repeat`.
    numbers = np.ones(ends[-1], starts.dtype)
    numbers[0] = starts[0]
    numbers[ends[:-1]] = np.diff(starts) - counts[:-1] + 1
    return np.cumsum(numbers, dtype=starts.dtype, out=numbers)


def padded_size(n: int, least: int = 1, *, coarse: bool = False) -> int:
    """A number rounded up to a power of two, so that arrays of many sizes share few programs.

    `coarse` rounds up to powers of four as far as 1024; `least` is the answer for none.

    Examples:
        >>> [padded_size(n, 0, coarse=True) for n in (0, 1, 3, 17, 1000, 1025, 5000)]
        [0, 4, 4, 64, 1024, 2048, 8192]
    """
    if n <= 0:
        return least
    exponent = (n - 1).bit_length()
    if coarse and 1 << exponent <= _COARSE:
        exponent = max(2, exponent + exponent % 2)
    return max(least, 1 << exponent)


class Growing:
    """An array that grows at its end; at least eight zeros follow.

    Examples:
        >>> numbers = Growing(np.int32)
        >>> numbers.append(np.array([3, 4])), numbers.append(np.array([5])), numbers.size
        (0, 2, 3)
    """

    def __init__(self, dtype: Any) -> None:
        self.values, self.size = np.zeros(1024, dtype), 0

    def append(self, values: np.ndarray) -> int:
        """Appends values; where they start."""
        start, self.size = self.size, self.size + len(values)
        if self.size + 8 > len(self.values):
            grown = np.zeros(2 * self.size + 8, self.values.dtype)
            grown[:start] = self.values[:start]
            self.values = grown
        self.values[start : self.size] = values
        return start
