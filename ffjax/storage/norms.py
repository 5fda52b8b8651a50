"""The norms that word vectors had before they were scaled to unit length."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from ffjax._internal.arguments import check_array
from ffjax._internal.arrays import AnyArray, on_host, placed_array
from ffjax._internal.chunk import Chunk
from ffjax._internal.pytree import set_fields, value


@value(static=("n_rows",))
class Norms(Chunk):
    """The norm of each word's vector before it was scaled to unit length.

    Norms are stored in an array, or belong to a storage that composes its rows when they are read.
    Such a storage knows the norm of a row only then; single norms are computed one at a time, and
    all of them when `array` is first read.

    Args:
        array: one norm for each word's row, float32 `[rows]`. A memory map is not copied.

    Raises:
        TypeError: if `array` is not 1-dimensional float32.

    Examples:
        >>> import ffjax, numpy as np
        >>> norms = ffjax.Norms(np.array([1.0, 2.5], dtype=np.float32))
        >>> len(norms), float(norms[1])
        (2, 2.5)
    """

    stored: Float32[AnyArray, " rows"] | None
    storage: Any
    n_rows: int

    def __init__(self, array: Any) -> None:
        check_array("array", array, 1, "float32")
        set_fields(self, stored=placed_array(array), storage=None, n_rows=array.shape[0])

    @classmethod
    def of_storage(cls, storage: Any, n_rows: int) -> "Norms":
        """The norms of the first rows of a `ComposedArray`, computed when they are asked for."""
        return _unchecked(None, storage, n_rows)

    @classmethod
    def view(cls, array: np.ndarray) -> "Norms":
        """Norms that stay where they are, and may still be written to."""
        return _unchecked(array, None, len(array))

    @property
    def on_demand(self) -> bool:
        """Whether the norms belong to a storage."""
        return self.stored is None

    @cached_property
    def array(self) -> Float32[AnyArray, " rows"]:
        """All norms."""
        if self.stored is not None:
            return self.stored
        return jnp.asarray(self.storage.lengths(slice(0, self.n_rows)))

    @property
    def shape(self) -> tuple[int]:
        """The number of norms."""
        return (len(self),)

    def with_rows(self, storage: Any, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Words' rows of a storage and their norms; a storage of norms composes both at once."""
        if self.storage is storage:
            return storage.units(ids)
        return storage.read(ids), self[ids]

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, key: Any) -> Any:
        """`Norms` for a slice, NumPy numbers or arrays for anything else."""
        norms = self.storage.lengths(key) if self.stored is None else self._host[key]
        return Norms(norms) if isinstance(key, slice) else norms

    def __iter__(self) -> Iterator[np.float32]:
        return iter(self._host)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._host, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Norms({len(self)})"

    @cached_property
    def _host(self) -> np.ndarray:
        return on_host(self.array)


def _unchecked(stored: Any, storage: Any, n_rows: int) -> Norms:
    norms = object.__new__(Norms)
    set_fields(norms, stored=stored, storage=storage, n_rows=n_rows)
    return norms


def read_vectors(storage: Any, norms: Norms | None, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Writes rows of a storage, times their norms if there are any; ids below zero name none."""
    exist = np.flatnonzero(ids >= 0)
    if norms is None:
        out[exist] = storage.read(ids[exist])
    else:
        rows, scale = norms.with_rows(storage, ids[exist])
        out[exist] = rows.astype(np.float32, copy=False) * scale[:, None]
    return out
