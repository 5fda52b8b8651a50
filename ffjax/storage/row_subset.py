"""The few rows of any storage that a batch needs, as a dense one."""

import jax
import numpy as np
from jaxtyping import Int32, Integer

from ffjax._internal.arrays import padded_size
from ffjax._internal.distinct import distinct
from ffjax.storage.base import Storage
from ffjax.storage.dense import NdArray, unplaced


def read_subset(
    storage: Storage, ids: Integer[np.ndarray, "*batch"]
) -> tuple[NdArray, Integer[np.ndarray, " n_rows"], Int32[np.ndarray, "*batch"]]:
    """Reads the rows that `ids` name, each once; negative ids name none.

    Returns the rows, padded so that batches share compiled programs; their numbers in the storage;
    and the positions among them of the rows named, -1 for negative ids.
    """
    unique = distinct(ids[ids >= 0])
    positions = np.where(ids < 0, -1, np.searchsorted(unique, ids)).astype(np.int32)
    size = min(padded_size(len(unique), 0, coarse=True), max(len(storage), len(unique)))
    padded = np.resize(unique, size).astype(np.int64)  # repeats rows that are read anyway
    return unplaced(jax.device_put(storage.embedding(padded))), padded, positions
