"""Searches by other plans than the sizes of matrices ask for."""

import jax
import jax.numpy as jnp

from ffjax.ops.block_top_k import search
from ffjax.ops.sources import CPU, Restriction, of_matrix

# Many chunks, many blocks of queries, many gathers, and thresholds wherever they may be.
TINY = CPU._replace(chunk=1 << 10, queries=5, gathered=1 << 10, threshold=1)


def with_plan(plan, matrix, queries, k, **restriction):
    of = jax.jit(lambda matrix, queries: search(of_matrix(matrix), queries, k, Restriction(**restriction), plan))
    return of(jnp.asarray(matrix), jnp.asarray(queries))
