"""`ffjax neighbours`: the neighbours of all words."""

from typing import Annotated

from typer import Option

import ffjax
from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_output, load, task
from ffjax.cli.options import MetricOption, Source


def neighbours(
    source: Source,
    output: Annotated[str, Option("--output", "-o", metavar="FILE", help="Parquet file to write.")],
    k: Annotated[int, Option("-k", min=1, help="Number of neighbours of each word.")] = 10,
    metric: MetricOption = "cosine",
) -> None:
    """Write the exact nearest neighbours of all words to a Parquet file.

    The columns are word, and lists, best first: neighbours, their ids (line
    numbers in the file, from 0) and scores. The embeddings may be larger than
    memory.

    Complete blocks are kept in FILE.partial until the file is complete. If the
    command is interrupted, the same command continues from there.

    Examples:
      ffjax neighbours demo -o neighbours.parquet
      ffjax neighbours words.fifu -k 100 -o neighbours.parquet
    """
    if output == "-":
        raise BadInput("expected a file for Parquet, got standard output.")
    check_output(output, source.file, ending=".parquet")
    emb = load(source, mmap=True)
    with task("Finding neighbours in", source.file, "neighbours", unit="rows") as bar:
        ffjax.neighbours(emb, output, k, metric=metric, progress=bar.update)
    say(f"{output}: neighbours of {emb.n_words:,} words.")
