"""A storage and a vocabulary that the library does not know, each in under 60 lines."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_rows, gather_sum
from ffjax.kernels.top_k.row_source import RowSource
from ffjax.storage.base import RowArrays, add_vjp
from ffjax.vocab.ngrams import FastTextIndexer
from ffjax.vocab.subword import SubwordVocab


@value()
class ToyArray(RowArrays, kind="ToyArray"):
    """Rows of float16 times one constant."""

    row_arrays = ("rows",)

    rows: Any
    constant: Any

    def __init__(self, rows: Any, constant: Any) -> None:
        set_fields(self, rows=rows, constant=constant)

    shape = property(lambda self: self.rows.shape)
    dtype = property(lambda self: np.dtype(np.float32))

    def gather(self, ids):
        return gather_rows(jnp.asarray(self.rows), ids).astype(jnp.float32) * self.constant[0]

    def partial_sum(self, ids, *, all_valid=False):
        return gather_sum(self.gather, ids, self.shape[1], all_valid=all_valid)

    def finish_sum(self, total):
        return total

    def add_gradient(self, gradient, ids, cotangent):
        return add_vjp(self, gradient, ids, cotangent)

    def row_source(self, n_rows):
        def chunk(start, size):
            rows = jax.lax.dynamic_slice_in_dim(jnp.asarray(self.rows), start, size)
            return rows.astype(jnp.float32) * self.constant[0]

        return RowSource(n_rows, chunk, self.gather)

    def read(self, ids, out=None):
        rows = np.asarray(self.rows[ids]).astype(np.float32)
        return np.multiply(rows, np.asarray(self.constant), out=out, casting="same_kind")

    def concat(self, rows, at=None):
        return self.inserted(at, rows=(rows / np.asarray(self.constant)).astype(np.float16))

    def to_tree(self):
        return {"kind": self.kind, "rows": self.rows, "constant": self.constant}

    @classmethod
    def from_tree(cls, tree):
        return cls(tree.array("rows", 2, "float16"), tree.array("constant", 1, "float32"))


@value(static=("n_shared_rows",), init=False)
class ToyVocab(SubwordVocab, kind="ToyVocab"):
    """Words whose n-grams are taken between square brackets."""

    markers = ("[", "]")
    indexers = (FastTextIndexer,)
