"""The rows that a search reads, however they are stored."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int32

from ffjax.kernels.reciprocal_norms import reciprocal_norms

ChunkReader = Callable[[Array | int, int], Array]


class RowSource(NamedTuple):
    """Rows to search: how to read and to score them.

    A source may read rows from before a linear map (a rotation), which is then applied to the
    queries, since the products are the same.

    Attributes:
        n_rows: the number of rows.
        chunk: `chunk(start, size)` reads `size` rows from row `start` (may be traced) on.
        gather: `gather(ids)` reads the rows with these numbers, `[n, dims]`.
        rotate: `rotate(queries)` gives what to multiply the rows by, `[*batch, dims]`.
        reciprocal_norms: `reciprocal_norms(rows, exact)` of rows that were read, after the map; in
            the pass over all rows, which is not `exact`, they may be off by rounding.
        tables: `tables(queries, unit)` gives a function like `chunk` that scores without decoding,
            `[size, batch]`, divided by norms if `unit`; `None` where decoding is faster.
    """

    n_rows: int
    chunk: ChunkReader
    gather: Callable[[Array], Array]
    rotate: Callable[[Array], Array] = lambda queries: queries
    reciprocal_norms: Callable[[Array, bool], Array] = lambda rows, exact: reciprocal_norms(rows)
    tables: Callable[[Array, bool], ChunkReader | None] | None = None


def of_matrix(matrix: Array, n_rows: int | None = None) -> RowSource:
    """The first rows of a matrix, by default all."""

    # The barriers tie the matrix to the step of the loop that reads it. Without them XLA's CPU
    # backend, which cannot slice bfloat16, widens the entire matrix to float32 before the loop.
    def chunk(start: Array | int, size: int) -> Array:
        tied, start = lax.optimization_barrier((lax.stop_gradient(matrix), start))
        return lax.dynamic_slice_in_dim(tied, start, size)

    def gather(ids: Array) -> Array:
        tied, ids = lax.optimization_barrier((matrix, ids))
        return tied.at[ids].get(mode="promise_in_bounds")

    return RowSource(matrix.shape[0] if n_rows is None else n_rows, chunk, gather)


def of_flat(flat: Array, offset: Array, shape: tuple[int, int]) -> RowSource:
    """Rows stored contiguously in a flat array, from number `offset` on."""
    n_rows, dims = shape

    def chunk(start: Array | int, size: int) -> Array:
        first = jnp.asarray(start, jnp.int32) * dims + offset
        tied, first = lax.optimization_barrier((flat, first))
        return lax.dynamic_slice_in_dim(tied, first, size * dims).reshape(size, dims)

    def gather(ids: Array) -> Array:
        starts = (ids * dims + offset)[:, None]
        axes = lax.GatherDimensionNumbers((1,), collapsed_slice_dims=(), start_index_map=(0,))
        mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
        return lax.gather(flat, starts, axes, (dims,), mode=mode)

    return RowSource(n_rows, chunk, gather)


def of_listed(source: RowSource, ids: Int32[Array, " n"]) -> RowSource:
    """The rows that a list names, numbered by their positions in it."""
    ids = jnp.clip(ids, 0, source.n_rows - 1)

    def chunk(start: Array | int, size: int) -> Array:
        return source.gather(lax.dynamic_slice_in_dim(ids, start, size))

    def gather(positions: Array) -> Array:
        return source.gather(ids[positions])

    return source._replace(n_rows=ids.shape[0], chunk=chunk, gather=gather, tables=None)
