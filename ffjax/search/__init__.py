"""Search: the rows most similar to queries, in any storage."""

from ffjax.search.answer import EmbeddingsLike, TopK, checked_k
from ffjax.search.top_k import top_k, top_products

__all__ = ["EmbeddingsLike", "TopK", "checked_k", "top_k", "top_products"]
