"""Reranking: the best rows of a search of codes, scored by the rows that were quantized."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ffjax.functional.search.types import EmbeddingsLike
from ffjax.kernels.top_k.block_max import Answers
from ffjax.kernels.top_k.search import best_of_rows
from ffjax.kernels.top_k.tiling import Tiling
from ffjax.storage import Storage
from ffjax.storage.explicit import takes_explicit
from ffjax.storage.row_subset import read_subset

_QUERIES = 1024  # queries whose rows are read from a file at a time


def check_rerank(rerank: Any, storage: Storage, n_rows: int) -> Storage | None:
    """The storage to rerank by, if any, with the same rows and dimensions."""
    if rerank is None:
        return None
    if isinstance(rerank, Storage):
        exact, same_rows = rerank, len(rerank) in (n_rows, len(storage))
    elif isinstance(rerank, EmbeddingsLike):
        exact, same_rows = rerank.storage, rerank.vocab.n_word_rows == n_rows
    else:
        raise TypeError(f"`rerank`: expected embeddings or a storage, got {type(rerank).__name__}.")
    if not same_rows or exact.shape[1] != storage.shape[1]:
        raise ValueError(
            f"`rerank`: expected the same rows, {n_rows} of {storage.shape[1]} dimensions, got "
            f"{exact!r}. It must have a row for each row that is searched."
        )
    return exact


@partial(jax.jit, static_argnames=("k", "metric", "tiling"))
@takes_explicit
def rerank_rows(
    exact: Storage,
    queries: Array,
    rows: Array,
    *,
    k: int,
    metric: str,
    tiling: Tiling | None = None,
) -> Answers:
    """The best `k` of some rows, `(scores, rows)`, equal scores in the order of the rows."""
    return best_of_rows(exact.row_source(len(exact)), queries, rows, k, metric, tiling)


def read_and_rerank(exact: Storage, queries: Any, rows: Array, **options) -> Answers:
    """As `rerank_rows`, outside of `jit`: reads only the rows listed, once for many queries."""
    starts = range(0, max(1, queries.shape[0]), _QUERIES)
    blocks = [slice(start, start + _QUERIES) for start in starts]
    answers = [_rerank_block(exact, queries[b], np.asarray(rows[b]), **options) for b in blocks]
    scores, best = (jnp.concatenate(both) for both in zip(*answers, strict=True))
    return scores, best


def _rerank_block(exact: Storage, queries: Any, rows: np.ndarray, **options) -> Answers:
    subset = read_subset(exact, rows)
    scores, best = rerank_rows(subset.rows, queries, jnp.asarray(subset.positions), **options)
    if not len(subset.ids):
        return scores, best
    best = np.asarray(best)
    return scores, jnp.asarray(np.where(best < 0, -1, subset.ids[best]).astype(np.int32))
