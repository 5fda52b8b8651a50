"""Functions that make one `Embeddings` of another: fewer words, more words, words that share rows."""

from ffjax.transforms.add import add_words
from ffjax.transforms.pca import reduce_dims
from ffjax.transforms.prune import PruneResult, prune
from ffjax.transforms.select import select_words
from ffjax.transforms.shared_rows import unshare_rows

__all__ = ["PruneResult", "add_words", "prune", "reduce_dims", "select_words", "unshare_rows"]
