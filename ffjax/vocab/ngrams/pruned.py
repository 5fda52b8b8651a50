"""FastText's hashed n-grams of which only some have kept their rows.

fastText shrinks a classifier by keeping the n-grams with the longest rows, and stores beside them which bucket each row
was. The other n-grams are as if they were not there.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.compaction import compact
from ffjax.vocab.ngrams.hashed import FastTextIndexer


@value(static=("hashing",))
class PrunedIndexer:
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

    def kept(self, buckets: Int32[Array, "*shape"]) -> Int32[Array, "*shape"]:
        """The row of each bucket, -1 for those that were not kept; compiled code."""
        if self.upper_bound == 0:
            return jnp.full(buckets.shape, -1, jnp.int32)
        places = jnp.searchsorted(jnp.asarray(self.buckets), buckets)
        places = jnp.minimum(places, self.upper_bound - 1).astype(jnp.int32)
        return jnp.where(jnp.asarray(self.buckets)[places] == buckets, jnp.asarray(self.order)[places], jnp.int32(-1))

    def subword_indices(
        self, word: str, offset: int = 0, bracket: bool = True, with_ngrams: bool = False
    ) -> list[int] | list[tuple[str, int]]:
        """The rows of those n-grams of a word that were kept, in the order of `FastTextIndexer.subword_indices`.

        Args:
            word: the word.
            offset: what to add to each row, such as the number of the words' rows that come first.
            bracket: whether to put `<` and `>` around the word first.
            with_ngrams: whether to give `(ngram, row)` pairs.
        """
        pairs = self.hashing.subword_indices(word, bracket=bracket, with_ngrams=True)
        get = self._rows.get
        found = [(ngram, row + offset) for ngram, bucket in pairs if (row := get(bucket)) is not None]  # type: ignore[misc]
        return found if with_ngrams else [row for _, row in found]

    def marked_ids(self, text: str) -> np.ndarray:
        """The rows of a word that has its markers already, as an array, int64 `[n_ids]`."""
        return self._kept(self.hashing.marked_ids(text))

    def marked_id_pieces(self, text: str) -> Iterator[np.ndarray]:
        """The same, some at a time, so that no number of characters takes much memory."""
        return map(self._kept, self.hashing.marked_id_pieces(text))

    def bucket_ids(
        self,
        data: UInt8[AnyArray, "batch width"],
        lengths: Int32[AnyArray, " batch"],
        *,
        bow: bytes = b"<",
        eow: bytes = b">",
    ) -> tuple[Int32[Array, "batch slots"], Int32[Array, " batch"]]:
        """The rows of packed words' n-grams, in compiled code; as `FastTextIndexer.bucket_ids`."""
        ids = self.indices(data, lengths, bow=bow, eow=eow)
        return compact(ids, ids >= 0)

    def indices(
        self,
        data: UInt8[AnyArray, "batch width"],
        lengths: Int32[AnyArray, " batch"],
        *,
        bow: bytes = b"<",
        eow: bytes = b">",
    ) -> Int32[Array, "batch slots"]:
        """The row of each n-gram of each packed word, -1 where there is none or it was not kept."""
        buckets = self.hashing.indices(data, lengths, bow=bow, eow=eow)
        return jnp.where(buckets >= 0, self.kept(buckets), jnp.int32(-1))

    def __call__(self, ngram: str) -> int | None:
        """The row of an n-gram, or `None`."""
        return self._rows.get(self.hashing(ngram))

    def __repr__(self) -> str:
        return f"PrunedIndexer({self.upper_bound} of {self.n_buckets} buckets, min_n={self.min_n}, max_n={self.max_n})"

    def _kept(self, buckets: np.ndarray) -> np.ndarray:
        get = self._rows.get
        rows = [get(bucket, -1) for bucket in buckets.tolist()]
        return np.array([row for row in rows if row >= 0], np.int64)

    @cached_property
    def _rows(self) -> dict[int, int]:
        return dict(zip(np.asarray(self.buckets).tolist(), np.asarray(self.order).tolist(), strict=True))
