"""The `k` best rows for each query: first version, correct; the fast one replaces it."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from ffjax._types import AnyArray
from ffjax.ops.normalize import normalize


@partial(jax.jit, static_argnames=("k", "metric", "stop"))
def top_k(
    matrix: Float[AnyArray, "rows dims"],
    queries: Float[AnyArray, "batch dims"],
    k: int,
    *,
    metric: str = "dot",
    exclude: Int32[AnyArray, "batch n"] | None = None,
    stop: int | None = None,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The best rows, ties to the lower row; -1 and minus infinity where there are too few."""
    rows = jnp.asarray(matrix)[:stop].astype(jnp.float32)
    queries = jnp.asarray(queries).astype(jnp.float32)
    if metric == "cosine":
        rows, queries = normalize(rows)[0], normalize(queries)[0]
    scores = jnp.matmul(queries, rows.T, precision=jax.lax.Precision.HIGHEST)
    if exclude is not None:
        hit = (jnp.arange(rows.shape[0], dtype=jnp.int32)[None, :, None] == exclude[:, None, :]).any(-1)
        scores = jnp.where(hit, -jnp.inf, scores)
    best, ids = jax.lax.top_k(scores, min(k, rows.shape[0]))
    missing = ((0, 0), (0, k - best.shape[1]))
    best = jnp.pad(best, missing, constant_values=-jnp.inf)
    ids = jnp.pad(ids, missing, constant_values=-1)
    return best, jnp.where(best == -jnp.inf, jnp.int32(-1), ids)
