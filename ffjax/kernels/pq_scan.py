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

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float32, UInt8

from ffjax.kernels.gather_sum import gather_rows
from ffjax.kernels.normalize import reciprocal_norms, reciprocal_sqrt
from ffjax.kernels.top_k.rows import ChunkReader, RowSource

# How far, relatively, norms before and after a rotation may differ: rounding of OPQ's matrices.
_ROUNDING = 1e-5

_product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def decode(
    codebooks: Float32[Array, "subquantizers centroids dims_each"],
    codes: UInt8[Array, "*batch subquantizers"],
    norms: Float32[Array, "*batch"] | None,
    dims: int,
) -> Float32[Array, "*batch dims"]:
    """The first `dims` numbers of the concatenated centroids of codes, times norms."""
    n_books, n_centroids, dims_each = codebooks.shape
    centroids = codebooks.reshape(n_books * n_centroids, dims_each)
    starts = jnp.arange(n_books, dtype=jnp.int32) * n_centroids
    starts = starts.reshape((1,) * (codes.ndim - 1) + (-1,))
    rows = jnp.take(centroids, codes.astype(jnp.int32) + starts, axis=0, mode="clip")
    rows = rows.reshape(*codes.shape[:-1], n_books * dims_each)[..., :dims]
    return rows if norms is None else rows * norms[..., None]


def rotate(rows: Array, projection: Array | None) -> Array:
    """Rows times the transposed projection, if there is one."""
    return rows if projection is None else _product(rows, projection.T)


def pq_source(
    codebooks: Float32[Array, "subquantizers centroids dims_each"],
    codes: UInt8[Array, "rows subquantizers"],
    norms: Float32[Array, " rows"] | None,
    projection: Float32[Array, "dims dims"] | None,
    dims: int,
    n_rows: int,
) -> RowSource:
    """The first `n_rows` rows of codes, before the rotation."""

    def chunk(start: Array | int, size: int) -> Array:
        return decode(codebooks, *_sliced(codes, norms, start, size), dims)

    def rows(ids: Array) -> Array:
        row_norms = None if norms is None else gather_rows(norms, ids)
        return decode(codebooks, gather_rows(codes, ids), row_norms, dims)

    tables = partial(_tables, codebooks, codes, norms, projection, dims)
    if projection is None:
        return RowSource(n_rows, chunk, rows, tables=tables)
    # Nothing says that the projection of a file is orthogonal. Where it is not, norms are computed
    # after it: |x P^T|^2 = x G x^T differs from |x|^2 by at most |G - I| |x|^2, here in the norm of
    # the largest row sum.
    constant = lax.stop_gradient(projection)
    gram = _product(constant.T, constant) - jnp.eye(projection.shape[0], dtype=jnp.float32)
    keeps_norms = jnp.abs(gram).sum(1).max() <= 2 * _ROUNDING

    def rotate_queries(queries: Array) -> Array:
        return _product(queries.astype(jnp.float32), projection)

    def norms_of_rows(rows: Array, exact: bool) -> Array:
        def after_rotation(rows: Array, matrix: Array) -> Array:
            return reciprocal_norms(rotate(rows, matrix))

        if exact:  # gradients go through these
            return after_rotation(rows, projection)
        as_read = lambda rows, _: reciprocal_norms(rows)  # noqa: E731
        return lax.cond(keeps_norms, as_read, after_rotation, rows, constant)

    return RowSource(n_rows, chunk, rows, rotate_queries, norms_of_rows, tables)


def _tables(
    codebooks: Array,
    codes: Array,
    norms: Array | None,
    projection: Array | None,
    dims: int,
    queries: Array,
    unit: bool,
) -> ChunkReader | None:
    """Scores of chunks by tables, where that is faster than decoding."""
    books = lax.stop_gradient(codebooks)
    n_books, n_centroids, dims_each = books.shape
    batch = queries.shape[0]
    # Norms after a projection are not sums over centroids; nor are the products of a last code that
    # stands for less than its centroid.
    if batch > max(1, dims_each - 1) or (unit and projection is not None):
        return None
    if n_books * dims_each != dims:
        return None
    split = queries.astype(jnp.float32).reshape(batch, n_books, dims_each)
    tables = jnp.einsum("mke,bme->bmk", books, split, precision=lax.Precision.HIGHEST)
    tables = tables.reshape(batch, -1)
    squares = (books * books).sum(-1).reshape(-1)
    starts = jnp.arange(n_books, dtype=jnp.int32) * n_centroids

    def scores(start: Array | int, size: int) -> Array:
        chunk_codes, factors = _sliced(codes, norms, start, size)
        entries = chunk_codes.astype(jnp.int32) + starts[None]

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


def _sliced(
    codes: Array, norms: Array | None, start: Array | int, size: int
) -> tuple[Array, Array | None]:
    """The codes and norms of `size` rows from row `start` on."""
    # The barrier keeps XLA from widening all codes before a loop over chunks.
    start = jnp.asarray(start, jnp.int32)
    codes, norms, start = lax.optimization_barrier((codes, norms, start))
    sliced = partial(lax.dynamic_slice_in_dim, start_index=start, slice_size=size)
    return sliced(codes), None if norms is None else sliced(norms)
