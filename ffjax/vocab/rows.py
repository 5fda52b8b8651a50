"""What a vocabulary answers for a batch of words: the rows of a storage to read for each."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value


@value()
class Rows:
    """The rows of each word of a batch: one for a known word, one for each n-gram of another.

    Attributes:
        words: the row of each word, -1 where there is none, shape `[batch]`.
        ngrams: rows to add up for words without a row of their own, -1 after the last, shape
            `[unknown, slots]`; `None` for vocabularies without subwords.
        positions: which word of the batch each line of `ngrams` belongs to, ascending, and `batch`
            for lines not in use; `None` if line i belongs to word i.
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
        return in_vocab.at[self.positions].max(has_ngrams, mode="drop")
