"""Search of a storage in the memory of one device."""

from functools import partial

import jax
from jaxtyping import Array, Float, Float32, Int32

from ffjax.kernels.top_k.row_filter import RowFilter
from ffjax.kernels.top_k.search import top_k_rows
from ffjax.kernels.top_k.tiling import Tiling
from ffjax.storage import Storage


@partial(jax.jit, static_argnames=("k", "metric", "n_rows", "recall", "tiling"))
def search_in_memory(
    storage: Storage,
    queries: Float[Array, "batch *terms dims"],
    row_filter: RowFilter,
    *,
    k: int,
    metric: str,
    n_rows: int,
    recall: float | None = None,
    tiling: Tiling | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """`top_k_rows` of the first `n_rows` rows of a storage."""
    source = storage.row_source(n_rows)
    return top_k_rows(source, queries, k, metric, row_filter, recall=recall, tiling=tiling)
