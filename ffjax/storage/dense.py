"""Dense storage: a matrix."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from ffjax._internal.memmap import RowsInFile
from ffjax._internal.pytree import equal, pytree
from ffjax._internal.pytree import replace as replace_fields
from ffjax._internal.types import AnyArray
from ffjax.kernels.gather_sum import sum_rows
from ffjax.kernels.top_k.row_source import of_matrix as source_of_matrix
from ffjax.storage.arrays import check_out, checked_key, host_view, placed_array
from ffjax.storage.base import Storage

_DTYPES = ("float32", "bfloat16", "float16")


@pytree()
@dataclass(frozen=True, eq=False, init=False, repr=False)
class NdArray(Storage):
    """A matrix of float32, bfloat16 or float16.

    A NumPy array is copied to the default device, so that it can't change underneath; a memory map stays one, and a
    JAX array stays where it is.

    Args:
        matrix: the rows, shape `[rows, dims]`.

    Raises:
        TypeError: `matrix` is not a matrix of one of the types above.

    Examples:
        >>> import ffjax, numpy as np
        >>> storage = ffjax.NdArray(np.array([[1.0, 0.5], [0.5, 1.0]], dtype=np.float32))
        >>> storage.shape, storage[1], storage[:1]
        ((2, 2), array([0.5, 1. ], dtype=float32), NdArray(1 x 2))
    """

    row_arrays: ClassVar[tuple[str, ...]] = ("matrix",)

    matrix: Float[AnyArray, "rows dims"]

    def __init__(self, matrix: Any) -> None:
        check_matrix(matrix)
        object.__setattr__(self, "matrix", placed_array(matrix))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return self.matrix.shape  # type: ignore[return-value]

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.matrix.dtype

    def rows(self, ids: Int32[Array, "*batch"]) -> Float[Array, "*batch dims"]:
        """The rows with these numbers, in the storage's own dtype; numbers outside are clipped into range."""
        matrix = jnp.asarray(self.matrix)
        if matrix.shape[0] == 0:
            return jnp.zeros((*ids.shape, matrix.shape[1]), matrix.dtype)
        return jnp.take(matrix, ids, axis=0, mode="clip")

    def chunk(self, start: Int32[Array, ""] | int, size: int) -> Float[Array, "size dims"]:
        """`size` rows from row `start` on, in the storage's own dtype."""
        return source_of_matrix(jnp.asarray(self.matrix)).chunk(start, size)

    def sum_rows(self, ids: Int32[Array, "*batch slots"]) -> Float[Array, "*batch dims"]:
        """The float32 sum of the rows named in each line of `ids`, those below zero left out."""
        return sum_rows(jnp.asarray(self.matrix), ids)

    def sum_parts(self, ids: Int32[Array, "*batch slots"], *, whole: bool = False) -> Float[Array, "*batch dims"]:
        """As `sum_rows`: there is nothing to finish."""
        return sum_rows(jnp.asarray(self.matrix), ids, whole=whole)

    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows as a NumPy array that is the caller's own.

        Args:
            key: an `int`, a slice, or integers as a list or an array.
            out: where to write the answer, of the answer's shape.
        """
        host, in_file = self._host, self._in_file
        if type(key) is int and out is None and host is not None and in_file is None:
            return host[key].copy()  # one word's row, asked for by its string: every step counts
        found = None
        if in_file is not None:
            found = _read(in_file, key, len(self))
        if found is None and host is not None:
            found = host[checked_key(key, columns=True)]
        elif found is None:
            # On another device the rows asked for are fetched, never the matrix.
            found = np.asarray(self.matrix[checked_key(key, columns=True)])
        check_out(out, found.shape, found.dtype)
        if out is None:
            # An array of row numbers has made a copy already.
            return np.array(found) if host is None or found.base is not None else found
        out[...] = found
        return out

    def __getitem__(self, key: Any) -> Any:
        """A storage of the rows of a slice, or rows as NumPy arrays for a number, a list or an array of numbers."""
        if isinstance(key, slice):
            return replace_fields(self, matrix=self.matrix[key])
        return self.embedding(key)

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, NdArray) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _host(self) -> np.ndarray | None:
        return host_view(self.matrix)

    @cached_property
    def _in_file(self) -> RowsInFile | None:
        return RowsInFile.of(self.matrix)


def of_matrix(matrix: Float[AnyArray, "rows dims"]) -> NdArray:
    """The storage of a matrix that was checked, which stays where it is: NumPy arrays too are not copied."""
    storage = object.__new__(NdArray)
    object.__setattr__(storage, "matrix", matrix)
    return storage


def _read(in_file: RowsInFile, key: Any, n_rows: int) -> np.ndarray | None:
    """Rows of a large map, or `None` for slices, masks, and what is none of its rows: NumPy knows what to do then."""
    ids = np.asarray(key)
    if isinstance(key, slice) or ids.dtype.kind not in "iu" or not ids.size or not _inside(ids, n_rows):
        return None
    flat = ids.reshape(-1)
    found = in_file.read(np.where(flat < 0, flat + n_rows, flat))
    return found[0] if ids.ndim == 0 else found.reshape(*ids.shape, -1)


def _inside(ids: np.ndarray, n_rows: int) -> bool:
    return bool(ids.min() >= -n_rows and ids.max() < n_rows)


def check_matrix(matrix: Any) -> None:
    """Checks what is to be the matrix of a storage.

    Raises:
        TypeError: it is no array of two dimensions, or of another type of numbers.
    """
    if not isinstance(matrix, np.ndarray | jax.Array):
        raise TypeError(f"`matrix`: expected a NumPy or JAX array, got {type(matrix).__name__}.")
    if matrix.ndim != 2 or matrix.dtype.name not in _DTYPES or not matrix.dtype.isnative:
        raise TypeError(
            f"`matrix`: expected 2 dimensions of float32, bfloat16 or float16, got {matrix.ndim} of "
            f"{matrix.dtype}. Convert it first, as in `np.asarray(x, dtype=np.float32)`."
        )
