"""What a vocabulary answers for a batch of words: the rows of a storage to read for each."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value


@value()
class Rows:
    """The rows of each word of a batch: one for a known word, one for each n-gram of another.

    Attributes:
        words: the row of each word, -1 where there is none, shape `[*batch]`.
        ngrams: rows to add up for words without a row of their own, -1 after the last, shape
            `[unknown, slots]`; `None` for vocabularies without subwords.
        positions: which word of the batch, counted from its first, each line of `ngrams` belongs
            to, ascending, and the number of words for lines not in use; `None` if each word has a
            line, `[*batch, slots]`.
    """

    words: Int32[AnyArray, "*batch"]
    ngrams: Int32[AnyArray, "*unknown slots"] | None = None
    positions: Int32[AnyArray, "*unknown"] | None = None

    @property
    def found(self) -> Bool[Array, "*batch"]:
        """Whether there is anything to read for each word."""
        in_vocab = jnp.asarray(self.words) >= 0
        if self.ngrams is None:
            return in_vocab
        has_ngrams = (jnp.asarray(self.ngrams) >= 0).any(-1)
        if self.positions is None:
            return in_vocab | has_ngrams
        flat = in_vocab.reshape(-1).at[self.positions].max(has_ngrams, mode="drop")
        return flat.reshape(in_vocab.shape)

    def reshape(self, shape: tuple[int, ...]) -> "Rows":
        """The same rows for a batch of another shape."""
        ngrams = self.ngrams
        if ngrams is not None and self.positions is None:
            ngrams = ngrams.reshape(*shape, ngrams.shape[-1])
        return Rows(self.words.reshape(shape), ngrams, self.positions)


def checked_rows(name: str, rows: Any, n: int, item: str) -> np.ndarray:
    """The row of each of `n` items, which may share rows but leave none out."""
    rows = np.asarray(rows)
    if rows.shape != (n,) or rows.dtype.kind not in "iu":
        expected = f"expected {n} whole numbers, one for each {item}"
        raise ValueError(f"`{name}`: {expected}, got shape {rows.shape} of {rows.dtype}.")
    is_in_range = n == 0 or (0 <= rows.min() and rows.max() < n)
    rows = rows.astype(np.int32) if is_in_range else rows
    if not (is_in_range and np.bincount(rows).all()):
        different = np.unique(rows)
        raise ValueError(
            f"`{name}`: expected every row from 0 to the largest to belong to a {item}, "
            f"got {len(different)} different rows from {different[0]} to {different[-1]}."
        )
    return rows
