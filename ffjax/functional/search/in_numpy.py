"""Search in NumPy, for methods that take strings, and the choice between it and compiled code."""

from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from ffjax._internal.arrays import pad_rows, padded_size, release_pages
from ffjax._internal.cpus import map_blocks
from ffjax.functional.search.api import top_k, top_products
from ffjax.functional.search.arguments import (
    EmbeddingsLike,
    TopK,
    check_search,
    checked_k,
    row_filter,
    searched_rows,
)
from ffjax.functional.search.out_of_core import KEEP
from ffjax.functional.tier import SEARCH_NUMBERS, in_numpy
from ffjax.kernels.top_k.rows import COS_MUL, RowFilter
from ffjax.kernels.top_k.search import Plan
from ffjax.kernels.top_k.top_k_numpy import (
    Answers,
    best_rows,
    cos_mul,
    from_cosine,
    unit_queries,
)
from ffjax.storage import Storage

# Numbers of rows that a thread scores at a time, and scores of a group of queries.
_TASK_NUMBERS, _GROUP_SCORES = 1 << 22, 1 << 25
# `k` and the number of queries are rounded up to these in compiled code, then to powers of two.
_ANSWERS, _QUERIES = (10, 50, 200, 1000), (16, 64, 256, 1024)


def nearest_rows(
    embeddings: EmbeddingsLike | Storage,
    queries: Float32[np.ndarray, "batch *terms dims"],
    k: int,
    *,
    metric: str = "dot",
    exclude: Int32[np.ndarray, "batch n"] | None = None,
    candidates: Any = None,
) -> TopK:
    """`top_k` for methods that take strings: NumPy arrays, and no program for little work.

    With the metric `COS_MUL`, queries are the vectors of a, b and c, `[batch, 3, dims]`.

    Examples:
        >>> import ffjax
        >>> storage = ffjax.NdArray(np.eye(3, dtype=np.float32))
        >>> nearest_rows(storage, np.array([[0, 0.5, 1]], np.float32), k=2).rows.tolist()
        [[2, 1]]
    """
    storage, n_rows = searched_rows(embeddings)
    k = checked_k(k)
    check_search(storage, queries, "cosine" if metric == COS_MUL else metric)
    work = n_rows * queries.size * storage.host_cost
    if in_numpy(work, SEARCH_NUMBERS, storage):
        allowed = row_filter(candidates, exclude, n_rows)
        return TopK(*search_on_host(storage, queries, allowed, n_rows, Plan(k, metric)))
    batch = len(queries)
    n_missing = _rounded(batch, _QUERIES) - batch
    queries = pad_rows(queries, n_missing)
    if exclude is not None:
        exclude = pad_rows(exclude, n_missing, -1)
    n = min(_rounded(k, _ANSWERS), n_rows)
    options = {"exclude": exclude, "candidates": candidates}
    if metric == COS_MUL:
        best = top_products(embeddings, np.moveaxis(queries, 1, 0), n, **options)
    else:
        best = top_k(embeddings, queries, n, metric=metric, **options)
    scores, rows = np.asarray(best.scores)[:batch, :k], np.asarray(best.rows)[:batch, :k]
    missing = ((0, 0), (0, k - scores.shape[1]))
    scores = np.pad(scores, missing, constant_values=-np.inf)
    return TopK(scores, np.pad(rows, missing, constant_values=-1))


def all_scores(
    embeddings: EmbeddingsLike, query: Float32[np.ndarray, " dims"], metric: str
) -> Float32[np.ndarray, " n"]:
    """The scores of all words' rows for one query, of unit length for metrics other than `"dot"`.

    NumPy reads each row once, however many there are; rows on other devices stay there.
    """
    storage, n_rows = searched_rows(embeddings)
    if in_numpy(0, SEARCH_NUMBERS, storage):
        return scores_on_host(storage, query[None], 0, n_rows, metric)[0]
    best = nearest_rows(embeddings, query[None], n_rows, metric=metric)
    scores = np.empty(n_rows, np.float32)
    scores[best.rows[0]] = best.scores[0]
    return scores


def search_on_host(
    storage: Storage,
    queries: Float32[np.ndarray, "batch *terms dims"],
    allowed: RowFilter,
    n_rows: int,
    plan: Plan,
) -> Answers:
    """Searches the first `n_rows` rows of a storage in NumPy; equal scores by the lower row."""
    k, metric = plan.k, plan.metric
    if metric != "dot":
        queries = unit_queries(queries)
    start = 0 if allowed.start is None else max(0, int(allowed.start))
    stop = n_rows if allowed.stop is None else min(n_rows, int(allowed.stop))
    ids = None if allowed.ids is None else np.asarray(allowed.ids)
    n = max(0, stop - start) if ids is None else len(ids)
    step = max(1, _GROUP_SCORES // max(1, n * max(1, queries[:1].size // storage.shape[1])))
    groups = [slice(i, i + step) for i in range(0, max(1, len(queries)), step)]
    answers = []
    for group in groups:
        scores = scores_on_host(storage, queries[group], start if ids is None else ids, n, metric)
        if allowed.mask is not None:
            scores[:, ~np.asarray(allowed.mask)[start : start + n]] = -np.inf
        if allowed.exclude is not None:
            _exclude(scores, np.asarray(allowed.exclude)[group], start if ids is None else ids)
        answers.append(best_rows(scores, start if ids is None else ids, k))
    scores, rows = (np.concatenate(both) for both in zip(*answers, strict=True))
    return from_cosine(scores, metric), rows


def scores_on_host(
    storage: Storage, queries: np.ndarray, rows: int | np.ndarray, n: int, metric: str
) -> np.ndarray:
    """The scores of `n` rows from a first one on, or of listed rows, `[batch, n]`.

    Queries have unit length for metrics other than `"dot"`, for which scores are cosines.
    """
    dims = storage.shape[1]
    flat = queries.reshape(-1, dims)
    scores = np.empty((len(flat), n), np.float32)
    step = max(1, _TASK_NUMBERS // dims)

    def score(begin: int) -> None:
        end = min(begin + step, n)
        key = slice(begin + rows, end + rows) if isinstance(rows, int) else rows[begin:end]
        scores[:, begin:end] = storage.host_scores(key, flat, unit=metric != "dot")
        release_pages(storage, keep=KEEP)

    map_blocks(score, range(0, n, step))
    if metric == COS_MUL:
        return cos_mul(scores.reshape(len(queries), 3, n))
    return scores


def _exclude(scores: np.ndarray, exclude: np.ndarray, rows: int | np.ndarray) -> None:
    """Gives the rows to leave out for each query a score of minus infinity."""
    if isinstance(rows, int):
        positions = exclude - rows
        valid = (exclude >= 0) & (positions >= 0) & (positions < scores.shape[1])
    else:
        positions = np.minimum(np.searchsorted(rows, exclude), max(0, len(rows) - 1))
        valid = (rows[positions] == exclude) if len(rows) else np.zeros(exclude.shape, bool)
    query, column = np.nonzero(valid)
    scores[query, positions[query, column]] = -np.inf


def _rounded(n: int, sizes: tuple[int, ...]) -> int:
    """A number rounded up to one of some sizes, beyond them to a power of two."""
    return next((size for size in sizes if n <= size), padded_size(n))
