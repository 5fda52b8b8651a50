"""Arguments and options that subcommands share, alone and in groups.

A group is a named tuple of parameters. A subcommand with a parameter of that type gets the options
of the group, see `expand_groups`.
"""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, NamedTuple

import typer

# Choices are named as in the library.
Format = Literal["finalfusion", "fasttext", "word2vec", "text", "textdims", "floret", "msgpack"]
Metric = Literal["dot", "cosine", "euclidean", "angular"]
Method = Literal["3cosadd", "3cosmul"]

EMBEDDINGS_HELP = "File with embeddings; - for standard input."

EmbeddingsFile = Annotated[str, typer.Argument(metavar="EMBEDDINGS", help=EMBEDDINGS_HELP)]
InputFile = Annotated[str, typer.Argument(metavar="INPUT", help=EMBEDDINGS_HELP)]
OutputFile = Annotated[
    str, typer.Argument(metavar="OUTPUT", help="File to write; - for standard output.")
]
InputFormat = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="Format of the embeddings; detected by default."),
]
FromFormat = Annotated[
    Format | None, typer.Option("--from", "-f", help="Format of the input; detected by default.")
]
ToFormat = Annotated[
    Format | None,
    typer.Option("--to", "-t", help="Format of the output; by default from its name."),
]
Neighbours = Annotated[int, typer.Option("-k", min=1, help="Number of answers to each query.")]
Queries = Annotated[
    str | None,
    typer.Option(
        "--input", metavar="FILE", help="File with one query per line; - for standard input."
    ),
]
Lossy = Annotated[bool, typer.Option("--lossy", help="Replace bytes that are not UTF-8 in words.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
MetricOption = Annotated[Metric, typer.Option("--metric", "-m", help="Similarity metric.")]
MethodOption = Annotated[
    Method,
    typer.Option("--method", help="Add and subtract vectors, or multiply and divide cosines."),
]
Restrict = Annotated[
    int | None,
    typer.Option(
        "--restrict", "-r", metavar="N", min=1, help="Only the first N words can be answers."
    ),
]


class Files(NamedTuple):
    """Options of the commands that read one file and write another."""

    embeddings: InputFile
    output: OutputFile
    from_: FromFormat = None
    to: ToFormat = None
    lossy: Lossy = False


class QueryOptions(NamedTuple):
    """Options of the commands that answer queries."""

    embeddings: EmbeddingsFile
    file: Queries = None
    k: Neighbours = 10
    metric: MetricOption = "dot"
    restrict: Restrict = None
    format: InputFormat = None
    lossy: Lossy = False
    json: Json = False


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces each parameter that is a group by keyword parameters for its fields."""
    groups: dict[str, Any] = {}
    parameters = []
    for name, parameter in signature(command).parameters.items():
        group = parameter.annotation
        if not hasattr(group, "_fields"):
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[name] = group
        for field, annotation in group.__annotations__.items():
            default = group._field_defaults.get(field, Parameter.empty)
            option = Parameter(
                field, Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            parameters.append(option)

    @wraps(command)
    def run(**arguments: Any) -> None:
        for name, group in groups.items():
            fields = {field: arguments.pop(field) for field in group._fields}
            arguments[name] = group(**fields)
        command(**arguments)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
