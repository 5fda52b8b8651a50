"""Batches of queries against embeddings, through the device functions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ffjax.cli.output import Answer, number

if TYPE_CHECKING:
    from ffjax import Embeddings, Rows


def encoded(embeddings: "Embeddings", words: Sequence[str]) -> tuple["Rows", Any]:
    """The rows and the vectors behind words, one of each for every word and for every filler row behind them."""
    import ffjax

    rows = ffjax.encode(embeddings.vocab, ffjax.pack(words))
    return rows, ffjax.lookup(embeddings, rows)


def nearest(embeddings: "Embeddings", vectors: Any, exclude: Any, found: Any, k: int) -> list[list[Answer] | None]:
    """The words nearest to each vector.

    Args:
        embeddings: the embeddings.
        vectors: one for each query, `[n, dims]`.
        exclude: rows to leave out, `[n, m]`, -1 for none.
        found: whether a query has a vector, `[n]`.
        k: how many words.

    Returns:
        Words with similarities, best first; `None` for queries without a vector.
    """
    import jax.numpy as jnp
    import numpy as np

    import ffjax

    k = min(k, embeddings.vocab.n_word_rows)
    best = ffjax.top_k(embeddings, vectors.astype(jnp.float32), k, exclude=exclude)
    words, first = embeddings.vocab.words, embeddings.vocab.row_words
    answers: list[list[Answer] | None] = []
    for rows, scores, known in zip(best.rows.tolist(), np.asarray(best.scores), np.asarray(found), strict=True):
        pairs = [(words[first[row]], number(score)) for row, score in zip(rows, scores, strict=True) if row >= 0]
        answers.append(pairs if known else None)
    return answers
