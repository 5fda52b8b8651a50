"""The `k` rows with the largest product of cosines: 3CosMul, exactly, in bounded memory.

The search is that of `ffjax.kernels.top_k.block_max`: maxima of blocks of rows in one pass, then the rows of the best blocks.
Its proof asks only that a score belongs to a row, so it holds for this score too, which is no product with one query.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int32

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.normalize import normalize
from ffjax.kernels.top_k.row_source import RowFilter, RowSource, of_matrix

EPSILON = 1e-6
_BLOCK = 32
_SPARE = 2  # blocks more than needed: the two passes may round differently
_QUERIES = 64
_CHUNK = 1 << 20  # numbers that one step of the pass works on: what stays in a core's cache


@partial(jax.jit, static_argnames=("k", "n_rows"))
def cos_mul_top_k(
    matrix: Float[AnyArray, "rows dims"],
    queries: Float[AnyArray, "3 batch dims"],
    k: int,
    *,
    exclude: Int32[AnyArray, "batch n_exclude"] | None = None,
    allowed: Bool[AnyArray, "n_allowed"] | None = None,
    n_rows: int | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The rows x with the largest `cos(x, b) * cos(x, c) / (cos(x, a) + 1e-6)`, cosines moved to lie from 0 to 1.

    That is equation 4 of Levy and Goldberg, "Linguistic Regularities in Sparse and Explicit Word Representations"
    (CoNLL 2014), with cosines as in their footnote 7: `(1 + cos) / 2`. Zero vectors have a cosine of zero with all. A
    row whose score is NaN is never an answer, and a query with NaN has none.

    Args:
        matrix: rows to search, shape `[rows, dims]`.
        queries: a, b and c of each query, shape `[3, batch, dims]`, of any length.
        k: how many rows, static; where fewer may be answers, the rest is -1 with a score of minus infinity.
        exclude: rows to leave out for each query, -1 to fill up, shape `[batch, n_exclude]`.
        allowed: whether each row may be an answer, shape `[n_rows]`; by default all may.
        n_rows: search only this many rows from the top, static.

    Returns:
        `(scores, rows)` of shape `[batch, k]`, best first, equal scores in the order of the rows.

    Examples:
        >>> import jax.numpy as jnp
        >>> from ffjax.kernels.top_k.cos_mul import cos_mul_top_k
        >>> a, b, c = jnp.eye(4)[1:, None, :]
        >>> cos_mul_top_k(jnp.eye(4), jnp.stack([a, b, c]), k=2)[1].tolist()
        [[2, 3]]
    """
    matrix, queries = jnp.asarray(matrix), jnp.asarray(queries)
    limit = matrix.shape[0] if n_rows is None else min(n_rows, matrix.shape[0])
    allowed, exclude = (None if x is None else jnp.asarray(x) for x in (allowed, exclude))
    return cos_mul_of(of_matrix(matrix, limit), queries, k, RowFilter(allowed=allowed, exclude=exclude))


