"""Dividing the rows of a file over devices: each process reads or composes only its own."""

import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Float32

from ffjax._internal.arrays import release_pages
from ffjax.storage.base import Storage
from ffjax.storage.composed import ComposedArray
from ffjax.storage.dense import unplaced
from ffjax.storage.sharded import ShardedArray


def divide(
    storage: Storage, sharding: NamedSharding
) -> tuple[ShardedArray, Float32[np.ndarray, " rows"] | None]:
    """The rows of a storage, divided; and the norms of rows that are composed when they are read.

    Each process composes the rows of its own devices. All processes get all norms.
    """
    if not isinstance(storage, ComposedArray):
        return ShardedArray(storage, sharding), None
    rows = _ComposedRows(storage)
    divided = ShardedArray(unplaced(rows), sharding)
    # Their blocks are those of the rows, so that each process gives the norms that it has computed.
    norms = ShardedArray(rows.norms, sharding)
    return divided, norms.read(slice(None))[:, 0]


class _ComposedRows:
    """The rows of a storage as an array that composes those that are read and notes their norms."""

    def __init__(self, storage: ComposedArray) -> None:
        self._storage, self.shape, self.dtype = storage, storage.shape, storage.dtype
        self.norms = np.ones((len(storage), 1), np.float32)

    def __getitem__(self, key: slice) -> np.ndarray:
        storage, (start, stop, _) = self._storage, key.indices(self.shape[0])
        border = min(max(start, storage.n_words), stop)
        units, self.norms[start:border, 0] = storage.units(np.arange(start, border))
        rows = np.concatenate([units, storage.read(slice(border, stop))])
        release_pages(storage)
        return rows
