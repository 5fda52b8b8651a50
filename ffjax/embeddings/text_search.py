"""`search`: the lines of a text that are most similar to queries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax.embeddings.text import embed_text
from ffjax.functional.search import EmbeddingsLike, TopK, checked_k, nearest_rows
from ffjax.storage.dense import check_matrix, unplaced


def search(
    lines: Any,
    queries: Any,
    k: int = 10,
    *,
    embeddings: EmbeddingsLike | None = None,
    metric: str = "cosine",
    **options: Any,
) -> TopK:
    r"""The lines of a text that are most similar to queries, best first: semantic search.

    Both become vectors by `embed_text`, and every line is compared with every query. To search the
    same lines again, pass their vectors: those of `embed_text`, or the file of `embed_file` as
    `np.load(path, mmap_mode="r")`.

    A line without a vector is not an answer, and a query without one has none.

    Args:
        lines: text in any form that `embed_text` takes; or vectors, shape `[n, dims]`.
        queries: the same.
        k: at most how many lines for each query.
        embeddings: the embeddings, which vectors do not need.
        metric: `"cosine"`, or one of the others of `ffjax.top_k`.
        options: those of `embed_text`, such as `pooling`, `weights` and `lowercase`.

    Returns:
        `TopK` of NumPy arrays, shape `[n_queries, k]`, or as many columns as there are lines: the
        scores, and the numbers of the lines as `rows`, -1 after the last answer.

    Raises:
        TypeError: if an argument is of another type, or there is text but no `embeddings`.
        ValueError: if `k` is negative, an option or the metric is unknown, or vectors differ in
            their dimensions.

    Examples:
        >>> import ffjax
        >>> lines = ["the bank raised its rates", "a cup of green tea", "flights to berlin"]
        >>> best = ffjax.search(lines, ["coffee or milk"], k=1, embeddings=ffjax.demo())
        >>> [lines[row] for row in best.rows[0]]
        ['a cup of green tea']
    """
    vectors, has_vector = _vectors("lines", lines, embeddings, options)
    query_vectors, answerable = _vectors("queries", queries, embeddings, options)
    storage = unplaced(vectors)
    k = min(checked_k(k), len(storage))
    query_vectors = np.asarray(query_vectors, np.float32)
    best = nearest_rows(storage, query_vectors, k, metric=metric, candidates=has_vector)
    if answerable is None:
        return best
    answerable = answerable[:, None]
    scores = np.where(answerable, best.scores, np.float32(-np.inf))
    return TopK(scores, np.where(answerable, best.rows, np.int32(-1)))


def _vectors(
    name: str, text: Any, embeddings: EmbeddingsLike | None, options: dict[str, Any]
) -> tuple[Any, np.ndarray | None]:
    """Vectors, and for text which lines have one."""
    if isinstance(text, np.ndarray | jax.Array) and jnp.issubdtype(text.dtype, jnp.floating):
        vectors = text.astype(np.float32) if text.dtype == np.float64 else text
        check_matrix(vectors)
        return vectors, None
    if embeddings is None:
        raise TypeError(
            f"`embeddings`: expected Embeddings, since `{name}` are text, got None. Pass "
            "`embeddings=ffjax.load(path)`."
        )
    check_embeddings(embeddings)
    vectors, counts = embed_text(embeddings, text, **options)
    return vectors, counts > 0
