"""The rows that a search of product-quantized codes reads, by the faster of two ways.

Decoding: a chunk of codes becomes rows, which are multiplied with the queries. A rotation is
linear, so the queries are rotated instead, once.

Tables: the product of a query with a row is a sum of its products with centroids, which are
computed beforehand; each code looks its product up (asymmetric distance computation: Jegou, Douze
and Schmid, "Product Quantization for Nearest Neighbor Search", 2011).

Measured on two CPU cores, 341,479 rows, the pass over all rows in ms:

    subquantizers x dims of each   decoding, 1 to 4 queries   tables, 1 query   2    3    4
    50 x 2                         15 to 18                   7                 21   31   24
    50 x 6                         86 to 93                   6                 15   17   20
    150 x 2                        66 to 79                   18                73   98   139

So on the CPU tables serve one query, and as many more as are fewer than the dimensions of a
centroid. Other hardware, where nothing was measured, decodes, and so do norms after a rotation.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.gather_sum import gather_rows
from ffjax.kernels.normalize import reciprocal_norms, reciprocal_sqrt
from ffjax.kernels.top_k import top_k_numpy
from ffjax.kernels.top_k.rows import ChunkReader, RowSource

# How far the squares of norms before and after a rotation may differ: rounding of OPQ's matrices.
ROUNDING = 2e-5
# Codes whose products are added up at a time on the host.
_CACHED_CODES = 1 << 16

_product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class Codes(NamedTuple):
    """Rows as codes; of their concatenated centroids the first `dims` numbers count."""

    codebooks: Float32[Array, "subquantizers centroids dims_each"]
    codes: UInt8[Array, "rows subquantizers"]
    norms: Float32[Array, " rows"] | None
    projection: Float32[Array, "dims dims"] | None
    dims: int

    def gather(self, ids: Any) -> Array:
        """The rows with these numbers before the rotation, which are clipped into range."""
        norms = None if self.norms is None else gather_rows(self.norms, ids)
        return self._decode(gather_rows(self.codes, ids), norms)

    def source(self, n_rows: int) -> RowSource:
        """The first rows before the rotation."""

        def chunk(start: Array | int, size: int) -> Array:
            return self._decode(*self._sliced(start, size))

        if (projection := self.projection) is None:
            return RowSource(n_rows, chunk, self.gather, tables=self._tables)
        # Nothing says that the projection of a file is orthogonal. Where it is not, norms are
        # computed after it: |x P^T|^2 = x G x^T differs from |x|^2 by at most |G - I| |x|^2, here
        # in the norm of the largest row sum.
        constant = lax.stop_gradient(projection)
        gram = _product(constant.T, constant) - jnp.eye(len(projection), dtype=jnp.float32)
        keeps_norms = jnp.abs(gram).sum(1).max() <= ROUNDING

        def rotate_queries(queries: Array) -> Array:
            return _product(queries.astype(jnp.float32), projection)

        def norms_of_rows(rows: Array, exact: bool) -> Array:
            if exact:  # gradients go through these
                return reciprocal_norms(rotate(rows, projection), one_pass=True)

            def after_rotation(rows: Array) -> Array:
                return reciprocal_norms(rotate(rows, constant))

            return lax.cond(keeps_norms, reciprocal_norms, after_rotation, rows)

        return RowSource(n_rows, chunk, self.gather, rotate_queries, norms_of_rows, self._tables)

    def _decode(self, codes: Array, norms: Array | None) -> Array:
        n_books, n_centroids, dims_each = self.codebooks.shape
        centroids = self.codebooks.reshape(n_books * n_centroids, dims_each)
        starts = jnp.arange(n_books, dtype=jnp.int32) * n_centroids
        starts = starts.reshape((1,) * (codes.ndim - 1) + (-1,))
        rows = jnp.take(centroids, codes.astype(jnp.int32) + starts, axis=0, mode="clip")
        rows = rows.reshape(*codes.shape[:-1], n_books * dims_each)[..., : self.dims]
        return rows if norms is None else rows * norms[..., None]

    def _sliced(self, start: Array | int, size: int) -> tuple[Array, Array | None]:
        """The codes and norms of `size` rows from row `start` on."""
        # The barrier keeps XLA from widening all codes before a loop over chunks.
        tied = self.codes, self.norms, jnp.asarray(start, jnp.int32)
        codes, norms, start = lax.optimization_barrier(tied)
        sliced = partial(lax.dynamic_slice_in_dim, start_index=start, slice_size=size)
        return sliced(codes), None if norms is None else sliced(norms)

    def _tables(self, queries: Array, unit: bool) -> ChunkReader | None:
        """Scores of chunks by tables, where that is faster than decoding."""
        books = lax.stop_gradient(self.codebooks)
        n_books, n_centroids, dims_each = books.shape
        batch = queries.shape[0]
        # Norms after a projection are not sums over centroids; nor are the products of a last code
        # that stands for less than its centroid.
        if batch > max(1, dims_each - 1) or (unit and self.projection is not None):
            return None
        if n_books * dims_each != self.dims:
            return None
        split = queries.astype(jnp.float32).reshape(batch, n_books, dims_each)
        tables = jnp.einsum("mke,bme->bmk", books, split, precision=lax.Precision.HIGHEST)
        tables = tables.reshape(batch, -1)
        squares = (books * books).sum(-1).reshape(-1)
        starts = jnp.arange(n_books, dtype=jnp.int32) * n_centroids

        def scores(start: Array | int, size: int) -> Array:
            codes, factors = self._sliced(start, size)
            entries = codes.astype(jnp.int32) + starts[None]

            def sums(table: Array) -> Array:
                # Slices of one number: XLA's CPU backend then makes a kernel of the gather alone,
                # which is twice as fast.
                return jnp.take(table[:, None], entries, axis=0, mode="clip").sum((1, 2))

            products = jnp.stack([sums(tables[query]) for query in range(batch)], 1)
            factors = None if factors is None else lax.stop_gradient(factors)
            if unit:  # whatever a row's norm is, the cosine only has its sign
                products *= reciprocal_sqrt(sums(squares))[:, None]
                factors = None if factors is None else jnp.sign(factors)
            return products if factors is None else products * factors[:, None]

        return scores


def rotate(rows: Array, projection: AnyArray | None) -> Array:
    """Rows times the transposed projection, if there is one."""
    return rows if projection is None else _product(rows, jnp.asarray(projection).T)


def code_starts(n_books: int, n_centroids: int) -> np.ndarray:
    """Where the centroids of each codebook start among all."""
    # Sums of codes in 16 bits take less than half the time of those in 64.
    narrow = np.uint16 if n_books * n_centroids <= 1 << 16 else np.intp
    return (n_centroids * np.arange(n_books)).astype(narrow)


def code_scores(
    books: np.ndarray, codes: np.ndarray, queries: np.ndarray, dims: int, *, unit: bool
) -> np.ndarray:
    """Products of the vectors of codes with rotated queries by tables, in NumPy, `[batch, n]`.

    With `unit` they are divided by the vectors' norms.
    """
    n_books, n_centroids, dims_each = books.shape
    # Where the last centroids stand for fewer numbers, the rest count as zeros.
    queries = np.pad(queries, ((0, 0), (0, n_books * dims_each - dims)))
    queries = queries.reshape(-1, n_books, 1, dims_each)
    tables = np.vecdot(queries, books).reshape(len(queries), n_books * n_centroids)
    if unit:
        in_use = (np.arange(n_books * dims_each) < dims).reshape(n_books, 1, dims_each)
        squares = np.vecdot(books, books * in_use).reshape(1, -1)
        tables = np.concatenate([tables, squares])
    sums = np.empty((len(tables), len(codes)), np.float32)
    starts = code_starts(n_books, n_centroids)
    step = max(1, _CACHED_CODES // max(1, n_books))
    for start in range(0, len(codes), step):
        entries = (codes[start : start + step] + starts).astype(np.intp)
        for table, out in zip(tables, sums, strict=True):
            table.take(entries, mode="clip").sum(1, out=out[start : start + step])
    return sums[:-1] * top_k_numpy.reciprocal_sqrt(sums[-1]) if unit else sums
