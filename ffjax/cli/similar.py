"""`ffjax similar`: nearest neighbours; and batches of queries, for `ffjax analogy` too."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from typer import Argument, Exit

import ffjax
from ffjax.cli.exit_status import UNANSWERED, BadInput
from ffjax.cli.files import load, shown
from ffjax.cli.inputs import Query, queries
from ffjax.cli.options import QueryOptions
from ffjax.cli.output import Answer, Answers, number
from ffjax.cli.progress import working

UNKNOWN_WORD = "an unknown word without known n-grams."
NOT_FINITE = "its vector has NaN or infinity in it."

# Words with similarities, best first, or `None` and the reason why there is no answer.
Outcome = tuple[list[Answer] | None, str]


class Vectors(NamedTuple):
    """Words as vectors.

    Attributes:
        vectors: float32 `[n, dims]`.
        ids: the row of each known word, -1 for the others, int32 `[n]`.
        has_vector: whether each word has a vector, bool `[n]`.
        is_finite: whether its vector is finite, bool `[n]`.
    """

    vectors: Any
    ids: Any
    has_vector: Any
    is_finite: Any


def similar(
    options: QueryOptions,
    words: Annotated[
        list[str] | None,
        Argument(metavar="WORD", help="Words; standard input if - or none."),
    ] = None,
) -> None:
    """Find the words that are most similar to each word.

    Similarity is the dot product, which is the cosine if vectors have unit
    length, as in finalfusion files; --metric chooses another. An unknown word
    is looked up through its n-grams if the embeddings have any. A word without
    a vector or an answer is reported on standard error, and the exit status
    is 1.

    In a pipe each line is WORD, NEIGHBOUR and SIMILARITY, separated by tabs.

    Examples:
      ffjax similar words.fifu berlin
      ffjax similar cc.de.300.bin Berlin Wien -k 3 --json
      ffjax similar words.fifu --input queries.txt > neighbours.tsv
      ffjax similar words.fifu berlin --metric angular --restrict 50000
      echo tea | ffjax similar words.fifu - | cut -f 2
    """

    def answer(emb: "ffjax.Embeddings", batch: list[Query]) -> list[Outcome]:
        batch_words = [word for (word,) in batch]
        return neighbours(emb, batch_words, options.k, options.metric, options.restrict)

    answer_queries(options, words or [], 1, answer)


def answer_queries(
    options: QueryOptions,
    words: Sequence[str],
    size: int,
    answer: Callable[["ffjax.Embeddings", list[Query]], list[Outcome]],
) -> None:
    """Loads embeddings, and answers queries of `size` words a batch at a time."""
    file = options.embeddings
    batches = queries(words, options.file, size, stdin_is_read=file == "-")
    emb = load(file, options.format, lossy=options.lossy, dims=options.input_dims)
    check_words(emb, file)
    answers = Answers(as_json=options.json)
    with working("Answering", unit="queries", quiet=sys.stdout.isatty()) as bar:
        for batch in batches:
            for query, (best, problem) in zip(batch, answer(emb, batch), strict=True):
                answers.add(query, best, problem)
            sys.stdout.flush()
            bar.advance(len(batch))
    if answers.unanswered:
        raise Exit(UNANSWERED)


def check_words(emb: "ffjax.Embeddings", file: str) -> None:
    """Checks that the embeddings have words to answer with."""
    if not len(emb.vocab):
        raise BadInput(f"{shown(file)}: expected words to choose from, got {emb.vocab!r}.")


def vectors_of(emb: "ffjax.Embeddings", words: Sequence[str]) -> Vectors:
    """The vectors of words of any lengths."""
    import numpy as np

    from ffjax.embeddings.similarity import vectors_of

    vectors, ids, has_vector = vectors_of(emb, words)
    return Vectors(vectors, ids, has_vector, np.isfinite(vectors).all(-1))


def limits(emb: "ffjax.Embeddings", k: int, restrict: int | None) -> dict[str, Any]:
    """The number of answers and the rows that may be answers, as arguments of `top_k`."""
    n_words = len(emb.vocab)
    return {"k": min(k, n_words, restrict or n_words), "candidates": emb.vocab.first_rows(restrict)}


def neighbours(
    emb: "ffjax.Embeddings", words: Sequence[str], k: int, metric: str, restrict: int | None
) -> list[Outcome]:
    """The words most similar to each word, as `Embeddings.word_similarity` gives them."""
    from ffjax.functional.search import nearest_rows

    queries = vectors_of(emb, words)
    exclude, settings = queries.ids[:, None], limits(emb, k, restrict)
    best = nearest_rows(emb, queries.vectors, metric=metric, exclude=exclude, **settings)
    outcomes: list[Outcome] = []
    for i, answers in enumerate(answers_of(emb, best)):
        if not queries.has_vector[i]:
            outcomes.append((None, UNKNOWN_WORD))
        elif not answers and not queries.is_finite[i]:
            outcomes.append((None, NOT_FINITE))
        else:
            outcomes.append((answers, ""))
    return outcomes


def answers_of(emb: "ffjax.Embeddings", best: "ffjax.TopK") -> list[list[Answer]]:
    """Rows as words with similarities."""
    from ffjax.embeddings.similarity import named

    return [
        [(result.word, number(result.similarity)) for result in results]
        for results in named(emb, best)
    ]
