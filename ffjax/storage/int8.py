"""Storage of 8-bit whole numbers with a scale for each row, a quarter of the size of float32.

    row[i] = scales[i] * codes[i]    codes in -127 to 127, scales[i] = max(abs(row[i])) / 127

so a number is off by at most half a scale, and a row of zeros stays one.
"""

from functools import cached_property
from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int8, Int32, Integer

from ffjax._internal.arguments import check_array
from ffjax._internal.arrays import AnyArray, host_view, placed_array
from ffjax._internal.pytree import set_fields, value
from ffjax._internal.snapshot_value import TreeReader
from ffjax.kernels.gather_sum import gather_rows, gather_sum, scatter_add
from ffjax.kernels.top_k.row_source import RowSource
from ffjax.storage.base import Gradient, RowArrays, Storage

_LARGEST = 127


@final
@value()
class Int8Array(RowArrays, kind="Int8Array"):
    """Rows of 8-bit whole numbers, each times its row's scale when it is read.

    NumPy arrays are copied to the default device, so that they cannot change; a memory map stays
    one, and a JAX array stays where it is. Only `np.asarray(storage)` makes floats of all rows at
    once. Gradients go to the scales.

    Args:
        codes: the numbers, int8 `[rows, dims]`.
        scales: what to multiply those of each row by, float32 `[rows]`.

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

    row_arrays: ClassVar[tuple[str, ...]] = ("codes", "scales")

    codes: Int8[AnyArray, "rows dims"]
    scales: Float32[AnyArray, " rows"]

    def __init__(self, codes: Any, scales: Any) -> None:
        hint = "`ffjax.quantize` makes both of vectors."
        check_array("codes", codes, 2, "int8", hint)
        check_array("scales", scales, 1, "float32", hint)
        if scales.shape[0] != codes.shape[0]:
            raise ValueError(
                f"`scales`: expected {codes.shape[0]}, one for each row, got {scales.shape[0]}."
            )
        set_fields(self, codes=placed_array(codes), scales=placed_array(scales))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return self.codes.shape  # type: ignore[return-value]

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers that are read: float32."""
        return np.dtype(np.float32)

    def gather(self, ids: Integer[AnyArray, "*batch"]) -> Float32[Array, "*batch dims"]:
        """The rows with these numbers; numbers are clipped into range."""
        codes = gather_rows(jnp.asarray(self.codes), ids)
        return _scaled(codes, gather_rows(jnp.asarray(self.scales), ids))

    def partial_sum(
        self, ids: Int32[Array, "*batch slots"], *, all_valid: bool = False
    ) -> Float32[Array, "*batch dims"]:
        """As `gather_sum`: there is nothing to finish."""
        return gather_sum(self.gather, ids, self.shape[1], all_valid=all_valid)

    def finish_sum(self, total: Float32[Array, "*batch dims"]) -> Float32[Array, "*batch dims"]:
        """The sum as it is."""
        return total

    def add_gradient(
        self,
        gradient: Gradient,
        ids: Int32[Array, "batch slots"],
        cotangent: Float32[Array, "batch dims"],
    ) -> Gradient:
        """Adds the product of the cotangent and the codes to the scale of each row in `ids`."""
        codes = jnp.asarray(self.codes)

        def products(rows: Array) -> Array:
            return (gather_rows(codes, rows).astype(jnp.float32) * cotangent).sum(-1)

        return (scatter_add(gradient[0], ids, products),)

    def row_source(self, n_rows: int) -> RowSource:
        """The rows, scaled in chunks."""
        arrays = jnp.asarray(self.codes), jnp.asarray(self.scales)

        def chunk(start: Array | int, size: int) -> Array:
            codes, scales = (lax.dynamic_slice_in_dim(array, start, size) for array in arrays)
            return _scaled(codes, scales)

        return RowSource(n_rows, chunk, self.gather)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows on the host."""
        codes, scales = self._host
        # From another device these rows are fetched, not all.
        codes = np.asarray(self.codes[ids]) if codes is None else codes[ids]
        scales = np.asarray(self.scales[ids]) if scales is None else scales[ids]
        return np.multiply(
            codes, scales[..., None], out=out, dtype=np.float32, casting="same_kind"
        )

    def concat(self, rows: Float[np.ndarray, "n dims"], at: int | None = None) -> Storage:
        """A storage in memory with more rows, rounded to codes and scales of their own."""
        codes, scales = rounded(rows)
        return self.inserted(at, codes=codes, scales=scales)

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        return {"kind": self.kind, "codes": self.codes, "scales": self.scales}

    @classmethod
    def from_tree(cls, tree: TreeReader) -> "Int8Array":
        """The storage of a tree."""
        return tree.made(cls, tree.array("codes", 2, "int8"), tree.array("scales", 1, "float32"))

    @cached_property
    def _host(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        return host_view(self.codes), host_view(self.scales)


def rounded(
    rows: Float[np.ndarray, "n dims"],
) -> tuple[Int8[np.ndarray, "n dims"], Float32[np.ndarray, " n"]]:
    """Codes and scales that stand for finite rows; halves of a scale go to even codes."""
    rows = np.asarray(rows, np.float32)
    scales = np.abs(rows).max(axis=1, initial=0) / np.float32(_LARGEST)
    # A row whose scale would be smaller than any float32 becomes one of zeros.
    codes = rows / np.where(scales > 0, scales, np.float32(np.inf))[:, None]
    # The smallest scales are rounded much themselves, so that codes could be too large.
    np.clip(np.rint(codes, out=codes), -_LARGEST, _LARGEST, out=codes)
    return codes.astype(np.int8), scales


def _scaled(
    codes: Int8[Array, "*batch dims"], scales: Float32[Array, "*batch"]
) -> Float32[Array, "*batch dims"]:
    return codes.astype(jnp.float32) * scales[..., None]
