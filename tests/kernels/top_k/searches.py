"""One jitted search for all tests of the kernels, so that those of one shape share a program."""

from functools import partial

import jax
import jax.numpy as jnp

from ffjax.kernels.top_k.rows import RowFilter, of_matrix
from ffjax.kernels.top_k.search import Plan, top_k_rows
from ffjax.kernels.top_k.tiling import CPU

# Many chunks, many blocks of queries, many gathers, and thresholds wherever they may be.
TINY = CPU._replace(chunk_numbers=1 << 10, queries=5, gathered_numbers=1 << 10, threshold=1)
TILINGS = {"tiny": TINY, "cpu": CPU}
NO_FILTER = RowFilter()


@partial(jax.jit, static_argnames=("k", "metric", "n_rows", "tiling"))
def search(matrix, queries, row_filter=NO_FILTER, *, k=9, metric="dot", n_rows=None, tiling=CPU):
    """`top_k_rows` of a matrix."""
    matrix, queries = jnp.asarray(matrix), jnp.asarray(queries)  # without `jit` they may be NumPy's
    source = of_matrix(matrix, n_rows)
    return top_k_rows(source, queries, row_filter, Plan(k, metric, tiling))
