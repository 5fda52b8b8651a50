"""`search`: the lines of a text that are most similar to queries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ffjax.embeddings.similarity import number_of_answers
from ffjax.embeddings.text import EmbedsLines, changed_options, embed_text
from ffjax.functional.search import EmbeddingsLike, TopK, nearest_rows
from ffjax.storage.dense import check_matrix, unplaced


def search(
    lines: Any,
    queries: Any,
    k: int = 10,
    *,
    embeddings: EmbeddingsLike | EmbedsLines | None = None,
    metric: str = "cosine",
    pooling: str = "mean",
    weights: Any = None,
    unnormalize: bool = False,
    lowercase: bool = False,
    strip_punctuation: bool = False,
    topn: int | None = None,
) -> TopK:
    r"""The lines of a text that are most similar to queries, best first: semantic search.

    Both become vectors by `embed_text`, and every line is compared with every query. To search the
    same lines again, pass their vectors: those of `embed_text`, or the file of `embed_file` as
    `np.load(path, mmap_mode="r")`.

    A line without a vector, or whose vector is zero, is not an answer, and such a query has none.

    Args:
        lines: text in any form that `embed_text` takes; or vectors: numbers of shape `[n, dims]`.
        queries: the same.
        k: at most how many lines for each query.
        embeddings: the embeddings, or a static model; vectors do not need any.
        metric: `"cosine"`, or another metric of `ffjax.top_k`.
        pooling: as in `embed_text`, like the arguments after it; for text only, and not for static
            models.
        weights: as in `embed_text`.
        unnormalize: as in `embed_text`.
        lowercase: as in `embed_text`.
        strip_punctuation: as in `embed_text`.
        topn: another name for `k`.

    Returns:
        `TopK` of NumPy arrays, shape `[n_queries, k]`, or as many columns as there are lines: the
        scores, and the numbers of the lines as `rows`, -1 after the last answer.

    Raises:
        TypeError: if an argument is of another type, or there is text but no `embeddings`.
        ValueError: if `k` is negative, the metric or pooling is unknown, vectors differ in their
            dimensions, or there is an option of `embed_text` but no text.

    Examples:
        >>> import ffjax
        >>> lines = ["the bank raised its rates", "a cup of green tea", "flights to berlin"]
        >>> best = ffjax.search(lines, ["coffee or milk"], k=1, embeddings=ffjax.demo())
        >>> [lines[row] for row in best.rows[0]]
        ['a cup of green tea']
    """
    options = {"pooling": pooling, "weights": weights, "unnormalize": unnormalize}
    options |= {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    if _are_vectors(lines) and _are_vectors(queries):
        for name in changed_options(options):
            raise ValueError(
                f"`{name}`: expected text to apply it to, got vectors for `lines` and `queries`. "
                "Pass it to `embed_text`, which makes the vectors."
            )
    storage = unplaced(_vectors("lines", lines, embeddings, options))
    query_vectors = np.asarray(_vectors("queries", queries, embeddings, options), np.float32)
    k = min(number_of_answers("k", k, "topn", topn), len(storage))
    best = nearest_rows(storage, query_vectors, k, metric=metric)
    # Zero rows are looked for among the answers: to read all rows would take as long as the search.
    if not _nonzero(storage.read(np.unique(best.rows[best.rows >= 0]))).all():
        nonzero = np.concatenate([_nonzero(rows) for _, rows in storage.row_blocks()])
        best = nearest_rows(storage, query_vectors, k, metric=metric, candidates=nonzero)
    answerable = _nonzero(query_vectors)[:, None]
    scores = np.where(answerable, best.scores, np.float32(-np.inf))
    return TopK(scores, np.where(answerable, best.rows, np.int32(-1)))


def _nonzero(rows: np.ndarray) -> np.ndarray:
    return (rows != 0).any(1)


def _are_vectors(text: Any) -> bool:
    """Whether an argument is an array of numbers, other than the bytes of a text."""
    if not isinstance(text, np.ndarray | jax.Array):
        return False
    is_integer = jnp.issubdtype(text.dtype, jnp.integer)
    return jnp.issubdtype(text.dtype, jnp.floating) or (is_integer and text.ndim == 2)


def _vectors(
    name: str, text: Any, emb: EmbeddingsLike | EmbedsLines | None, options: dict[str, Any]
) -> Any:
    """Vectors as they are, or those of the lines of a text."""
    if _are_vectors(text):
        is_storable = jnp.issubdtype(text.dtype, jnp.floating) and text.dtype != np.float64
        vectors = text if is_storable else text.astype(np.float32)
        check_matrix(vectors)
        return vectors
    if emb is None:
        raise TypeError(
            f"`embeddings`: expected Embeddings, since `{name}` are text, got None. Pass "
            "`embeddings=ffjax.load(path)`."
        )
    return embed_text(emb, text, **options)[0]
