"""Batches of queries against embeddings, through the device functions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ffjax.cli.exit_status import BadInput
from ffjax.cli.output import Answer, number

if TYPE_CHECKING:
    from ffjax import Embeddings, TopK


# Why there is no answer for a word that has a vector.
ODD = "its vector has NaN or infinity in it."


def check_words(embeddings: "Embeddings", name: str) -> None:
    """Refuses embeddings that have no words to answer with.

    Raises:
        BadInput: so it is.
    """
    if not len(embeddings.vocab):
        raise BadInput(f"{name}: expected words to choose from, got {embeddings.vocab!r}, which has none.")


class Encoded(NamedTuple):
    """Words as vectors.

    Attributes:
        vectors: float32 `[size, dims]`, where `size`, one of a few, is no less than the number of words.
        rows: the row of each known word, -1 for the others, int32 `[size]`.
        found: whether each word has a vector, bool `[n]`.
        finite: whether all numbers of its vector are finite, bool `[n]`.
    """

    vectors: Any
    rows: Any
    found: Any
    finite: Any


def encoded(embeddings: "Embeddings", words: Sequence[str]) -> Encoded:
    """Words, of any lengths, as vectors."""
    import numpy as np

    from ffjax.embeddings.similarity import vectors_of

    vectors, rows, found = vectors_of(embeddings, words)
    return Encoded(vectors, rows, found, np.isfinite(vectors[: len(words)]).all(-1))


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
        """The rows that may be answers, those of the first words; in snapshots words may share rows."""
        return embeddings.vocab.first_rows(self.restrict)


def nearest(embeddings: "Embeddings", queries: Encoded, how: Search) -> list[list[Answer]]:
    """The words nearest to each word, itself left out, best first, with similarities.

    Args:
        embeddings: the embeddings.
        queries: the words.
        how: what to search for.
    """
    import ffjax

    best = ffjax.top_k(
        embeddings,
        queries.vectors,
        how.size(embeddings),
        metric=how.metric,
        exclude=queries.rows[:, None],
        rows=how.rows(embeddings),
    )
    return named(embeddings, best)[: len(queries.found)]


def named(embeddings: "Embeddings", best: "TopK") -> list[list[Answer]]:
    """Rows as words with similarities."""
    from ffjax.embeddings.similarity import named as as_results

    return [[(result.word, number(result.similarity)) for result in each] for each in as_results(embeddings, best)]
