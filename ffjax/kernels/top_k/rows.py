"""The rows that a search reads, however they are stored: which may be answers, and their scores.

Scores are defined in the docstrings of `ffjax.top_k` and `ffjax.analogy`. A query of 3CosMul is
three vectors, those of a, b and c; a query of the other metrics is one.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, Int32

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.normalize import normalize, reciprocal_norms
from ffjax.kernels.top_k.tiling import Tiling

ChunkReader = Callable[[Array | int, int], Array]

METRICS = ("dot", "cosine", "euclidean", "angular")
COS_MUL = "3cosmul"
_EPSILON = 1e-6


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


def prepared_queries(source: RowSource, queries: Array, metric: str) -> Array:
    """Queries to be multiplied with the rows that the source reads; NaN if one number is."""
    if metric != "dot":
        queries = normalize(queries.astype(jnp.float32))[0]
    return source.rotate(queries)


def from_cosine(scores: Array, metric: str) -> Array:
    """The scores that `euclidean` and `angular` make of cosines; others stay as they are."""
    if metric not in ("euclidean", "angular"):
        return scores
    # At the ends of the range slopes are infinite; a constant has a gradient of zero.
    inside = ((scores > -1) & (scores < 1)) | jnp.isnan(scores)
    cosine = jnp.where(inside, scores, 0.0)
    if metric == "angular":
        turned = 1 - jnp.arccos(cosine) / jnp.pi
    else:
        turned = 1 - jnp.sqrt(2 - 2 * cosine) / 2
    ends = jnp.where(scores > 0, 1.0, 0.0)
    return jnp.where(scores == -jnp.inf, -jnp.inf, jnp.where(inside, turned, ends))


class Scorer(NamedTuple):
    """Scores rows of a source for prepared queries, `[batch, dims]` or `[batch, 3, dims]`."""

    source: RowSource
    metric: str
    tiling: Tiling

    @property
    def unit(self) -> bool:
        """Whether products are divided by the norms of rows."""
        return self.metric != "dot"

    def chunk_scorer(self, queries: Array) -> ChunkReader:
        """A function of `(start, size)`: the scores of these rows, `[size, batch]`."""
        if queries.ndim == 2:
            return self._chunk_products(queries)
        # All a, then all b, then all c: each term's products are a contiguous slice.
        terms = jnp.moveaxis(queries, 1, 0).reshape(-1, queries.shape[-1])
        products = self._chunk_products(terms)
        return lambda start, size: _cos_mul(*jnp.split(products(start, size), 3, axis=1))

    def _chunk_products(self, queries: Array) -> ChunkReader:
        tables = self.source.tables if self.tiling.tables else None
        by_tables = None if tables is None else tables(queries, self.unit)
        return partial(self._decoded_products, queries) if by_tables is None else by_tables

    def _decoded_products(self, queries: Array, start: Array | int, size: int) -> Array:
        chunk = lax.stop_gradient(self.source.chunk(start, size))
        if self.tiling.widen or chunk.dtype != queries.dtype:
            chunk, queries = chunk.astype(jnp.float32), queries.astype(jnp.float32)
        if queries.shape[0] == 1 and self.source.tables is None:
            # With a transpose, XLA's CPU backend reads the chunk in place, at memory speed.
            products = jnp.matmul(queries, chunk.T, precision=lax.Precision.HIGHEST)
            products = products.reshape(size, 1).astype(jnp.float32)
        else:
            products = _dot(chunk, queries)
        if not self.unit:
            return products
        return products * self.source.reciprocal_norms(chunk, False)[:, None]

    def row_scores(self, queries: Array, ids: Array) -> Float32[Array, "batch n"]:
        """The scores of `ids[b]` for query b: the same contraction for each, so ties are exact."""

        def of_query(query: Array, ids: Array) -> Array:
            rows = self.source.gather(ids).astype(jnp.float32)
            products = _dot(rows, query.astype(jnp.float32))
            if self.unit:
                norms = self.source.reciprocal_norms(rows, True)
                products = products * (norms if query.ndim == 1 else norms[:, None])
            return products if query.ndim == 1 else _cos_mul(*products.T)

        batch = queries.shape[0]
        at_once = max(1, self.tiling.gathered_numbers // (ids.shape[1] * queries.shape[-1]))
        if at_once >= batch:
            return jax.vmap(of_query)(queries, ids)
        # Without a rest, which would have kernels of its own, if there is such a size.
        sizes = (n for n in range(at_once, at_once // 2, -1) if batch % n == 0)
        size = next(sizes, at_once)
        return lax.map(lambda xs: of_query(*xs), (queries, ids), batch_size=size)


def _cos_mul(a: Array, b: Array, c: Array) -> Array:
    """3CosMul of cosines, each moved to lie from 0 to 1."""
    return (1 + b) / 2 * ((1 + c) / 2) / ((1 + a) / 2 + _EPSILON)


def _dot(rows: Array, queries: Array) -> Array:
    """Products of rows with queries, in float32 on every backend."""
    axes = (((rows.ndim - 1,), (queries.ndim - 1,)), ((), ()))
    return lax.dot_general(rows, queries, axes, lax.Precision.HIGHEST, jnp.float32)
