"""`ffjax similar`: nearest neighbours."""

from typing import Annotated

import typer

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
from ffjax.cli.search import Search, answer_queries, neighbours


def similar(
    embeddings: EmbeddingsFile,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD",
            help="Words; standard input, one per line, if - or none are given.",
            show_default=False,
        ),
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
    search = Search(k, metric.value, restrict)
    answer_queries(
        embeddings,
        queries(words or [], file, 1, stdin_is_read=embeddings == "-"),
        lambda emb, batch: neighbours(emb, [word for (word,) in batch], search),
        format=format,
        lossy=lossy,
        json=json,
    )
