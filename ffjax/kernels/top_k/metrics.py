"""How rows are scored, defined in the docstrings of `ffjax.top_k` and `ffjax.analogy`.

A query of 3CosMul is three vectors, those of a, b and c; a query of the other metrics is one.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float32

from ffjax.kernels.normalize import normalize
from ffjax.kernels.top_k.rows import ChunkReader, RowSource
from ffjax.kernels.top_k.tiling import Tiling

METRICS = ("dot", "cosine", "euclidean", "angular")
COS_MUL = "3cosmul"
_EPSILON = 1e-6


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
