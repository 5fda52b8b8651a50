"""Search: the rows most similar to queries, in any storage. Imports storages and search kernels."""

from ffjax.functional.search.api import top_k, top_products
from ffjax.functional.search.on_host import nearest_rows, scores_on_host
from ffjax.functional.search.types import EmbeddingsLike, TopK, checked_k

__all__ = [
    "EmbeddingsLike",
    "TopK",
    "checked_k",
    "nearest_rows",
    "scores_on_host",
    "top_k",
    "top_products",
]
