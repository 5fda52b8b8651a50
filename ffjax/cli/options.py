"""Arguments and options that subcommands share."""

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """The formats by their names on the command line, which are those of `ffjax.load` and `ffjax.save`."""

    finalfusion = "finalfusion"
    fasttext = "fasttext"
    word2vec = "word2vec"
    text = "text"
    textdims = "textdims"
    floret = "floret"
    msgpack = "msgpack"


class Metric(StrEnum):
    """How similarity is measured, as in `ffjax.top_k`."""

    dot = "dot"
    cosine = "cosine"
    euclidean = "euclidean"
    angular = "angular"


class Method(StrEnum):
    """How analogies are answered, as in `ffjax.analogy`."""

    cosadd = "3cosadd"
    cosmul = "3cosmul"


EmbeddingsFile = Annotated[
    str,
    typer.Argument(metavar="EMBEDDINGS", help="File with embeddings; - for standard input.", show_default=False),
]
InputFile = Annotated[
    str, typer.Argument(metavar="INPUT", help="File with embeddings; - for standard input.", show_default=False)
]
OutputFile = Annotated[
    str,
    typer.Argument(metavar="OUTPUT", help="File to write; - for standard output.", show_default=False),
]
InputFormat = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="Format of the embeddings; found out from the file if not given."),
]
FromFormat = Annotated[
    Format | None,
    typer.Option("--from", "-f", help="Format of the input; found out from the file if not given."),
]
ToFormat = Annotated[
    Format | None,
    typer.Option("--to", "-t", help="Format of the output; taken from the file's name if not given."),
]
Neighbours = Annotated[int, typer.Option("-k", min=1, help="How many answers to each query.")]
Queries = Annotated[
    str | None,
    typer.Option("--input", metavar="FILE", help="File with one query a line; - for standard input."),
]
Lossy = Annotated[
    bool,
    typer.Option("--lossy", help="Replace what is not UTF-8 in words instead of giving up."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
MetricOption = Annotated[
    Metric, typer.Option("--metric", "-m", help="What similarity is; all but dot go by the angle between vectors.")
]
MethodOption = Annotated[
    Method, typer.Option("--method", help="Add and subtract vectors, or multiply and divide cosines.")
]
Restrict = Annotated[
    int | None,
    typer.Option("--restrict", "-r", metavar="N", min=1, help="Only the first N words may be answers."),
]
