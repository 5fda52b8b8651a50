"""Lists of different lengths in one array, in NumPy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from ffjax._internal.arrays import ranges


class Ragged(NamedTuple):
    """Lists of numbers.

    Attributes:
        values: the numbers of all lists, one list after the other, `[n_values]`.
        splits: list i is `values[splits[i]:splits[i + 1]]`, int64 `[n + 1]`.

    Examples:
        >>> lists = Ragged(np.array([5, 6, 7]), np.array([0, 2, 2, 3]))
        >>> lists.counts.tolist(), lists.take(np.array([2, 0])).values.tolist()
        ([2, 0, 1], [7, 5, 6])
        >>> lists.joined(lists).values.tolist(), lists.only(lists.values > 5).splits.tolist()
        ([5, 6, 5, 6, 7, 7], [0, 1, 1, 2])
    """

    values: np.ndarray
    splits: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, counts: np.ndarray) -> "Ragged":
        """Lists of so many values each."""
        return cls(values, np.append(0, np.cumsum(counts)))

    @classmethod
    def concat(cls, lists: "Sequence[Ragged]") -> "Ragged":
        """The lists of several, in order."""
        counts = np.concatenate([x.counts for x in lists])
        return cls.of(np.concatenate([x.values for x in lists]), counts)

    @property
    def counts(self) -> np.ndarray:
        """How many numbers each list has, int64 `[n]`."""
        return np.diff(self.splits)

    def take(self, lists: np.ndarray) -> "Ragged":
        """Some of the lists."""
        counts = self.counts[lists]
        return Ragged.of(self.values[ranges(self.splits[lists], counts)], counts)

    def only(self, mask: np.ndarray) -> "Ragged":
        """The lists with only those values for which the mask is true."""
        positions = np.flatnonzero(mask)  # several times as fast as a mask if few are true
        dtype = np.int32 if len(mask) < 1 << 31 else np.int64  # several times as fast if short
        splits = np.append(0, np.cumsum(mask, dtype=dtype)).take(self.splits)
        return Ragged(self.values.take(positions), splits.astype(np.int64))

    def first(self, n: int | None) -> "Ragged":
        """The lists cut after `n` values; as they are for `None`."""
        return self if n is None else self.between(0, n)

    def between(self, start: int, end: int) -> "Ragged":
        """The values of each list at positions from `start` up to `end`.

        Examples:
            >>> lists = Ragged(np.array([5, 6, 7]), np.array([0, 2, 2, 3]))
            >>> lists.between(1, 9)
            Ragged(values=array([6]), splits=array([0, 1, 1, 1]))
        """
        counts = self.counts
        if start == 0 and counts.max(initial=0) <= end:
            return self
        counts = np.clip(counts - start, 0, end - start)
        return Ragged.of(self.values[ranges(self.splits[:-1] + start, counts)], counts)

    def joined(self, other: "Ragged") -> "Ragged":
        """Each list followed by the same list of `other`."""
        splits = self.splits + other.splits
        values = np.empty(splits[-1], np.result_type(self.values, other.values))
        values[ranges(splits[:-1], self.counts)] = self.values
        values[ranges(splits[:-1] + self.counts, other.counts)] = other.values
        return Ragged(values, splits)

    def replaced(self, lists: "Ragged") -> "Ragged":
        """The lists, each number replaced by the list of that number."""
        taken = lists.take(self.values)
        return Ragged(taken.values, taken.splits[self.splits])

    def sum_rows(
        self,
        rows: Float[np.ndarray, "n_rows dims"],
        sums: Float[np.ndarray, "n dims"] | None = None,
    ) -> Float[np.ndarray, "n dims"]:
        """The sum of the rows that each list names, added in its order, to other sums if given.

        The product of a sparse matrix of ones with the rows takes a tenth of the time of
        `np.add.reduceat`, and reads the rows in place; with other sums it reads a copy of them.
        """
        n, n_values = len(self.splits) - 1, len(self.values)
        if sums is not None:
            # The product adds to zeros, so each list begins with the number of its other sum.
            numbers = np.insert(np.arange(n, n + n_values), self.splits[:-1], np.arange(n))
            terms = np.empty((n + n_values, rows.shape[1]), rows.dtype)
            terms[:n] = sums
            rows.take(self.values, 0, out=terms[n:], mode="clip")
            return Ragged(numbers, self.splits + np.arange(n + 1)).sum_rows(terms)
        ones = np.ones(n_values, rows.dtype)
        return csr_array((ones, self.values, self.splits), (n, len(rows))) @ rows
