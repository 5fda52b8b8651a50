"""What all storages share: rows of numbers that can be read, added up and handed to the host."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float, Int32

from ffjax._internal.chunk import Chunk


class Storage(Chunk, ABC):
    """Rows of numbers, one for each word or n-gram.

    Storages are immutable pytrees. `rows` and `sum_rows` are compiled code; indexing with `[...]` gives NumPy arrays.

    Attributes:
        row_arrays: the fields that have a row for each row of the storage, by which it can be divided over devices;
            none if it cannot.
    """

    row_arrays: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""

    @abstractmethod
    def rows(self, ids: Int32[Array, "*batch"]) -> Float[Array, "*batch dims"]:
        """The rows with these numbers (clipped into range), in compiled code."""

    @abstractmethod
    def chunk(self, start: Int32[Array, ""] | int, size: int) -> Float[Array, "size dims"]:
        """`size` rows from row `start` on, all of which exist, in compiled code; `start` may be traced.

        Search reads a storage through this and `rows` alone, a chunk at a time: whatever must be decoded is never
        decoded as a whole.
        """

    @abstractmethod
    def sum_rows(self, ids: Int32[Array, "*batch slots"]) -> Float[Array, "*batch dims"]:
        """The float32 sum of the rows named in each line of `ids`, those below zero left out; compiled code."""

    def sum_parts(self, ids: Int32[Array, "*batch slots"], *, whole: bool = False) -> Float[Array, "*batch dims"]:
        """As `sum_rows`, before what is linear and can be done once for a sum in many steps: `finish_sum` does that.

        With `whole` the caller knows that no id is below zero; a storage that gains by it does not look.
        """
        return self.sum_rows(ids)

    def finish_sum(self, total: Float[Array, "*batch dims"]) -> Float[Array, "*batch dims"]:
        """The sum of rows, given the sum of their `sum_parts`."""
        return total

    @abstractmethod
    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows as a NumPy array: one for an `int`, several for a slice, a list or an array of integers."""

    @abstractmethod
    def __getitem__(self, key: Any) -> Any:
        """A storage for a slice, NumPy arrays for anything else."""

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.embedding(row) for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The whole matrix; a quantized one is reconstructed."""
        return np.asarray(self.embedding(slice(None)), dtype=dtype)

    def __repr__(self) -> str:
        rows, dims = self.shape
        return f"{type(self).__name__}({rows} x {dims})"
