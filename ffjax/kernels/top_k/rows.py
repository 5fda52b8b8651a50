"""The rows that a search reads, however they are stored, and which of them may be answers."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.normalize import reciprocal_norms

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
    reciprocal_norms: Callable[[Array, bool], Array] = lambda rows, exact: reciprocal_norms(
        rows, one_pass=exact
    )
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


class RowFilter(NamedTuple):
    """Which rows may be answers. A field that is `None` restricts nothing and costs nothing.

    Rows lie from `start` up to `stop` (int32, may be traced), have a true `mask` (`[n_rows]`), are
    listed in `ids` (int32, ascending; duplicates and numbers out of range are ignored), and are not
    in `exclude` for the query (int32 `[batch, n]`, padded with -1).
    """

    start: Array | np.int32 | None = None
    stop: Array | np.int32 | None = None
    mask: AnyArray | None = None
    ids: AnyArray | None = None
    exclude: AnyArray | None = None

    @property
    def n_excluded(self) -> int:
        """How many rows are excluded for each query, at most."""
        return 0 if self.exclude is None else self.exclude.shape[1]

    @property
    def n_ends(self) -> int:
        """How many ends of the range are given."""
        return (self.start is not None) + (self.stop is not None)

    def allows(self, rows: Array) -> Array:
        """Which rows may be answers by range and mask."""
        allowed = jnp.ones(rows.shape, bool)
        if self.start is not None:
            allowed &= rows >= self.start
        if self.stop is not None:
            allowed &= rows < self.stop
        if self.mask is not None:
            allowed &= jnp.asarray(self.mask).at[rows].get(mode="promise_in_bounds")
        return allowed

    def of_listed(self, n_rows: int) -> "RowFilter":
        """The filter in which rows are numbered by their positions in `ids`."""
        ids = jnp.asarray(self.ids)
        is_new = jnp.concatenate([jnp.ones(1, bool), ids[1:] != ids[:-1]])
        mask = is_new & (ids >= 0) & (ids < n_rows)
        return RowFilter(mask=mask, exclude=self.excluded_positions())

    def excluded_positions(self) -> Array | None:
        """The positions in `ids` of the rows to exclude, -1 for those not in it."""
        if self.exclude is None:
            return None
        ids = jnp.asarray(self.ids)
        positions = jnp.searchsorted(ids, self.exclude).astype(jnp.int32)
        return jnp.where(ids.at[positions].get(mode="clip") == self.exclude, positions, -1)


def listed_rows(positions: Array, ids: AnyArray) -> Array:
    """The rows at some positions of a list, -1 for negative positions."""
    rows = jnp.asarray(ids).at[jnp.maximum(positions, 0)].get(mode="promise_in_bounds")
    return jnp.where(positions < 0, -1, rows)
