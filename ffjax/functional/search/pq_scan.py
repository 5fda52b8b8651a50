"""The rows that a search of codes reads, in the one of two ways that takes less time.

Decoding: a chunk of codes becomes rows, which are multiplied with the queries. A rotation is linear, so it is the
queries that are rotated, once. With many queries the product is what takes the time.

Tables: the product of a query with a row is a sum of its products with centroids, of which there are few. So those
are computed beforehand, and each code looks its product up (asymmetric distance computation: Jegou, Douze and Schmid,
"Product Quantization for Nearest Neighbor Search", 2011). The time grows with the number of queries.

Measured on two CPU cores, 341,479 rows, the pass over all rows in ms:

    subquantizers x dims of each   decoding, 1 to 4 queries   tables, 1 query   2    3    4
    50 x 2                         15 to 18                   7                 21   31   24
    50 x 6                         86 to 93                   6                 15   17   20
    150 x 2                        66 to 79                   18                73   98   139

So on the CPU tables serve one query, and some more where centroids are long: fewer than a centroid has dimensions. On
other hardware, where nothing was measured, codes are decoded; so they are for lengths behind a rotation.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ffjax._internal.pytree import replace
from ffjax.kernels.reciprocal_norms import inverse_lengths, inverse_roots
from ffjax.kernels.top_k.row_source import RowSource
from ffjax.storage import QuantizedArray

# How far, relatively, lengths before and after a rotation may lie apart: the rounding of matrices of OPQ.
_ROUNDING = 1e-5

_product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def of_codes(storage: QuantizedArray, n_rows: int) -> RowSource:
    """The first rows of a quantized storage."""
    tables = partial(_tables, storage)
    if storage.projection is None:
        return RowSource(n_rows, storage.chunk, storage.rows, tables=tables)
    plain = replace(storage, quantizer=replace(storage.quantizer, projection=None))
    projection = jnp.asarray(storage.projection)
    # Nothing says that the projection of a file is orthogonal. Where it is not, lengths are computed behind it:
    # |x P^T|^2 = x G x^T differs from |x|^2 by at most |G - I| |x|^2, here in the norm of the largest row sum.
    still = lax.stop_gradient(projection)
    gram = _product(still.T, still) - jnp.eye(projection.shape[0], dtype=jnp.float32)
    keeps_lengths = jnp.abs(gram).sum(1).max() <= 2 * _ROUNDING

    def turned(queries: Array) -> Array:
        return _product(queries.astype(jnp.float32), projection)

    def lengths(rows: Array, exact: bool) -> Array:
        def behind(rows: Array, matrix: Array) -> Array:
            return inverse_lengths(_product(rows, matrix.T))

        if exact:  # the one that gradients go through
            return behind(rows, projection)
        return lax.cond(keeps_lengths, lambda rows, _: inverse_lengths(rows), behind, rows, still)

    return RowSource(n_rows, plain.chunk, plain.rows, turned, lengths, tables)


def _tables(
    storage: QuantizedArray, queries: Float[Array, "batch dims"], unit: bool
) -> Callable[[Array | int, int], Array] | None:
    """Scores of chunks by tables, where that is faster than decoding."""
    books = lax.stop_gradient(jnp.asarray(storage.codebooks))
    number, centroids, each = books.shape
    batch = queries.shape[0]
    # Lengths behind a projection are no sums over centroids; nor does the last code stand for all of its centroid.
    if batch > max(1, each - 1) or (unit and storage.projection is not None) or number * each != storage.shape[1]:
        return None
    parts = queries.astype(jnp.float32).reshape(batch, number, each)
    tables = jnp.einsum("mke,bme->bmk", books, parts, precision=lax.Precision.HIGHEST).reshape(batch, -1)
    lengths = (books * books).sum(-1).reshape(-1)
    firsts = jnp.arange(number, dtype=jnp.int32) * centroids

    def scores(start: Array | int, size: int) -> Array:
        # The barrier keeps XLA from widening all codes before the loop.
        codes, norms, start = lax.optimization_barrier((storage.codes, storage.norms, jnp.asarray(start, jnp.int32)))
        places = lax.dynamic_slice_in_dim(codes, start, size).astype(jnp.int32) + firsts[None]

        def sums(table: Array) -> Array:
            # Slices of one number: XLA's CPU backend then makes a kernel of the gather alone, which is twice as fast.
            return jnp.take(table[:, None], places, axis=0, mode="clip").sum((1, 2))

        found = jnp.stack([sums(tables[query]) for query in range(batch)], 1)
        factors = None if norms is None else lax.stop_gradient(lax.dynamic_slice_in_dim(norms, start, size))
        if unit:  # whatever a row's norm is, the cosine has its sign alone
            found *= inverse_roots(sums(lengths))[:, None]
            factors = None if factors is None else jnp.sign(factors)
        return found if factors is None else found * factors[:, None]

    return scores
