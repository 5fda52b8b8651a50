"""Storages and a vocabulary that the library does not know, each in a few lines."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_rows, gather_sum
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


@value()
class LowRankArray(RowArrays, kind="LowRankArray"):
    """Short codes times a basis, once for a whole sum."""

    row_arrays = ("codes",)

    codes: Any
    basis: Any

    def __init__(self, codes: Any, basis: Any) -> None:
        set_fields(self, codes=codes, basis=basis)

    shape = property(lambda self: (self.codes.shape[0], self.basis.shape[1]))

    def gather(self, ids):
        return self.finish_sum(gather_rows(self.codes, ids))

    def partial_sum(self, ids):
        return gather_sum(partial(gather_rows, self.codes), ids, self.codes.shape[1])

    def finish_sum(self, total):
        return total @ self.basis

    def read(self, ids, out=None):
        return np.matmul(self.codes[ids], self.basis, out=out)

    def encode(self, rows):
        return {"codes": rows @ np.linalg.pinv(self.basis)}

    @classmethod
    def from_tree(cls, tree):
        return cls(tree.array("codes", 2, "float32"), tree.array("basis", 2, "float32"))


@value(static=("n_shared_rows",), init=False)
class ToyVocab(SubwordVocab, kind="ToyVocab"):
    """Words whose n-grams are taken between square brackets."""

    markers = ("[", "]")
    indexers = (FastTextIndexer,)
