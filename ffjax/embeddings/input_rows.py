"""The rows of a classifier's input matrix on the host, and what words add up to."""

from threading import Lock
from typing import Any

import jax
import numpy as np

from ffjax._internal.arrays import Growing, ranges
from ffjax._internal.memmap import release_array_pages
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.word_table import HashedWords, WordTable
from ffjax.storage import Storage

# A matrix of up to this many numbers is decoded whole once as many rows have been read as it has.
_DECODED = 1 << 24
# Numbers that are multiplied at a time, which stay in a CPU's cache.
_BLOCK_NUMBERS = 1 << 16
# All rows are multiplied once one in this many has been.
_FEW = 64
# The pages of a mapped file are released each time this many rows have been multiplied.
_RELEASED_ROWS = 1 << 16
NO_LABEL = -1


class InputRows:
    """The rows of a classifier's input matrix on the host: those of words, then those of n-grams.

    A small matrix is decoded into one array when as many rows have been read as it has.

    Args:
        words: the rows of words.
        ngrams: the rows of n-grams.
    """

    def __init__(self, words: Storage, ngrams: Storage) -> None:
        # On an accelerator each number of rows would need a program.
        words, ngrams = (x if x.is_mapped else jax.device_get(x) for x in (words, ngrams))
        self.n_words, self.dims = words.shape
        self.n_rows, self.dtype = len(words) + len(ngrams), np.float32
        self._storages = words, ngrams
        self._matrices = words.host_matrix(), ngrams.host_matrix()
        self._aligned = [x for x in self._matrices if x is not None and x.flags.aligned]
        self._matrix: np.ndarray | None = None
        self._n_read, self._lock = 0, Lock()

    def read(self, ids: np.ndarray) -> np.ndarray:
        """Rows with these numbers."""
        rows, is_word = np.empty((len(ids), self.dims), np.float32), ids < self.n_words
        rows[is_word] = self._read(0, ids[is_word])
        rows[~is_word] = self._read(1, ids[~is_word] - self.n_words)
        return rows

    def release(self) -> None:
        """Takes the pages of maps out of memory."""
        for matrix in self._matrices:
            release_array_pages(matrix)

    def sums(self, lists: Ragged, sums: np.ndarray | None = None) -> np.ndarray:
        """The sums of the rows that each list names, added to other sums in order.

        Without those, a list has the rows of words first, whose sum is added to that of n-grams.
        """
        is_word = lists.values < self.n_words
        if sums is None and len(self._aligned) == 2:
            words, ngrams = lists.only(is_word), lists.only(~is_word)
            ngrams = ngrams._replace(values=ngrams.values - self.n_words)
            return words.sum_rows(self._aligned[0]) + ngrams.sum_rows(self._aligned[1])
        matrix = self._one_matrix(len(lists.values))
        if matrix is None:
            needed, index = np.unique(lists.values, return_inverse=True)
            lists, matrix = lists._replace(values=index), self.read(needed)
        if sums is not None:
            return lists.sum_rows(matrix, sums)
        # In the same order wherever the rows are, so that answers do not depend on earlier lines.
        return lists.only(is_word).sum_rows(matrix) + lists.only(~is_word).sum_rows(matrix)

    def _read(self, number: int, ids: np.ndarray) -> np.ndarray:
        matrix = self._matrices[number]
        return self._storages[number].read(ids) if matrix is None else matrix[ids]

    def _one_matrix(self, n: int) -> np.ndarray | None:
        """All rows, decoded, if they are few and with `n` more as many have been read."""
        is_encoded = any(x is None for x in self._matrices)
        if self._matrix is None and is_encoded and self.n_rows * self.dims <= _DECODED:
            self._n_read += n
            with self._lock:  # of several threads one decodes
                if self._matrix is None and self._n_read > self.n_rows:
                    self._matrix = np.concatenate([x.read(slice(None)) for x in self._storages])
        return self._matrix


class MultipliedRows:
    """Rows times the output matrix: a number for each label, computed when first needed.

    Once many have been needed, all are computed in the order of the file, which takes less time a
    row, and the pages of a mapped file are released.

    Args:
        rows: the rows.
        output: the output matrix.
    """

    def __init__(self, rows: InputRows, output: np.ndarray) -> None:
        self._rows, self._output = rows, output.astype(np.float64)
        self.dims, self.dtype = len(output), np.float64
        self._products = np.empty((rows.n_rows, len(output)))
        self._is_computed, self._n_computed = np.zeros(rows.n_rows, bool), 0
        self._lock = Lock()

    def sums(self, lists: Ragged) -> np.ndarray:
        """The sums of the products of the rows that each list names."""
        self._compute(lists.values)
        return lists.sum_rows(self._products)

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
        self._is_complete = True
        self._rows, self._starts = Growing(np.int32), np.empty(capacity, np.int32)
        self.n_bytes = 0  # of words, their sums and the numbers of their rows

    def add(
        self,
        words: HashedWords,
        slots: np.ndarray,
        rows: Ragged,
        sums: np.ndarray,
        labels: np.ndarray,
        hashes: np.ndarray,
    ) -> np.ndarray:
        """The numbers of words, of which some may be equal, or have been added before.

        `slots` is where `table.find` looked for the words, `labels` the numbers of labels that are
        not words, and `hashes` fastText's.
        """
        self._is_complete = False
        self.n_bytes += sums.nbytes + rows.values.nbytes + int(words.lengths.sum())
        numbers, new = self.table.add(words, slots)
        end = self.table.n_words
        span = slice(end - len(new), end)
        self._starts[span] = rows.splits.take(new) + self._rows.append(rows.values)
        self.n_rows[span] = rows.counts.take(new)
        sums.take(new, 0, self.sums[span], "clip")
        self.labels[span], self.hashes[span] = labels.take(new), hashes.take(new)
        self.has_labels |= bool((labels != NO_LABEL).any())
        self._is_complete = True
        return numbers

    def has_room(self, n: int) -> bool:
        """Whether `n` more words fit; no more do after an error that left some without sums."""
        return self._is_complete and self.table.has_room(n)

    def rows_of(self, words: Ragged) -> Ragged:
        """The rows of the words of each line."""
        starts, splits = self._starts.take(words.values), self.row_splits(words)
        values = self._rows.values.take(ranges(starts, np.diff(splits)))
        return Ragged(values, splits[words.splits])

    def row_splits(self, words: Ragged) -> np.ndarray:
        """Where the rows of each word begin among those of all words, and the end of the last."""
        return np.append(0, np.cumsum(self.n_rows.take(words.values)))
