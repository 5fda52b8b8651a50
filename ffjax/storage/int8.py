"""Storage of 8-bit whole numbers with a scale for each row, a quarter of the size of float32.

    row[i] = scales[i] * codes[i]        codes in -127 to 127, scales[i] = max(abs(row[i])) / 127

so a number is off by at most half a scale, and a row of zeros is one of zeros again.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int8, Int32

from ffjax._internal.pytree import equal, pytree
from ffjax._internal.pytree import replace as replace_fields
from ffjax._internal.types import AnyArray
from ffjax.kernels.gather_sum import nothing_yet
from ffjax.storage.arrays import check_array, check_out, checked_key, host_view, placed_array
from ffjax.storage.base import Storage

LARGEST = 127


@pytree()
@dataclass(frozen=True, eq=False, init=False, repr=False)
class Int8Array(Storage):
    """Rows of 8-bit whole numbers, each times its row's scale when it is read.

    NumPy arrays are copied to the default device, so that they can't change underneath; a memory map stays one, and a
    JAX array stays where it is. Nothing ever makes floats of all rows at once but `np.asarray(storage)`. Gradients go
    to the scales.

    Args:
        codes: the numbers, int8 `[rows, dims]`.
        scales: by what to multiply those of each row, float32 `[rows]`.

    Raises:
        TypeError: an array is of another type or rank.
        ValueError: there is not one scale for each row.

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
        for name, array, ndim, dtype in (("codes", codes, 2, "int8"), ("scales", scales, 1, "float32")):
            check_array(name, array, ndim, dtype, "`ffjax.quantize` makes both of vectors.")
        if scales.shape[0] != codes.shape[0]:
            raise ValueError(f"`scales`: expected {codes.shape[0]}, one for each row, got {scales.shape[0]}.")
        object.__setattr__(self, "codes", placed_array(codes))
        object.__setattr__(self, "scales", placed_array(scales))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return self.codes.shape  # type: ignore[return-value]

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers that are read: float32."""
        return np.dtype(np.float32)

    def rows(self, ids: Int32[Array, "*batch"]) -> Float32[Array, "*batch dims"]:
        """The rows with these numbers; numbers outside are clipped into range."""
        if self.shape[0] == 0:
            return jnp.zeros((*ids.shape, self.shape[1]), jnp.float32)
        codes = jnp.take(jnp.asarray(self.codes), ids, axis=0, mode="clip")
        return _scaled(codes, jnp.take(jnp.asarray(self.scales), ids, mode="clip"))

    def chunk(self, start: Int32[Array, ""] | int, size: int) -> Float32[Array, "size dims"]:
        """`size` rows from row `start` on."""
        codes, scales = (
            jax.lax.dynamic_slice_in_dim(jnp.asarray(array), start, size) for array in (self.codes, self.scales)
        )
        return _scaled(codes, scales)

    def sum_rows(self, ids: Int32[Array, "*batch slots"]) -> Float32[Array, "*batch dims"]:
        """The float32 sum of the rows named in each line of `ids`, those below zero left out."""
        total = nothing_yet(ids, self.shape[1])
        if self.shape[0] == 0:
            return total

        def add(total: Array, slot: Array) -> tuple[Array, None]:
            return total + jnp.where((slot >= 0)[..., None], self.rows(slot), jnp.float32(0)), None

        return jax.lax.scan(add, total, jnp.moveaxis(ids, -1, 0), unroll=8)[0]

    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows as a NumPy array that is the caller's own.

        Args:
            key: an `int`, a slice, or integers as a list or an array.
            out: where to write the answer, of the answer's shape.
        """
        key = checked_key(key)
        # On another device the rows asked for are fetched, never all.
        codes, scales = (
            np.asarray(array[key]) if host is None else host[key]
            for array, host in zip((self.codes, self.scales), self._host, strict=True)
        )
        check_out(out, codes.shape, np.float32)
        return np.multiply(codes, scales[..., None], out=out, dtype=np.float32, casting="same_kind")

    def __getitem__(self, key: Any) -> Any:
        """A storage of the rows of a slice, or rows as NumPy arrays for a number, a list or an array of numbers."""
        if isinstance(key, slice):
            return replace_fields(self, codes=self.codes[key], scales=self.scales[key])
        return self.embedding(key)

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, Int8Array) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _host(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        return host_view(self.codes), host_view(self.scales)


def rounded(
    rows: Float[np.ndarray, "n dims"],
) -> tuple[Int8[np.ndarray, "n dims"], Float32[np.ndarray, " n"]]:
    """Codes and scales that stand for rows, on the host.

    Args:
        rows: finite numbers; halves of a scale are rounded to even codes.

    Returns:
        `(codes, scales)`; a row of zeros, and one whose scale would be smaller than any float32, gets a scale of zero.
    """
    rows = np.asarray(rows, np.float32)
    scales = np.abs(rows).max(axis=1, initial=0) / np.float32(LARGEST)
    codes = rows / np.where(scales > 0, scales, np.float32(np.inf))[:, None]
    # The scales of the smallest rows are rounded much themselves, so that their codes could be too large.
    return np.clip(np.rint(codes, out=codes), -LARGEST, LARGEST, out=codes).astype(np.int8), scales


def _scaled(codes: Int8[Array, "*batch dims"], scales: Float32[Array, "*batch"]) -> Float32[Array, "*batch dims"]:
    return codes.astype(jnp.float32) * scales[..., None]
