"""Storage of 8-bit whole numbers with a scale for each row, a quarter of the size of float32.

    row[i] = scales[i] * codes[i]    codes in -127 to 127, scales[i] = max(abs(row[i])) / 127

so a number is off by at most half a scale, and a row of zeros stays one.
"""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float32, Int8

from ffjax._internal.arguments import check_array
from ffjax._internal.arrays import AnyArray, placed_array
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_rows, scatter_add
from ffjax.kernels.top_k.rows import RowSource
from ffjax.storage.base import Gradient, Ids, NewRows, RowArrays, Slots, Vectors

_LARGEST = 127


@final
@value()
class Int8Array(RowArrays, kind="Int8Array"):
    """Rows of 8-bit integers, multiplied by the scale of their row when read.

    NumPy arrays are copied to the default device, so that they cannot change; a memory map stays
    one, and a JAX array stays where it is. Only `np.asarray(storage)` makes floats of all rows at
    once. Gradients go to the scales.

    Args:
        codes: the numbers, int8 `[rows, dims]`.
        scales: the factor of each row, float32 `[rows]`.

    Raises:
        TypeError: if an array has another type or rank.
        ValueError: if there is not one scale for each row.

    Examples:
        >>> import ffjax, numpy as np
        >>> codes, scales = np.array([[127, -64], [0, 0]], np.int8), np.array([0.5, 0], np.float32)
        >>> storage = ffjax.Int8Array(codes, scales)
        >>> storage.shape, storage[0], storage[:1]
        ((2, 2), array([ 63.5, -32. ], dtype=float32), Int8Array(1 x 2))
    """

    row_arrays = ("codes", "scales")

    codes: Int8[AnyArray, "rows dims"]
    scales: Float32[AnyArray, " rows"]

    def __init__(self, codes: Any, scales: Any) -> None:
        hint = "`ffjax.quantize` makes both of vectors."
        check_array("codes", codes, 2, "int8", hint)
        check_array("scales", scales, 1, "float32", hint, rows=codes.shape[0])
        set_fields(self, codes=placed_array(codes), scales=placed_array(scales))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return self.codes.shape  # type: ignore[return-value]

    @property
    def sums_are_linear(self) -> bool:
        """Whether sums are linear in the leaves of floats: yes, in the scales."""
        return True

    def gather(self, ids: Ids) -> Vectors:
        """The rows with these numbers; numbers are clipped into range."""
        codes = gather_rows(jnp.asarray(self.codes), ids)
        return _scaled(codes, gather_rows(jnp.asarray(self.scales), ids))

    def add_gradient(self, gradient: Gradient, ids: Slots, cotangent: Vectors) -> Gradient:
        """Adds the product of the cotangent and the codes to the scale of each row in `ids`."""
        codes = jnp.asarray(self.codes)

        def products(rows: Array) -> Array:
            return (gather_rows(codes, rows).astype(jnp.float32) * cotangent).sum(-1)

        return (scatter_add(gradient[0], ids, products),)

    def row_source(self, n_rows: int) -> RowSource:
        """The rows, scaled in chunks."""
        arrays = jnp.asarray(self.codes), jnp.asarray(self.scales)

        def chunk(start: Array | int, size: int) -> Array:
            return _scaled(*(lax.dynamic_slice_in_dim(array, start, size) for array in arrays))

        return RowSource(n_rows, chunk, self.gather)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows on the host."""
        codes, scales = self.read_arrays(ids)
        scales = scales[..., None]
        return np.multiply(codes, scales, out=out, dtype=np.float32, casting="same_kind")

    def encode(self, rows: NewRows) -> dict[str, np.ndarray]:
        """The rows rounded to codes and scales of their own."""
        codes, scales = rounded(rows)
        return {"codes": codes, "scales": scales}

    @classmethod
    def from_tree(cls, tree: Any) -> "Int8Array":
        """The storage of a tree."""
        return tree.made(cls, tree.array("codes", 2, "int8"), tree.array("scales", 1, "float32"))


def rounded(rows: NewRows) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales that stand for finite rows; halves of a scale go to even codes."""
    rows = np.asarray(rows, np.float32)
    scales = np.abs(rows).max(axis=1, initial=0) / np.float32(_LARGEST)
    # A row whose scale would be smaller than any float32 becomes one of zeros.
    codes = rows / np.where(scales > 0, scales, np.float32(np.inf))[:, None]
    # The smallest scales are rounded much themselves, so that codes could be too large.
    np.clip(np.rint(codes, out=codes), -_LARGEST, _LARGEST, out=codes)
    return codes.astype(np.int8), scales


def _scaled(codes: Array, scales: Array) -> Array:
    return codes.astype(jnp.float32) * scales[..., None]
