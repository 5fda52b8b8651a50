"""FastText's hashed n-grams of which only some have kept their rows.

fastText shrinks a classifier by keeping the n-grams with the longest rows, and stores which bucket
each of those rows was. Other n-grams have no row.
"""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from ffjax._internal.arrays import AnyArray, on_host
from ffjax._internal.file_arguments import shown
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.ngram_hashes import BYTES, Tile
from ffjax.kernels.ngrams_numpy import Line, Ngrams, fasttext_states
from ffjax.kernels.ragged import Ragged
from ffjax.vocab.ngrams.base import NgramIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer


@value()
class PrunedIndexer(NgramIndexer, kind="PrunedIndexer"):
    """Hashes n-grams as `FastTextIndexer` does; buckets that were not kept have no row.

    Args:
        hashing: the n-gram range and the number of buckets before pruning.
        buckets: the bucket of each row that was kept, each once, whole numbers `[n_rows]`.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if a bucket is out of range or occurs twice.

    Examples:
        >>> import ffjax
        >>> hashing = ffjax.FastTextIndexer(1000)
        >>> hashing.subword_indices("tea")
        [191, 59, 8, 757, 337, 895]
        >>> pruned = ffjax.PrunedIndexer(hashing, [8, 191])
        >>> pruned.subword_indices("tea"), pruned("<te"), pruned("tea>"), pruned.upper_bound
        ([1, 0], 0, None, 2)
    """

    rule = BYTES

    hashing: FastTextIndexer
    buckets: Int32[AnyArray, " n_rows"]
    order: Int32[AnyArray, " n_rows"]

    def __init__(self, hashing: FastTextIndexer, buckets: Any) -> None:
        if not isinstance(hashing, FastTextIndexer):
            raise TypeError(f"`hashing`: expected a FastTextIndexer, got {shown(hashing)}.")
        buckets = np.asarray(buckets)
        if buckets.ndim != 1 or (buckets.size and buckets.dtype.kind not in "iu"):
            got = f"{buckets.ndim} of {buckets.dtype}"
            raise TypeError(f"`buckets`: expected 1 dimension of whole numbers, got {got}.")
        order = np.argsort(buckets, kind="stable").astype(np.int32)
        ascending = buckets[order]
        bound = min(hashing.n_buckets, 2**31)
        if buckets.size and (ascending[0] < 0 or ascending[-1] >= bound):
            got = f"{ascending[0]} to {ascending[-1]}"
            raise ValueError(f"`buckets`: expected 0 to {bound - 1}, got {got}.")
        if twice := np.flatnonzero(ascending[1:] == ascending[:-1]).tolist():
            raise ValueError(f"`buckets`: expected each once, got {ascending[twice[0]]} twice.")
        arrays = {"buckets": ascending.astype(np.int32), "order": order}
        set_fields(self, hashing=hashing, **jax.device_put(arrays))

    # Without annotations, which would make them fields.
    min_n = property(lambda self: self.hashing.min_n, doc="As in `hashing`.")  # type: ignore
    max_n = property(lambda self: self.hashing.max_n, doc="As in `hashing`.")  # type: ignore
    n_buckets = property(lambda self: self.hashing.n_buckets, doc="Buckets before pruning.")
    skip_edge_unigrams = property(  # type: ignore[assignment]
        lambda self: self.hashing.skip_edge_unigrams, doc="As in `hashing`."
    )

    @property
    def upper_bound(self) -> int:  # type: ignore[override]
        """The number of rows: one for each bucket that was kept."""
        return self.order.shape[0]

    @property
    def kept_buckets(self) -> Int32[np.ndarray, " n_rows"]:
        """The bucket of each row."""
        by_row = np.empty(self.upper_bound, np.int32)
        by_row[on_host(self.order)] = on_host(self.buckets)
        return by_row

    def device_ids(self, tile: Tile) -> Array:
        """The rows of the n-grams at each start of a tile, -1 for none; compiled code."""
        return self.device_rows(self.hashing.device_ids(tile))

    def device_rows(self, buckets: Int32[Array, "*shape"]) -> Int32[Array, "*shape"]:
        """The rows of buckets, -1 for those without, and for -1; compiled code."""
        if self.upper_bound == 0:
            return jnp.full_like(buckets, -1)
        index = jnp.searchsorted(jnp.asarray(self.buckets), buckets).astype(jnp.int32)
        index = jnp.minimum(index, self.upper_bound - 1)
        exist = (jnp.asarray(self.buckets)[index] == buckets) & (buckets >= 0)
        return jnp.where(exist, jnp.asarray(self.order)[index], -1)

    def host_ids(self, line: Line, ngrams: Ngrams) -> np.ndarray:
        """The rows of some n-grams, -1 for none."""
        return self.host_rows(self.hashing.host_ids(line, ngrams))

    def __call__(self, ngram: str) -> int | None:
        """The row of an n-gram, or `None`."""
        row = int(self.host_rows(np.array([self.hashing(ngram)]))[0])
        return None if row < 0 else row

    def host_rows(self, buckets: np.ndarray) -> np.ndarray:
        """The rows of buckets, -1 for those without, int32; buckets of -1 have none."""
        if buckets.size > self.upper_bound or "_row_of_bucket" in vars(self):
            return self._row_of_bucket.take(buckets)
        sorted_buckets, order = self._host
        if not len(order):
            return np.full(buckets.shape, -1, np.int32)
        buckets = buckets.astype(np.int32)
        index = np.minimum(np.searchsorted(sorted_buckets, buckets), len(order) - 1)
        return np.where(sorted_buckets[index] == buckets, order[index], np.int32(-1))

    def have_rows(self, buckets: np.ndarray) -> np.ndarray:
        """Which buckets, uint32, have rows; bool."""
        if buckets.size * 16 < self.upper_bound and "_bits" not in vars(self):
            return self.host_rows(buckets) >= 0
        # A bit for each bucket stays in the cache, where a row for each does not.
        bits = self._bits.take(buckets >> 3) >> (buckets & 7).astype(np.uint8) & 1
        return bits.view(bool)

    def __repr__(self) -> str:
        counts = f"{self.upper_bound} of {self.n_buckets} buckets"
        return f"PrunedIndexer({counts}, min_n={self.min_n}, max_n={self.max_n})"

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        return {"kind": self.kind, "hashing": self.hashing, "buckets": self.kept_buckets}

    @classmethod
    def from_tree(cls, tree: Any) -> "PrunedIndexer":
        """The indexer of a tree."""
        return tree.made(cls, tree.indexer("hashing"), tree.vector("buckets", "int32"))

    @cached_property
    def _host(self) -> tuple[np.ndarray, np.ndarray]:
        return on_host(self.buckets), on_host(self.order)

    @cached_property
    def _row_of_bucket(self) -> np.ndarray:
        # One gather is many times as fast as a search. The last entry is that of -1.
        rows = np.full(self.n_buckets + 1, -1, np.int32)
        buckets, order = self._host
        rows[buckets] = order
        return rows

    @cached_property
    def _bits(self) -> np.ndarray:
        return np.packbits(self._row_of_bucket[:-1] >= 0, bitorder="little")


