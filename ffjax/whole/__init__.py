"""Functions that make one `Embeddings` of another: fewer words, more words, words that share rows."""

from ffjax.whole.components import reduce
from ffjax.whole.grow import add
from ffjax.whole.pruning import Pruned, prune
from ffjax.whole.share import repeat_rows
from ffjax.whole.take import select

__all__ = ["Pruned", "add", "prune", "reduce", "repeat_rows", "select"]
