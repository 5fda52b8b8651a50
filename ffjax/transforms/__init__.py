"""Embeddings to embeddings: fewer or more words, fewer rows or dimensions, smaller rows.

Written against `Storage` and `Vocab`; may import everything below: embeddings, functional, storage,
vocab, strings and kernels.
"""

from ffjax.transforms.add import add_words
from ffjax.transforms.pca import reduce_dims
from ffjax.transforms.prune import PruneResult, prune
from ffjax.transforms.select import select_words
from ffjax.transforms.shared_rows import unshare_rows

__all__ = ["PruneResult", "add_words", "prune", "reduce_dims", "select_words", "unshare_rows"]
