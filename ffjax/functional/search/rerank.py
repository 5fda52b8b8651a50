"""Ranking anew: the best rows of a search on codes, scored by the rows that the codes were made of."""

import operator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from ffjax._internal.arrays import padded_size
from ffjax.functional.search.types import EmbeddingsLike
from ffjax.kernels.top_k.metrics import best_of_rows
from ffjax.storage import NdArray, Storage

# Queries whose rows are fetched from a file at a time.
_QUERIES = 1024


def reranking(rerank: Any, factor: Any, storage: Storage, n_rows: int) -> tuple[Storage | None, int]:
    """The storage to rank by, if there is one, and how many times `k` rows to rank.

    Raises:
        TypeError: `rerank` is neither embeddings nor a storage, or `rerank_factor` no whole number.
        ValueError: it has other rows or dimensions, or `rerank_factor` is below 1.
    """
    try:
        factor = operator.index(factor)
    except TypeError as error:
        raise TypeError(f"`rerank_factor`: expected a whole number, got {type(factor).__name__} {factor!r}.") from error
    if factor < 1:
        raise ValueError(f"`rerank_factor`: expected 1 or more, got {factor}.")
    if rerank is None:
        return None, factor
    if isinstance(rerank, Storage):
        exact, fits = rerank, len(rerank) in (n_rows, len(storage))
    elif isinstance(rerank, EmbeddingsLike):
        exact, fits = rerank.storage, rerank.vocab.n_word_rows == n_rows
    else:
        raise TypeError(f"`rerank`: expected embeddings or a storage, got {type(rerank).__name__}.")
    if not fits or exact.shape[1] != storage.shape[1]:
        raise ValueError(
            f"`rerank`: expected the same rows, {n_rows} of {storage.shape[1]} dimensions, got {exact!r}. "
            "What is ranked by must have a row for each row that is searched."
        )
    return exact, factor


@partial(jax.jit, static_argnames=("k", "metric"))
def rank(
    exact: Storage, queries: Float[Array, "batch dims"], rows: Int32[Array, "batch n"], *, k: int, metric: str
) -> tuple[Array, Array]:
    """The best `k` of some rows, `(scores, rows)`; of equal scores the lower row comes first."""
    return best_of_rows(exact.row_source(len(exact)), queries, rows, k, metric)


def rank_fetched(
    exact: Storage, queries: Float[Array, "batch dims"], rows: Int32[Array, "batch n"], *, k: int, metric: str
) -> tuple[Array, Array]:
    """As `rank`, outside of `jit`: reads the rows that are needed, each once for many queries."""
    parts = [
        _fetched(exact, queries[first : first + _QUERIES], np.asarray(rows[first : first + _QUERIES]), k, metric)
        for first in range(0, max(1, queries.shape[0]), _QUERIES)
    ]
    scores, found = (jnp.concatenate(both) for both in zip(*parts, strict=True))
    return scores, found


def _fetched(exact: Storage, queries: Array, rows: np.ndarray, k: int, metric: str) -> tuple[Array, Array]:
    ids = np.unique(rows[rows >= 0])
    padded = np.resize(ids, padded_size(len(ids), 0, coarse=True)) if len(ids) else np.zeros(0, np.int64)
    few = NdArray(exact.embedding(padded)) if len(ids) else NdArray(np.zeros((0, exact.shape[1]), np.float32))
    places = np.where(rows < 0, -1, np.searchsorted(ids, rows)).astype(np.int32)
    scores, best = rank(few, queries, jnp.asarray(places), k=k, metric=metric)
    found = np.asarray(best)
    return scores, jnp.asarray(np.where(found < 0, -1, ids[found] if len(ids) else found).astype(np.int32))
