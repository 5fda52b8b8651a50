"""Searches by other plans than the sizes of matrices ask for."""

import jax
import jax.numpy as jnp

from ffjax.kernels.top_k.block_max import search
from ffjax.kernels.top_k.row_source import CPU, RowFilter, of_matrix

# Many chunks, many blocks of queries, many gathers, and thresholds wherever they may be.
TINY = CPU._replace(chunk=1 << 10, queries=5, gathered=1 << 10, threshold=1)


def with_plan(plan, matrix, queries, k, **restriction):
    of = jax.jit(lambda matrix, queries: search(of_matrix(matrix), queries, k, RowFilter(**restriction), plan))
    return of(jnp.asarray(matrix), jnp.asarray(queries))
