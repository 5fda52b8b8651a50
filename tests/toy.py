"""A storage and a vocabulary that the library does not know, each in a few lines."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_rows
from ffjax.storage.base import RowArrays
from ffjax.vocab import SubwordVocab
from ffjax.vocab.ngrams import FastTextIndexer


@value()
class ToyArray(RowArrays, kind="ToyArray"):
    """Rows of float16 times one constant."""

    row_arrays = ("rows",)

    rows: Any
    constant: Any

    def __init__(self, rows: Any, constant: Any) -> None:
        set_fields(self, rows=rows, constant=constant)

    shape = property(lambda self: self.rows.shape)

    def gather(self, ids):
        return gather_rows(jnp.asarray(self.rows), ids).astype(jnp.float32) * self.constant[0]

    def read(self, ids, out=None):
        rows = np.asarray(self.rows[ids]).astype(np.float32)
        return np.multiply(rows, np.asarray(self.constant), out=out, casting="same_kind")

    def encode(self, rows):
        return {"rows": (rows / np.asarray(self.constant)).astype(np.float16)}

    @classmethod
    def from_tree(cls, tree):
        return cls(tree.array("rows", 2, "float16"), tree.array("constant", 1, "float32"))


@value(static=("n_shared_rows",), init=False)
class ToyVocab(SubwordVocab, kind="ToyVocab"):
    """Words whose n-grams are taken between square brackets."""

    markers = ("[", "]")
    indexers = (FastTextIndexer,)