def word_rows(
    indexer: FastTextIndexer | PrunedIndexer, data: np.ndarray, splits: np.ndarray
) -> Ragged:
    """As `indexer.ragged_ids`, shortest n-grams first, without the exception for `</s>`.

    Args:
        indexer: which rows n-grams have.
        data: marked words, one after the other.
        splits: where each begins, and the end; each begins and ends with a character of one byte.

    Examples:
        >>> indexer, text = FastTextIndexer(1000, 3, 3), np.frombuffer(b"<tea><te>", np.uint8)
        >>> rows = word_rows(indexer, text, np.array([0, 5, 9]))
        >>> rows.values.tolist() == indexer.subword_indices("tea") + indexer.subword_indices("te")
        True
        >>> rows.splits.tolist()
        [0, 3, 5]
    """
    hashing: FastTextIndexer = indexer.hashing
    pruned: Any = None if indexer is hashing else indexer
    min_n, max_n = hashing.min_n, hashing.max_n
    begins_character = (data & 0xC0) != 0x80
    begins = np.flatnonzero(begins_character)
    n, sizes = len(begins), np.diff(begins, append=len(data))
    ends = np.cumsum(begins_character, dtype=np.int32)[splits[1:] - 1]
    is_inner = np.ones(n + max_n, bool)
    is_inner[ends - 1] = False  # the last characters of words
    exist = np.ones(n, bool)
    buckets = np.empty((n, max_n - min_n + 1), np.uint32)
    have_rows = np.empty(buckets.shape, bool)
    divisor = np.uint32(hashing.n_buckets)
    for k, state in enumerate(fasttext_states(data, begins, sizes, max_n)):
        if k:
            exist &= is_inner[k - 1 : k - 1 + n]
        if k + 1 >= min_n:
            # NumPy divides by one number faster than it takes the remainder.
            remainders = state - state // divisor * divisor
            column = k + 1 - min_n
            buckets[:, column] = remainders
            have_rows[:, column] = exist if pruned is None else exist & pruned.have_rows(remainders)
    if hashing.skip_edge_unigrams and min_n == 1:
        have_rows[:, 0] &= is_inner[:n]
        have_rows[np.append(0, ends[:-1]), 0] = False
    rows = np.flatnonzero(have_rows)  # several times as fast as a mask where few are true
    splits = rows.searchsorted(np.append(0, ends) * buckets.shape[1])
    buckets = buckets.reshape(-1).take(rows).view(np.int32)
    return Ragged(buckets if pruned is None else pruned.host_rows(buckets), splits)
