"""A storage and a vocabulary that the library does not know, each in under 60 lines."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_rows, gather_sum
from ffjax.kernels.top_k.row_source import RowSource
from ffjax.storage.base import RowArrays, add_vjp
from ffjax.vocab.base import init_words
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


@value(static=("n_shared_rows", "subword_indexer"))
class ToyVocab(SubwordVocab):
    """Words whose n-grams are taken between square brackets."""

    table: Any
    index: Any
    shared_rows: Any
    n_shared_rows: int | None
    subword_indexer: FastTextIndexer

    def __init__(self, words: Any, indexer: FastTextIndexer, *, rows: Any = None) -> None:
        init_words(self, words, rows)
        set_fields(self, subword_indexer=indexer)

    markers = property(lambda self: ("[", "]"))

    def to_tree(self):
        rows = self.shared_rows
        return {"kind": "ToyVocab", "words": self.table, "rows": rows, **self._numbers()}

    def _numbers(self):
        indexer = self.subword_indexer
        return {"n": indexer.n_buckets, "min_n": indexer.min_n, "max_n": indexer.max_n}

    @classmethod
    def from_tree(cls, tree):
        indexer = FastTextIndexer(tree.whole("n"), tree.whole("min_n"), tree.whole("max_n"))
        rows = tree.maybe("rows", lambda name: np.asarray(tree.array(name, 1, "int32")))
        return tree.made(cls, tree.strings("words"), indexer, rows=rows)
