"""The rows of a classifier's input matrix on the host, and what words add up to."""

from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arrays import Growing, ranges
from ffjax._internal.memmap import release_array_pages
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.word_table import KeyedWords, WordTable
from ffjax.storage import Storage

# Numbers of a matrix that is decoded at once when as many rows have been read as it has.
_DECODED = 1 << 24
# Numbers that are multiplied at a time, which stay in a CPU's cache.
_BLOCK_NUMBERS = 1 << 16
# All rows are multiplied when more than this fraction has been; so many between releases of pages.
_FEW, _RELEASED_ROWS = 64, 1 << 16
NO_LABEL = -1


class HostRows:
    """The rows of a storage, for sums on the host.

    Args:
        storage: the storage.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage, self.dims, self.dtype = storage, storage.shape[1], np.float32
        self._matrix = storage.host_matrix()
        self._n_read, self._lock = 0, Lock()

    def read(self, ids: Any) -> np.ndarray:
        """Rows with these numbers."""
        if self._matrix is None:
            self._n_read += len(ids)
            rows, dims = self.storage.shape
            if self._n_read <= rows or rows * dims > _DECODED:
                return self.storage.read(ids)
            with self._lock:  # of several threads one decodes
                if self._matrix is None:
                    self._matrix = self.storage.read(slice(None))
        # `take` is faster, but would first copy all of a map, which is not aligned.
        return self._matrix.take(ids, 0) if self._matrix.flags.aligned else self._matrix[ids]

    def release(self) -> None:
        """Takes the pages of a map out of memory."""
        release_array_pages(self._matrix)

    def sums(self, ids: Ragged) -> np.ndarray:
        """The sums of the rows that each list names."""
        if self._matrix is not None:
            return ids.sum_rows(self._matrix)
        needed, index = np.unique(ids.values, return_inverse=True)
        return Ragged(index, ids.splits).sum_rows(self.read(needed))


class MultipliedRows:
    """Rows times the output matrix: a number for each label, computed when first needed.

    Once many rows have been needed all are computed, in the order of the file, which takes less
    time for a row; a map of the file then leaves memory.

    Args:
        rows: the rows.
        output: the output matrix.
    """

    def __init__(self, rows: HostRows, output: np.ndarray) -> None:
        self._rows, self._output = rows, output.astype(np.float64)
        self.dims, self.dtype = len(output), np.float64
        self._products = np.empty((len(rows.storage), len(output)))
        self._is_computed, self._n_computed = np.zeros(len(rows.storage), bool), 0
        self._lock = Lock()

    def read(self, ids: Any) -> np.ndarray:
        """The products of rows with these numbers."""
        self._compute(ids)
        return self._products[ids]

    def sums(self, ids: Ragged) -> np.ndarray:
        """The sums of the products of the rows that each list names."""
        self._compute(ids.values)
        return ids.sum_rows(self._products)

    def _compute(self, ids: np.ndarray) -> None:
        """Computes the products of these rows that have none yet, or of all such rows."""
        n_rows = len(self._products)
        if self._n_computed == n_rows:
            return
        with self._lock:
            missing = np.unique(ids[~self._is_computed[ids]])
            if self._n_computed + len(missing) > n_rows // _FEW:
                missing = np.flatnonzero(~self._is_computed)
            step = max(1, _BLOCK_NUMBERS // self._output.shape[1])
            for start in range(0, len(missing), step):
                block = missing[start : start + step]
                rows = self._rows.read(block).astype(np.float64)
                # Unlike a product of matrices by BLAS, it does not depend on the other rows.
                self._products[block] = np.einsum("ij,kj->ik", rows, self._output)
                if start % _RELEASED_ROWS < step:
                    self._rows.release()
            self._rows.release()
            self._is_computed[missing] = True
            self._n_computed += len(missing)


class Learned(NamedTuple):
    """What is added for words.

    Attributes:
        rows: the rows of each word, those of n-grams after those of words.
        sums: the sums of those rows.
        labels: the number of a label that is not a word.
        hashes: fastText's hashes.
    """

    rows: Ragged
    sums: np.ndarray
    labels: np.ndarray
    hashes: np.ndarray


class WordMemo:
    """Words of recent lines, and what is added for them; threads share it.

    Args:
        capacity: how many words there may be.
        dims: the length of the sums.
        dtype: their type.
    """

    def __init__(self, capacity: int, dims: int, dtype: Any) -> None:
        self.table = WordTable(capacity)
        self.sums = np.empty((capacity, dims), dtype)
        self.n_rows, self.labels = np.empty((2, capacity), np.int32)
        self.hashes = np.empty(capacity, np.uint32)
        self.has_labels = self.has_vocabulary = False
        self._rows, self._starts = Growing(np.int32), np.empty(capacity, np.int32)

    def add(self, words: KeyedWords, slots: np.ndarray, learned: Learned) -> np.ndarray:
        """The numbers of words, of which some may be equal, or have been added before."""
        numbers, new = self.table.add(words, slots)
        end = self.table.n_words
        span = slice(end - len(new), end)
        rows = learned.rows.take(new)
        self.sums[span], self.n_rows[span] = learned.sums[new], rows.counts
        self.labels[span], self.hashes[span] = learned.labels[new], learned.hashes[new]
        self.has_labels |= bool((learned.labels[new] != NO_LABEL).any())
        self._starts[span] = rows.splits[:-1] + self._rows.append(rows.values)
        return numbers

    def rows_of(self, words: Ragged) -> Ragged:
        """The rows of the words of each line."""
        starts, counts = self._starts.take(words.values), self.n_rows.take(words.values)
        ends = np.append(0, np.cumsum(counts))
        return Ragged(self._rows.values.take(ranges(starts, counts)), ends[words.splits])
