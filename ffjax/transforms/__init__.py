"""Embeddings to embeddings: fewer or more words, fewer rows or dimensions, smaller rows.

Written against `Storage` and `Vocab`; may import everything below: embeddings, functional, storage,
vocab, strings and kernels.
"""

from ffjax.transforms.pca import reduce_dims as reduce_dims
from ffjax.transforms.words import PruneResult as PruneResult
from ffjax.transforms.words import add_words as add_words
from ffjax.transforms.words import prune as prune
from ffjax.transforms.words import select_words as select_words
from ffjax.transforms.words import unshare_rows as unshare_rows
