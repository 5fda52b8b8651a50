"""`ffjax similar`: nearest neighbours."""

from typing import TYPE_CHECKING, Annotated

import typer

from ffjax.cli.inputs import Query
from ffjax.cli.options import QueryOptions
from ffjax.cli.search import Outcome, Search, answer_queries, neighbours

if TYPE_CHECKING:
    from ffjax import Embeddings


def similar(
    options: QueryOptions,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD", help="Words; standard input, one per line, if - or none are given."
        ),
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

    def answer(emb: "Embeddings", batch: list[Query], search: Search) -> list[Outcome]:
        return neighbours(emb, [word for (word,) in batch], search)

    answer_queries(options, words or [], 1, answer)
