"""Searches that answer with words: what the methods of `Embeddings` that take strings are made of."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ffjax._internal.arrays import padded_size
from ffjax.embeddings.batch_lookup import embed_words
from ffjax.functional import analogy as analogies
from ffjax.functional.lookup import SimilarityResult
from ffjax.functional.search import EmbeddingsLike, TopK, checked_k
from ffjax.functional.search.api import top_k

# Queries that are searched at once: several blocks of the search, and few answers held beside each other.
_BATCH = 4096


def nearest(
    embeddings: EmbeddingsLike, query: np.ndarray, k: int, skip: Collection[str], *, metric: str = "dot"
) -> list[SimilarityResult]:
    """The words nearest to one vector, those in `skip` left out.

    Args:
        embeddings: the embeddings.
        query: a vector, shape `[dims]`.
        k: at most how many words.
        skip: words to leave out.
        metric: how to score, see `top_k`.

    Raises:
        TypeError: `skip` is one word, or `k` no whole number.
        ValueError: `k` is negative.
    """
    k = min(checked_k(k), embeddings.vocab.n_word_rows)
    best = top_k(embeddings, jnp.asarray(query, jnp.float32), k, exclude=_skipped(embeddings, skip), metric=metric)
    return named(embeddings, TopK(np.asarray(best.scores)[None], np.asarray(best.rows)[None]))[0]


def nearest_to_analogy(
    embeddings: EmbeddingsLike, vectors: np.ndarray, k: int, skip: Collection[str], method: str
) -> list[SimilarityResult]:
    """As `nearest`, for the answer to an analogy of three vectors, shape `[3, dims]`."""
    k = min(checked_k(k), embeddings.vocab.n_word_rows)
    exclude = _skipped(embeddings, skip)[None]
    vectors = np.asarray(vectors, np.float32)[:, None]
    return named(embeddings, analogies.answer(embeddings, vectors, k, method=method, exclude=exclude))[0]


def most_similar(
    embeddings: EmbeddingsLike, words: Sequence[str], k: int, *, metric: str = "dot", rows: Any = None
) -> list[list[SimilarityResult] | None]:
    """The words most similar to each of many, themselves left out; `None` for those without a vector.

    Args:
        embeddings: the embeddings.
        words: the words.
        k: at most how many words for each.
        metric: how to score, see `top_k`.
        rows: the rows that may be answers, see `top_k`.
    """
    k = min(checked_k(k), embeddings.vocab.n_word_rows)
    answers: list[list[SimilarityResult] | None] = []
    for start in range(0, len(words), _BATCH):
        some = words[start : start + _BATCH]
        vectors, own, found = vectors_of(embeddings, some)
        best = top_k(embeddings, vectors, k, metric=metric, exclude=own[:, None], candidates=rows)
        lists = named(embeddings, TopK(best.scores[: len(some)], best.rows[: len(some)]))
        answers += [each if has_vector else None for each, has_vector in zip(lists, found.tolist(), strict=True)]
    return answers


def vectors_of(embeddings: EmbeddingsLike, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vectors and the rows of words of any lengths, with filler rows so that batches share compiled programs.

    Returns:
        `(vectors, rows, found)`: float32 `[size, dims]`; the row of each known word, -1 for the others, int32 `[size]`;
        and whether each word has a vector, bool `[len(words)]`.
    """
    found, there = embed_words(embeddings, words)
    room = padded_size(len(words), 0, coarse=True)
    vectors, rows = np.zeros((room, found.shape[1]), np.float32), np.full(room, -1, np.int32)
    vectors[: len(words)] = found
    first = embeddings.vocab.host_index
    numbers = [first.get(word, -1) for word in words]
    rows[: len(words)] = numbers
    return vectors, rows, there


def named(embeddings: EmbeddingsLike, best: TopK) -> list[list[SimilarityResult]]:
    """Rows as words with scores: a row that several words share is called by the first of them."""
    words, first = embeddings.vocab.words, embeddings.vocab.row_words
    return [
        [SimilarityResult(words[first[row]], score) for row, score in zip(rows, scores, strict=True) if row >= 0]
        for rows, scores in zip(np.asarray(best.rows).tolist(), np.asarray(best.scores), strict=True)
    ]


def _skipped(embeddings: EmbeddingsLike, skip: Collection[str]) -> np.ndarray:
    if isinstance(skip, str):
        raise TypeError(f"`skip`: expected words, got the single word {skip!r}. Write {{{skip!r}}}.")
    wrong = skip if not isinstance(skip, Iterable) else next((each for each in skip if not isinstance(each, str)), None)
    if wrong is not None:
        raise TypeError(f"`skip`: expected words to leave out, got {type(wrong).__name__} {wrong!r}.")
    rows = [row for row in map(embeddings.vocab.host_index.get, skip) if row is not None]
    # A few sizes of the list of rows to leave out, so that searches share compiled programs.
    exclude = np.full(padded_size(len(rows), 4), -1, np.int32)
    exclude[: len(rows)] = rows
    return exclude
