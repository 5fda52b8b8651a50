"""`ffjax similar`: nearest neighbours; and batches of queries, for `ffjax analogy` too."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import compress
from typing import Annotated, Any

from typer import Argument, Exit

import ffjax
from ffjax.cli.exit_status import UNANSWERED, BadInput, say
from ffjax.cli.files import load, shown
from ffjax.cli.inputs import Query, queries
from ffjax.cli.options import Json, Search, Source
from ffjax.cli.output import Answer, number, show_answers
from ffjax.cli.progress import working

UNKNOWN = "an unknown word without known n-grams."
NOT_FINITE = "its vector has NaN or infinity in it."

_BY_COSINE = Search(metric="cosine")

# Words with similarities, best first, or `None` and the reason why there is no answer.
Outcome = tuple[list[Answer] | None, str]
Answering = Callable[["ffjax.Embeddings", list[Query]], list[Outcome]]


def similar(
    source: Source,
    search: Search = _BY_COSINE,
    words: Annotated[
        list[str] | None, Argument(metavar="WORD", help="Words; standard input if - or none.")
    ] = None,
    json: Json = False,
) -> None:
    """Find the words that are most similar to each word.

    Similarity is the cosine. --metric chooses another, such as finalfusion's
    dot product, which differs a little for quantized vectors.
    An unknown word is looked up through its n-grams if the embeddings have
    any. A word without a vector or an answer is reported on standard error,
    and the exit status is 1.

    In a pipe each line is WORD, NEIGHBOUR and SIMILARITY, separated by tabs.

    Examples:
      ffjax similar demo berlin
      ffjax similar cc.de.300.bin Berlin Wien -k 3 --json
      ffjax similar words.fifu --input queries.txt > neighbours.tsv
      ffjax similar words.fifu berlin --metric angular --restrict 50000
      echo tea | ffjax similar words.fifu - | cut -f 2
    """

    def answer(emb: "ffjax.Embeddings", batch: list[Query]) -> list[Outcome]:
        words = [word for (word,) in batch]
        _say_lower_case(emb, words)
        return neighbours(emb, words, search)

    answer_queries(source, queries(words, search.input, 1, source.file), answer, as_json=json)


def _say_lower_case(emb: "ffjax.Embeddings", words: list[str]) -> None:
    """Says which unknown words are known in lower case."""
    unknown = [word for word, row in zip(words, emb.vocab.rows_of(words), strict=True) if row < 0]
    lower = [word.lower() for word in unknown]
    for word, name, row in zip(unknown, lower, emb.vocab.rows_of(lower), strict=True):
        if row >= 0:
            say(f"{word} is unknown, but {name} is a word.")


def answer_queries(
    source: Source, batches: Iterator[list[Query]], answer: Answering, *, as_json: bool
) -> None:
    """Loads embeddings, and answers queries a batch at a time."""
    emb = load(source)
    check_words(emb, source)
    print_answers(batches, partial(answer, emb), as_json=as_json)


def print_answers(
    batches: Iterator[list[Query]], answer: Callable[[list[Query]], list[Outcome]], *, as_json: bool
) -> None:
    """Answers queries a batch at a time, and ends with the status that says whether all were."""
    n_unanswered = 0
    with working("Answering", unit="queries", quiet=sys.stdout.isatty()) as bar:
        for batch in batches:
            for query, (best, problem) in zip(batch, answer(batch), strict=True):
                show_answers(query, best, problem, as_json=as_json)
                n_unanswered += not best
            sys.stdout.flush()
            bar.advance(len(batch))
    if n_unanswered:
        raise Exit(UNANSWERED)


def check_words(emb: "ffjax.Embeddings", source: Source) -> None:
    """Checks that the embeddings have words to answer with."""
    if not len(emb.vocab):
        expected = "expected words to choose from, got embeddings without words"
        raise BadInput(f"{shown(source.file)}: {expected}. `ffjax embed` embeds text with them.")


def limits(emb: "ffjax.Embeddings", search: Search) -> dict[str, Any]:
    """The number of answers and the rows that may be answers, as arguments of `top_k`."""
    n_words, first = len(emb.vocab), search.restrict
    k = min(search.k, n_words, first or n_words)
    return {"k": k, "candidates": emb.vocab.first_rows(first), "metric": search.metric}


def neighbours(emb: "ffjax.Embeddings", words: Sequence[str], search: Search) -> list[Outcome]:
    """The words most similar to each word, as `Embeddings.word_similarity` gives them."""
    from ffjax.embeddings.similarity import vectors_of
    from ffjax.functional.search import nearest_rows

    vectors, ids, has_vector = vectors_of(emb, words)
    best = nearest_rows(emb, vectors, exclude=ids[:, None], **limits(emb, search))
    return outcomes(emb, [(word,) for word in words], [vectors], [has_vector], best)


def outcomes(
    emb: "ffjax.Embeddings",
    batch: Sequence[Query],
    vectors: Sequence[Any],
    has_vector: Sequence[Any],
    best: "ffjax.TopK",
) -> list[Outcome]:
    """Rows as words with similarities; vectors are those of each word of the queries."""
    import numpy as np

    from ffjax.embeddings.similarity import named

    is_known: Any = np.stack(has_vector, axis=-1)
    is_finite: Any = np.isfinite(np.stack(vectors, axis=1)).all(-1)
    results: list[Outcome] = []
    for i, (query, pairs) in enumerate(zip(batch, named(emb, best), strict=True)):
        unknown = [*compress(query, ~is_known[i])]
        infinite = [*compress(query, ~is_finite[i])]
        if unknown:
            is_word = len(query) == 1
            results.append((None, UNKNOWN if is_word else f"no vector for {', '.join(unknown)}."))
        elif not pairs and infinite:
            names = "" if len(query) == 1 else f"{', '.join(infinite)}: "
            results.append((None, names + NOT_FINITE))
        else:
            answers = [{"word": word, "similarity": number(score)} for word, score in pairs]
            results.append((answers, ""))
    return results
