"""The few rows that a batch needs, read from a storage that is not on the device."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer

from ffjax._internal.arrays import padded_size
from ffjax.storage.base import Storage
from ffjax.storage.dense import NdArray


class RowSubset(NamedTuple):
    """Some rows of a storage."""

    rows: NdArray  # padded so that batches share compiled programs
    ids: Integer[np.ndarray, " n_rows"]  # their numbers in the storage
    positions: Int32[np.ndarray, "*batch"]  # of what was requested; -1 where that was negative


def read_subset(storage: Storage, ids: Integer[np.ndarray, "*batch"]) -> RowSubset:
    """Reads the rows that `ids` name, each once; negative ids name none."""
    unique = np.unique(ids[ids >= 0])
    positions = np.where(ids < 0, -1, np.searchsorted(unique, ids)).astype(np.int32)
    size = min(padded_size(len(unique), 0, coarse=True), max(len(storage), len(unique)))
    padded = np.resize(unique, size).astype(np.int64)  # repeats rows that are read anyway
    return RowSubset(NdArray(storage.embedding(padded)), padded, positions)
