"""Analogies: "a is to b as c is to what?", for batches, inside compiled programs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.file_arguments import check_choice
from ffjax.functional.lookup import checked_strings, encode, lookup
from ffjax.functional.search import EmbeddingsLike, TopK, nearest_rows, top_k, top_products
from ffjax.kernels.normalize import normalize
from ffjax.kernels.top_k.rows import COS_MUL
from ffjax.kernels.top_k.top_k_numpy import unit_queries
from ffjax.storage import Storage
from ffjax.strings.string_table import Strings

METHODS = ("3cosadd", "3cosmul")


def analogy(
    embeddings: EmbeddingsLike,
    a: Strings,
    b: Strings,
    c: Strings,
    k: int,
    *,
    method: str = "3cosadd",
    metric: str = "dot",
    include_queries: bool = False,
    candidates: Any = None,
) -> TopK:
    """Answers "a is to b as c is to what?" for batches of packed words.

    The answers are words, without the query words themselves, by one of two methods:

    - `"3cosadd"`: those nearest to `b - a + c` at unit length. With the metric `"dot"` the vectors
      are added as they are, as finalfusion does; with another metric each is first scaled to unit
      length, as gensim does. For vectors of unit length that is the same.
    - `"3cosmul"`: those with the largest `cos(x, b) * cos(x, c) / (cos(x, a) + 1e-6)`, each cosine
      moved to lie from 0 to 1 as `(1 + cos) / 2`: equation 4 and footnote 7 of Levy and Goldberg,
      "Linguistic Regularities in Sparse and Explicit Word Representations" (CoNLL 2014), which is
      gensim's `most_similar_cosmul`. Zero vectors have a cosine of zero with all.

    Args:
        embeddings: the embeddings.
        a: packed words.
        b: packed words, as many.
        c: packed words, as many.
        k: how many answers.
        method: `"3cosadd"` or `"3cosmul"`.
        metric: for `"3cosadd"`, how to score, see `top_k`.
        include_queries: whether the query words may be answers.
        candidates: the rows that may be answers, see `top_k`.

    Returns:
        `TopK` of shape `[*batch, k]`; rows are -1 where one of the three words has no vector.

    Raises:
        TypeError: if words are not packed, or another argument has another type.
        ValueError: if batches have different sizes, `k` is negative, the method or the metric is
            unknown, or a metric is given for `"3cosmul"`.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> a, b, c = (ffjax.pack([word]) for word in ("man", "king", "woman"))
        >>> for method in ("3cosadd", "3cosmul"):
        ...     best = ffjax.analogy(emb, a, b, c, k=1, method=method)
        ...     print(emb.vocab.words[int(best.rows[0, 0])])
        queen
        queen
    """
    a, b, c = map(checked_strings, "abc", (a, b, c))
    check_embeddings(embeddings)
    batch = a.lengths.shape
    if not batch == b.lengths.shape == c.lengths.shape:
        sizes = f"{a.lengths.size}, {b.lengths.size} and {c.lengths.size}"
        raise ValueError(
            f"`a`, `b`, `c`: expected batches of one size, got {sizes} rows. "
            "Pass `count=` to `ffjax.pack`."
        )
    encoded = [encode(embeddings.vocab, strings.flat()) for strings in (a, b, c)]
    vectors = jnp.stack([lookup(embeddings, rows).astype(jnp.float32) for rows in encoded])
    exclude = None if include_queries else jnp.stack([rows.words for rows in encoded], axis=-1)
    check_method(method, metric)
    options = {"exclude": exclude, "candidates": candidates}
    if method == "3cosmul":
        best = top_products(embeddings, vectors, k, **options)
    else:
        best = top_k(embeddings, _target(vectors, metric), k, metric=metric, **options)
    answerable = (encoded[0].found & encoded[1].found & encoded[2].found)[:, None]
    scores = jnp.where(answerable, best.scores, -jnp.inf)
    rows = jnp.where(answerable, best.rows, jnp.int32(-1))
    shape = (*batch, rows.shape[-1])
    return TopK(scores.reshape(shape), rows.reshape(shape))


def host_answer(
    embeddings: EmbeddingsLike | Storage,
    vectors: np.ndarray,
    k: int,
    *,
    method: str = "3cosadd",
    metric: str = "dot",
    exclude: np.ndarray | None = None,
    candidates: Any = None,
) -> TopK:
    """As `analogy`, for the vectors of a, b and c; little work is done in NumPy.

    Of a storage, all rows are searched.
    """
    check_method(method, metric)
    vectors = np.asarray(vectors, np.float32)
    if method == "3cosmul":
        metric, queries = COS_MUL, np.moveaxis(vectors, 0, 1)
    else:
        a, b, c = vectors if metric == "dot" else unit_queries(vectors)
        queries = unit_queries(c + (b - a))
    options = {"metric": metric, "exclude": exclude, "candidates": candidates}
    return nearest_rows(embeddings, queries, k, **options)


@partial(jax.jit, static_argnames="metric")
def _target(vectors: Array, metric: str) -> Array:
    """The query of 3CosAdd: `b - a + c` at unit length."""
    a, b, c = vectors if metric == "dot" else normalize(vectors)[0]
    return normalize(c + (b - a))[0]


def check_method(method: str, metric: str) -> None:
    """Checks `method`, and that `metric` is not given for 3CosMul, which defines its own."""
    check_choice("method", method, METHODS)
    if method == "3cosmul" and metric not in ("dot", "cosine"):
        raise ValueError(
            "`metric`: expected 'cosine' for the method '3cosmul', which defines its own score, "
            f"got {metric!r}."
        )