def cos_mul_of(
    source: RowSource, queries: Float[Array, "3 batch dims"], k: int, restriction: RowFilter
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """`cos_mul_top_k` of rows however they are stored, for use inside `jit`; a chunk is decoded at a time.

    Args:
        source: the rows.
        queries: a, b and c of each query.
        k: how many rows.
        restriction: which rows may be answers.
    """
    batch, dims = queries.shape[1:]
    if batch == 0 or k == 0 or source.n_rows == 0:
        return jnp.full((batch, k), -jnp.inf, jnp.float32), jnp.full((batch, k), -1, jnp.int32)
    exclude = restriction.exclude
    left_out = jnp.full((batch, 1), -1, jnp.int32) if exclude is None else exclude
    ends = (restriction.start is not None) + (restriction.stop is not None)  # blocks that only partly may be answers
    wanted = k + left_out.shape[1] + ends
    unit, _ = normalize(queries.astype(jnp.float32))
    turned = source.turned(unit.reshape(-1, dims)).reshape(3, batch, -1)
    size = min(_QUERIES, batch)
    missing = -batch % size
    terms = jnp.pad(turned, ((0, 0), (0, missing), (0, 0))).reshape(3, -1, size, turned.shape[-1])
    left_out = jnp.pad(left_out, ((0, missing), (0, 0)), constant_values=-1).reshape(-1, size, left_out.shape[1])

    def search(block: tuple[Array, Array]) -> tuple[Array, Array]:
        terms, left_out = block
        rows, valid = _candidates(_block_maxima(source, terms, restriction), wanted, source.n_rows)
        scores = _scores_of(source, terms, rows)
        scores = jnp.where(restriction.applied(valid, rows) & ~jnp.isnan(scores), scores, -jnp.inf)
        scores = jnp.where((rows[:, :, None] == left_out[:, None, :]).any(-1), -jnp.inf, scores)
        missing = ((0, 0), (0, max(0, k - rows.shape[1])))
        best, places = lax.top_k(jnp.pad(scores, missing, constant_values=-jnp.inf), k)
        chosen = jnp.take_along_axis(jnp.pad(rows, missing), places, axis=1)
        return best, jnp.where(best == -jnp.inf, jnp.int32(-1), chosen)

    scores, rows = lax.map(search, (jnp.moveaxis(terms, 1, 0), left_out))
    return scores.reshape(-1, k)[:batch], rows.reshape(-1, k)[:batch]


def _block_maxima(source: RowSource, terms: Array, restriction: RowFilter) -> Array:
    """The best score in each block of rows, the last of which may be shorter, shape `[blocks, batch]`."""
    batch, dims = terms.shape[1:]
    flat = lax.stop_gradient(terms).reshape(-1, dims)
    size = max(_BLOCK, _CHUNK // (dims + 3 * batch) // _BLOCK * _BLOCK)

    def of_rows(start: Array | int, size: int) -> Array:
        rows = lax.stop_gradient(source.chunk(start, size)).astype(jnp.float32)
        cosines = _dot(rows, flat) * source.lengths(rows, False)[:, None]
        scores = _combined(*jnp.split(cosines, 3, axis=1))
        rows = jnp.arange(size, dtype=jnp.int32) + start
        may_be = restriction.applied(jnp.ones(size, bool), rows)[:, None]
        # NaN would hide the other rows of its block.
        scores = jnp.where(may_be & ~jnp.isnan(scores), scores, -jnp.inf)
        ends = ((0, -size % _BLOCK), (0, 0))
        return lax.reduce_window(scores, -jnp.inf, lax.max, (_BLOCK, 1), (_BLOCK, 1), ends)

    n_chunks, rest = divmod(source.n_rows, size)
    found = [of_rows(source.n_rows - rest, rest)] if rest else []
    if n_chunks:
        chunks = lax.map(lambda i: of_rows(i * size, size), jnp.arange(n_chunks, dtype=jnp.int32))
        found.insert(0, chunks.reshape(-1, batch))
    return jnp.concatenate(found)


def _candidates(maxima: Array, wanted: int, n_rows: int) -> tuple[Array, Array]:
    """The rows of the best blocks of each query in ascending order, `[batch, n]`, and which of them exist."""
    _, blocks = lax.top_k(maxima.T, min(wanted + _SPARE, len(maxima)))
    first = jnp.sort(blocks).astype(jnp.int32) * _BLOCK
    rows = (first[:, :, None] + jnp.arange(_BLOCK, dtype=jnp.int32)[None, None, :]).reshape(len(blocks), -1)
    return jnp.minimum(rows, n_rows - 1), rows < n_rows


def _scores_of(source: RowSource, terms: Array, rows: Array) -> Array:
    """The scores of some rows for each query: the same contraction for each, so that equal rows score the same."""

    def of_query(query: tuple[Array, Array]) -> Array:
        own, ids = query
        found = source.rows(ids).astype(jnp.float32)
        return _combined(*((_dot(found, own) * source.lengths(found, True)[:, None]).T))

    return lax.map(of_query, (jnp.moveaxis(terms, 1, 0), rows))


def _combined(a: Array, b: Array, c: Array) -> Array:
    return (1 + b) / 2 * ((1 + c) / 2) / ((1 + a) / 2 + EPSILON)


def _dot(rows: Array, queries: Array) -> Array:
    return lax.dot_general(rows, queries, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)
