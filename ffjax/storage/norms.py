"""The lengths that word vectors had before they were scaled to unit length."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.chunk import Chunk
from ffjax._internal.pytree import set_fields, value


@value()
class Norms(Chunk):
    """The length of each word's vector before it was scaled to unit length.

    Args:
        array: one length for each word's row, float32 `[rows]`.

    Raises:
        TypeError: `array` is not 1-dimensional float32.

    Examples:
        >>> import ffjax, numpy as np
        >>> norms = ffjax.Norms(np.array([1.0, 2.5], dtype=np.float32))
        >>> len(norms), float(norms[1])
        (2, 2.5)
    """

    array: Float32[AnyArray, " rows"]

    def __init__(self, array: Any) -> None:
        if not isinstance(array, np.ndarray | jax.Array) or array.ndim != 1 or array.dtype != np.float32:
            got = f"{array.ndim} of {array.dtype}" if hasattr(array, "dtype") else type(array).__name__
            raise TypeError(f"`array`: expected 1 dimension of float32, got {got}.")
        if isinstance(array, np.ndarray):
            array = jax.numpy.array(array)
        set_fields(self, array=array)

    @classmethod
    def computed(cls, n: int, lengths: Callable[[Any], Any]) -> "Norms":
        """Norms that are computed when asked for, as those of a memory map whose rows are composed when read.

        Single norms are computed one at a time. Whoever needs the whole `array`, such as JAX when it is a part of a
        pytree, has it made, once.

        Args:
            n: how many.
            lengths: the norms at an index: a float32 for an `int`, float32 arrays for slices and arrays.
        """
        norms = object.__new__(cls)
        norms.__dict__.update(_n=n, _lengths=lengths)
        return norms

    def __getattr__(self, name: str) -> Any:
        # Only reached for what an instance lacks, so for the array of computed norms when it is first needed.
        lengths = self.__dict__.get("_lengths")
        if name != "array" or lengths is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        array = jax.numpy.asarray(lengths(slice(None)))
        set_fields(self, array=array)
        return array

    @property
    def on_demand(self) -> bool:
        """Whether the norms have yet to be computed."""
        return "array" not in self.__dict__

    @property
    def shape(self) -> tuple[int]:
        """The number of norms."""
        return (len(self),)

    def __len__(self) -> int:
        n = self.__dict__.get("_n")
        return self.array.shape[0] if n is None else n

    def __getitem__(self, key: Any) -> Any:
        """`Norms` for a slice, NumPy numbers or arrays for anything else."""
        found = self._lengths(key) if self.on_demand else self._host[key]
        return Norms(found) if isinstance(key, slice) else found

    def __iter__(self) -> Iterator[np.float32]:
        return iter(self._host)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._host, dtype=dtype)

    def __repr__(self) -> str:
        return f"Norms({len(self)})"

    @cached_property
    def _host(self) -> np.ndarray:
        return np.asarray(self.array)
