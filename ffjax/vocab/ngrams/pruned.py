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
from ffjax.kernels.ngrams_numpy import Line, Ngrams
from ffjax.vocab.ngrams.base import NgramIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer

# The most buckets that a table has a row for: 16 MiB.
_TABLE_BUCKETS = 1 << 22


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
    bare_eos = property(  # type: ignore[assignment]
        lambda self: self.hashing.bare_eos, doc="As in `hashing`."
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
        """The rows of n-grams, -1 for none."""
        return self.host_rows(self.hashing.host_ids(line, ngrams))

    def __call__(self, ngram: str) -> int | None:
        """The row of an n-gram, or `None`."""
        row = int(self.host_rows(np.array([self.hashing(ngram)]))[0])
        return None if row < 0 else row

    def host_rows(self, buckets: np.ndarray) -> np.ndarray:
        """The rows of buckets, -1 for those without, int32."""
        if self.upper_bound == 0:
            return np.full(buckets.shape, -1, np.int32)
        # As long as the table would take longer to make.
        is_small = buckets.size < max(self.upper_bound >> 4, self.n_buckets >> 10)
        if self.n_buckets > _TABLE_BUCKETS or (is_small and "_bits" not in vars(self)):
            ascending, order = on_host(self.buckets), on_host(self.order)
            index = np.searchsorted(ascending, buckets.astype(np.int32))
            index = np.minimum(index, len(order) - 1)
            return np.where(ascending[index] == buckets, order[index], np.int32(-1))
        # A bit for each bucket stays in the cache, where a row for each does not.
        bits = self._bits.take(buckets >> 3) >> (buckets & 7).astype(np.uint8) & 1
        exist = np.flatnonzero(bits.view(bool))
        rows = np.full(buckets.shape, -1, np.int32)
        rows[exist] = self._row_of_bucket.take(buckets.take(exist))
        return rows

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
    def _row_of_bucket(self) -> np.ndarray:
        # One gather is many times as fast as a search.
        rows = np.full(self.n_buckets, -1, np.int32)
        rows[on_host(self.buckets)] = on_host(self.order)
        return rows

    @cached_property
    def _bits(self) -> np.ndarray:
        return np.packbits(self._row_of_bucket >= 0, bitorder="little")
