"""`ffjax similar`: nearest neighbours."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ffjax.cli.exit_status import UNANSWERED
from ffjax.cli.files import load, shown
from ffjax.cli.inputs import queries
from ffjax.cli.options import (
    EmbeddingsFile,
    InputFormat,
    Json,
    Lossy,
    Metric,
    MetricOption,
    Neighbours,
    Queries,
    Restrict,
)
from ffjax.cli.output import Answer, Answers
from ffjax.cli.progress import working
from ffjax.cli.search import ODD, Search, check_words, encoded, nearest

if TYPE_CHECKING:
    from ffjax import Embeddings


def similar(
    embeddings: EmbeddingsFile,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Words; standard input, one a line, for - or if none.", show_default=False),
    ] = None,
    file: Queries = None,
    k: Neighbours = 10,
    metric: MetricOption = Metric.dot,
    restrict: Restrict = None,
    format: InputFormat = None,
    lossy: Lossy = False,
    json: Json = False,
) -> None:
    """Find the words that are most similar to each word.

    Similarity is the dot product, which is the cosine where vectors have unit
    length, as in finalfusion files; --metric chooses another. An unknown word is looked up through its
    n-grams if the embeddings have any; a word without a vector, or without an
    answer, gets a line on standard error, and the exit status is 1.

    In a pipe each line is WORD, NEIGHBOUR and SIMILARITY, separated by tabs.

    Examples:
      ffjax similar words.fifu berlin
      ffjax similar cc.de.300.bin Berlin Wien -k 3 --json
      ffjax similar words.fifu --input queries.txt > neighbours.tsv
      ffjax similar words.fifu berlin --metric angular --restrict 50000
      echo tea | ffjax similar words.fifu - | cut -f 2
    """
    how = Search(k, metric.value, restrict)
    asked = queries(words or [], file, 1, taken=embeddings == "-")
    emb = load(embeddings, format, lossy=lossy)
    check_words(emb, shown(embeddings))
    answers = Answers(as_json=json)
    with working("Answering", unit="queries", quiet=sys.stdout.isatty()) as bar:
        for batch in asked:
            for query, (found, problem) in zip(batch, neighbours(emb, [word for (word,) in batch], how), strict=True):
                answers.add(query, found, problem)
            answers.flush()
            bar.advance(len(batch))
    if answers.unanswered:
        raise typer.Exit(UNANSWERED)


def neighbours(embeddings: "Embeddings", words: Sequence[str], how: Search) -> list[tuple[list[Answer] | None, str]]:
    """The words most similar to each word, as `Embeddings.word_similarity` finds them, for a whole batch at once.

    Of a word that has no answer `None`, and why.
    """
    queries = encoded(embeddings, words)
    answers = []
    for each, known, finite in zip(nearest(embeddings, queries, how), queries.found, queries.finite, strict=True):
        problem = "" if known and (finite or each) else ODD if known else "an unknown word, and no known n-grams."
        answers.append((None if problem else each, problem))
    return answers
