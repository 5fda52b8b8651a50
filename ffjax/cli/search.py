"""Batches of queries against embeddings, through the device functions."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from ffjax.cli.exit_status import UNANSWERED, BadInput
from ffjax.cli.files import load, shown
from ffjax.cli.inputs import Query, queries
from ffjax.cli.options import QueryOptions
from ffjax.cli.output import Answer, Answers, number
from ffjax.cli.progress import working

if TYPE_CHECKING:
    from ffjax import Embeddings, TopK

UNKNOWN_WORD = "an unknown word without known n-grams."
NOT_FINITE = "its vector has NaN or infinity in it."

# Words with similarities, best first, or `None` and the reason why there is no answer.
Outcome = tuple[list[Answer] | None, str]


class Search(NamedTuple):
    """How answers are searched for: at most `k`, by a metric, among the first words or all."""

    k: int
    metric: str = "dot"
    restrict: int | None = None

    def limits(self, embeddings: "Embeddings") -> dict[str, Any]:
        """The number of answers and the rows that may be answers, as arguments of `top_k`."""
        n_words = len(embeddings.vocab)
        k = min(self.k, n_words, n_words if self.restrict is None else self.restrict)
        return {"k": k, "candidates": embeddings.vocab.first_rows(self.restrict)}


class Vectors(NamedTuple):
    """Words as vectors, padded to one of a few sizes.

    Attributes:
        vectors: float32 `[size, dims]`.
        ids: the row of each known word, -1 for the others, int32 `[size]`.
        has_vector: whether each word has a vector, bool `[n]`.
        is_finite: whether its vector is finite, bool `[n]`.
    """

    vectors: Any
    ids: Any
    has_vector: Any
    is_finite: Any


def answer_queries(
    options: QueryOptions,
    words: Sequence[str],
    size: int,
    answer: Callable[["Embeddings", list[Query], Search], list[Outcome]],
) -> None:
    """Loads embeddings, and answers queries of `size` words a batch at a time.

    Raises:
        Exit: a query has no answer.
    """
    file, search = options.embeddings, Search(options.k, options.metric, options.restrict)
    batches = queries(words, options.file, size, stdin_is_read=file == "-")
    emb = load(file, options.format, lossy=options.lossy)
    check_words(emb, shown(file))
    answers = Answers(as_json=options.json)
    with working("Answering", unit="queries", quiet=sys.stdout.isatty()) as bar:
        for batch in batches:
            for query, (best, problem) in zip(batch, answer(emb, batch, search), strict=True):
                answers.add(query, best, problem)
            sys.stdout.flush()
            bar.advance(len(batch))
    if answers.unanswered:
        raise typer.Exit(UNANSWERED)


def check_words(embeddings: "Embeddings", name: str) -> None:
    """Checks that the embeddings have words to answer with.

    Raises:
        BadInput: they have none.
    """
    if not len(embeddings.vocab):
        raise BadInput(f"{name}: expected words to choose from, got {embeddings.vocab!r}.")


def vectors_of(embeddings: "Embeddings", words: Sequence[str]) -> Vectors:
    """The vectors of words of any lengths."""
    import numpy as np

    from ffjax.embeddings.similarity import vectors_of

    vectors, ids, has_vector = vectors_of(embeddings, words)
    return Vectors(vectors, ids, has_vector, np.isfinite(vectors[: len(words)]).all(-1))


def neighbours(embeddings: "Embeddings", words: Sequence[str], search: Search) -> list[Outcome]:
    """The words most similar to each word, as `Embeddings.word_similarity` gives them."""
    from ffjax import top_k

    queries = vectors_of(embeddings, words)
    limits = search.limits(embeddings)
    exclude = queries.ids[:, None]
    best = top_k(embeddings, queries.vectors, metric=search.metric, exclude=exclude, **limits)
    outcomes: list[Outcome] = []
    for i, answers in enumerate(answers_of(embeddings, best)[: len(words)]):
        if not queries.has_vector[i]:
            outcomes.append((None, UNKNOWN_WORD))
        elif not answers and not queries.is_finite[i]:
            outcomes.append((None, NOT_FINITE))
        else:
            outcomes.append((answers, ""))
    return outcomes


def answers_of(embeddings: "Embeddings", best: "TopK") -> list[list[Answer]]:
    """Rows as words with similarities."""
    from ffjax.embeddings.similarity import named

    return [
        [(result.word, number(result.similarity)) for result in results]
        for results in named(embeddings, best)
    ]
