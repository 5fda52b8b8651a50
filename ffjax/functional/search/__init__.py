"""Search: the rows most similar to queries, in any storage. Imports storages and search kernels."""

from ffjax.functional.search.api import top_k as top_k
from ffjax.functional.search.api import top_products as top_products
from ffjax.functional.search.arguments import EmbeddingsLike as EmbeddingsLike
from ffjax.functional.search.arguments import TopK as TopK
from ffjax.functional.search.arguments import check_metric as check_metric
from ffjax.functional.search.arguments import checked_k as checked_k
from ffjax.functional.search.in_numpy import all_scores as all_scores
from ffjax.functional.search.in_numpy import nearest_rows as nearest_rows
