"""The rows of a classifier's input matrix on the host, and what words add up to."""

from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arrays import Growing
from ffjax.kernels.label_scores_numpy import logits
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.word_table import WordTable
from ffjax.storage import Storage

# Numbers of a matrix that is decoded at once, and not row by row when they are needed.
DECODED = 1 << 24


class HostRows:
    """The rows of a storage, for sums on the host.

    Args:
        storage: the storage.
        matrix: the rows, if they are not those of the storage.
    """

    def __init__(self, storage: Storage, matrix: np.ndarray | None = None) -> None:
        self.storage = storage
        self.matrix = storage.host_matrix() if matrix is None else matrix
        self._lock = Lock()

    def read(self, ids: Any) -> np.ndarray:
        """Rows with these numbers."""
        return self.storage.read(ids) if self.matrix is None else self.matrix[ids]

    def sums(self, ids: Ragged) -> np.ndarray:
        """The sums of the rows that each list names."""
        rows, dims = self.storage.shape
        if self.matrix is None and rows < len(ids.values) and rows * dims <= DECODED:
            with self._lock:  # of several threads one decodes
                if self.matrix is None:
                    self.matrix = self.storage.read(slice(None))
        if self.matrix is not None:
            return ids.sum_rows(self.matrix)
        needed, index = np.unique(ids.values, return_inverse=True)
        return Ragged(index, ids.splits).sum_rows(self.storage.read(needed))

    def times(self, output: np.ndarray) -> "HostRows":
        """The products of all rows with those of the output matrix."""
        # In float64 it does not matter in which order they are added.
        products = np.empty((len(self.storage), len(output)), np.float64)
        for first, rows in self.storage.row_blocks():
            products[first : first + len(rows)] = logits(output, rows).T
        return HostRows(self.storage, products)


class InputRows(NamedTuple):
    """The rows of a classifier's input matrix.

    Attributes:
        words: those of words.
        ngrams: those of n-grams.
        output: the output matrix if they have been multiplied by it.
    """

    words: HostRows
    ngrams: HostRows
    output: np.ndarray | None = None


class WordMemo:
    """Words of recent lines, and what is added for them.

    Args:
        capacity: how many words there may be.
        rows: the rows that are added.
        dims: their length.
    """

    def __init__(self, capacity: int, rows: InputRows, dims: int) -> None:
        self.table, self.input = WordTable(capacity), rows
        dtype = np.float32 if rows.output is None else np.float64
        self.sums = np.empty((capacity, dims), dtype)
        self.n_rows, self.labels = np.empty((2, capacity), np.int32)
        self.hashes = np.empty(capacity, np.uint32)
        self.are_words = True  # and none is a label
        # The rows themselves, those of n-grams after those of words.
        self.rows, self.first_rows = Growing(np.int32), np.empty(capacity, np.int64)
