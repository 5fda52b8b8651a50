"""Dense storage: a matrix."""

from functools import cached_property
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from ffjax._internal.arrays import AnyArray, placed_array
from ffjax._internal.memmap import RowsInFile
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_rows, scatter_add
from ffjax.kernels.top_k.rows import RowSource, of_matrix
from ffjax.storage.base import (
    Gradient,
    Ids,
    NewRows,
    RowArrays,
    RowKey,
    Slots,
    Vectors,
    written,
)

_DTYPES = ("float32", "bfloat16", "float16")


@final
@value()
class NdArray(RowArrays, kind="NdArray"):
    """A matrix of float32, bfloat16 or float16.

    A NumPy array is copied to the default device, so that it cannot change; a memory map stays one,
    and a JAX array stays where it is.

    Args:
        matrix: the rows, shape `[rows, dims]`.

    Raises:
        TypeError: if `matrix` is not a matrix of one of the types above.

    Examples:
        >>> import ffjax, numpy as np
        >>> storage = ffjax.NdArray(np.array([[1.0, 0.5], [0.5, 1.0]], dtype=np.float32))
        >>> storage.shape, storage[1], storage[:1]
        ((2, 2), array([0.5, 1. ], dtype=float32), NdArray(1 x 2))
    """

    row_arrays = ("matrix",)
    host_cost = 1

    matrix: Float[AnyArray, "rows dims"]

    def __init__(self, matrix: Any) -> None:
        check_matrix(matrix)
        set_fields(self, matrix=placed_array(matrix))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return self.matrix.shape  # type: ignore[return-value]

    @property
    def sums_are_linear(self) -> bool:
        """Whether sums are linear in the leaves of floats: yes."""
        return True

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.matrix.dtype

    def gather(self, ids: Ids) -> Vectors:
        """The rows with these numbers, in the storage's own dtype; numbers are clipped."""
        return gather_rows(jnp.asarray(self.matrix), ids)

    def add_gradient(self, gradient: Gradient, ids: Slots, cotangent: Vectors) -> Gradient:
        """Adds the cotangent to each row that `ids` names."""
        return (scatter_add(gradient[0], ids, lambda _: cotangent),)

    def row_source(self, n_rows: int) -> RowSource:
        """The rows as they are."""
        return of_matrix(jnp.asarray(self.matrix), n_rows)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows on the host; those of a large memory map are read from its file."""
        (matrix,) = self._readable
        if self._in_file is not None and not isinstance(ids, slice):
            rows = self._in_file.read(np.asarray(ids).reshape(-1))
            return written(rows.reshape(*np.shape(ids), self.shape[1]), out)
        if type(ids) is int and type(matrix) is np.ndarray and out is None:
            return matrix[ids].copy()  # the row of one word, for which every step counts
        if out is not None and isinstance(ids, np.ndarray) and isinstance(matrix, np.ndarray):
            if out.dtype == matrix.dtype:
                return np.take(matrix, ids, axis=0, out=out, mode="clip")  # "raise" would buffer
        if out is None and type(ids) is np.ndarray and type(matrix) is np.ndarray:
            return matrix.take(ids, 0)  # a third of the time of indexing, for few rows
        rows = np.asarray(matrix[ids])  # from another device only these rows
        if out is None and (rows.base is not None or not rows.flags.writeable):
            return rows.copy()  # a view of the matrix
        return written(rows, out)

    def view_rows(self, rows: RowKey) -> np.ndarray:
        """Rows on the host; a slice of a matrix there is not copied."""
        (matrix,) = self._readable
        return np.asarray(matrix[rows]) if isinstance(rows, slice) else self.read(rows)

    def encode(self, rows: NewRows) -> dict[str, np.ndarray]:
        """The rows as they are."""
        return {"matrix": rows}

    @classmethod
    def from_tree(cls, tree: Any) -> "NdArray":
        """The storage of a tree."""
        return cls(tree.array("matrix", 2, *_DTYPES))

    @property
    def reads_on_host(self) -> bool:
        """Whether the matrix is on the host."""
        return self.on_host and len(self) > 0

    def host_matrix(self) -> Float32[np.ndarray, "rows dims"] | None:
        """The matrix, if it is float32 and on the host."""
        (matrix,) = self._readable
        return matrix if isinstance(matrix, np.ndarray) and self.dtype == np.float32 else None

    @cached_property
    def _in_file(self) -> RowsInFile | None:
        return RowsInFile.of(self.matrix)


def unplaced(matrix: Any) -> NdArray:
    """The storage of an already checked matrix, left on its device."""
    storage = object.__new__(NdArray)
    set_fields(storage, matrix=matrix)
    return storage


def check_matrix(matrix: Any) -> None:
    """Checks what is to be the matrix of a storage."""
    if not isinstance(matrix, np.ndarray | jax.Array):
        raise TypeError(f"`matrix`: expected a NumPy or JAX array, got {type(matrix).__name__}.")
    if matrix.ndim != 2 or matrix.dtype.name not in _DTYPES or not matrix.dtype.isnative:
        raise TypeError(
            "`matrix`: expected 2 dimensions of float32, bfloat16 or float16, got "
            f"{matrix.ndim} of {matrix.dtype}. "
            "Convert it first, as in `np.asarray(x, dtype=np.float32)`."
        )
