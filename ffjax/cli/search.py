"""Batches of queries against embeddings, through the device functions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ffjax.cli.output import Answer, number

if TYPE_CHECKING:
    from ffjax import Embeddings, Rows, TopK


def encoded(embeddings: "Embeddings", words: Sequence[str]) -> tuple["Rows", Any]:
    """The rows and the vectors behind words, one of each for every word and for every filler row behind them."""
    import ffjax

    rows = ffjax.encode(embeddings.vocab, ffjax.pack(words))
    return rows, ffjax.lookup(embeddings, rows)


class Search(NamedTuple):
    """How answers are searched for.

    Attributes:
        k: at most how many.
        metric: what similarity is.
        restrict: how many words from the top may be answers, `None` for all.
    """

    k: int
    metric: str = "dot"
    restrict: int | None = None

    def size(self, embeddings: "Embeddings") -> int:
        """At most how many answers there are."""
        return min(self.k, len(embeddings.vocab) if self.restrict is None else self.restrict, len(embeddings.vocab))

    def rows(self, embeddings: "Embeddings") -> Any:
        """The rows that may be answers; a file has a row for each word."""
        n_rows = embeddings.vocab.n_word_rows
        return None if self.restrict is None or self.restrict >= n_rows else slice(0, self.restrict)


def nearest(embeddings: "Embeddings", vectors: Any, exclude: Any, how: Search) -> list[list[Answer]]:
    """The words nearest to each vector, best first, with similarities.

    Args:
        embeddings: the embeddings.
        vectors: one for each query, `[n, dims]`.
        exclude: rows to leave out, `[n, m]`, -1 for none.
        how: what to search for.
    """
    import jax.numpy as jnp

    import ffjax

    rows = how.rows(embeddings)
    vectors = vectors.astype(jnp.float32)
    best = ffjax.top_k(embeddings, vectors, how.size(embeddings), metric=how.metric, exclude=exclude, rows=rows)
    return named(embeddings, best)


def named(embeddings: "Embeddings", best: "TopK") -> list[list[Answer]]:
    """Rows as words with similarities."""
    from ffjax.neighbours import named as as_results

    return [[(result.word, number(result.similarity)) for result in each] for each in as_results(embeddings, best)]
