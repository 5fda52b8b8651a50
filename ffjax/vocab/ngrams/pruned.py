"""FastText's hashed n-grams of which only some have kept their rows.

fastText shrinks a classifier by keeping the n-grams with the longest rows, and stores beside them which bucket each row
was. The other n-grams are as if they were not there.
"""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.ngram_hashes import BYTES, Tile
from ffjax.kernels.ngrams_numpy import Line, Ngrams
from ffjax.vocab.ngrams.base import NgramIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer


@value(static=("hashing",))
class PrunedIndexer(NgramIndexer):
    """Hashes n-grams as `FastTextIndexer` does; buckets that were not kept have no row.

    Args:
        hashing: the n-gram range and the number of buckets before pruning.
        buckets: the bucket behind each row that was kept, each once, whole numbers `[n_rows]`.

    Raises:
        TypeError: an argument is of another type.
        ValueError: a bucket is out of range or occurs twice.

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
            raise TypeError(f"`hashing`: expected a FastTextIndexer, got {type(hashing).__name__} {hashing!r}.")
        kept = np.asarray(buckets)
        if kept.ndim != 1 or (kept.size and kept.dtype.kind not in "iu"):
            raise TypeError(f"`buckets`: expected 1 dimension of whole numbers, got {kept.ndim} of {kept.dtype}.")
        if kept.size and (kept.min() < 0 or kept.max() >= min(hashing.n_buckets, 2**31)):
            raise ValueError(
                f"`buckets`: expected 0 to {min(hashing.n_buckets, 2**31) - 1}, got {kept.min()} to {kept.max()}."
            )
        order = np.argsort(kept, kind="stable").astype(np.int32)
        ordered = kept[order]
        if twice := np.flatnonzero(ordered[1:] == ordered[:-1]).tolist():
            raise ValueError(f"`buckets`: expected each once, got {ordered[twice[0]]} twice.")
        object.__setattr__(self, "hashing", hashing)
        for name, value in jax.device_put({"buckets": ordered.astype(np.int32), "order": order}).items():
            object.__setattr__(self, name, value)

    @property
    def min_n(self) -> int:
        """The length of the shortest n-grams, in characters."""
        return self.hashing.min_n

    @property
    def max_n(self) -> int:
        """The length of the longest."""
        return self.hashing.max_n

    @property
    def skip_edge_unigrams(self) -> bool:  # type: ignore[override]
        """Whether n-grams of one character at either end are left out."""
        return self.hashing.skip_edge_unigrams

    @property
    def n_buckets(self) -> int:
        """The number of buckets before pruning."""
        return self.hashing.n_buckets

    @property
    def upper_bound(self) -> int:
        """The number of rows: one for each bucket that was kept."""
        return self.order.shape[0]

    @property
    def kept_buckets(self) -> Int32[np.ndarray, " n_rows"]:
        """The bucket behind each row."""
        by_row = np.empty(self.upper_bound, np.int32)
        by_row[np.asarray(self.order)] = np.asarray(self.buckets)
        return by_row

    def device_ids(self, tile: Tile) -> Array:
        buckets = self.hashing.device_ids(tile)
        if self.upper_bound == 0:
            return jnp.full_like(buckets, -1)
        index = jnp.searchsorted(jnp.asarray(self.buckets), buckets).astype(jnp.int32)
        index = jnp.minimum(index, self.upper_bound - 1)
        exist = (jnp.asarray(self.buckets)[index] == buckets) & (buckets >= 0)
        return jnp.where(exist, jnp.asarray(self.order)[index], -1)

    def host_ids(self, line: Line, span: slice, ngrams: Ngrams) -> np.ndarray:
        buckets = self.hashing.host_ids(line, span, ngrams)
        sorted_buckets, order = self._host
        if not len(order):
            return np.full_like(buckets, -1)
        index = np.minimum(np.searchsorted(sorted_buckets, buckets), len(order) - 1)
        return np.where(sorted_buckets[index] == buckets, order[index], -1)

    def __call__(self, ngram: str) -> int | None:
        """The row of an n-gram, or `None`."""
        buckets, order = self._host
        bucket = self.hashing(ngram)
        index = int(np.searchsorted(buckets, bucket))
        return int(order[index]) if index < len(order) and buckets[index] == bucket else None

    def __repr__(self) -> str:
        return f"PrunedIndexer({self.upper_bound} of {self.n_buckets} buckets, min_n={self.min_n}, max_n={self.max_n})"

    @cached_property
    def _host(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.buckets), np.asarray(self.order)
