"""Arguments and options that subcommands share, alone and in groups.

A group is a named tuple of parameters. A subcommand with a parameter of that type gets the options
of the group, see `expand_groups`.
"""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, NamedTuple

from typer import Argument, Option

# Choices are named as in the library.
Format = Literal["finalfusion", "fasttext", "word2vec", "text", "textdims", "floret", "msgpack"]
Metric = Literal["dot", "cosine", "euclidean", "angular"]
Method = Literal["3cosadd", "3cosmul"]

INPUT_HELP = "File with embeddings; - for standard input."
OUTPUT_HELP = "File to write; - for standard output."

EmbeddingsFile = Annotated[str, Argument(metavar="EMBEDDINGS", help=INPUT_HELP)]
InputFile = Annotated[str, Argument(metavar="INPUT", help=INPUT_HELP)]
OutputFile = Annotated[str, Argument(metavar="OUTPUT", help=OUTPUT_HELP)]
InputFormat = Annotated[
    Format | None, Option("--format", "-f", help="Format; detected by default.")
]
FromFormat = Annotated[Format | None, Option("--from", "-f", help="Format; detected by default.")]
ToFormat = Annotated[Format | None, Option("--to", "-t", help="Format; by default from the name.")]
Neighbours = Annotated[int, Option("-k", min=1, help="Number of answers to each query.")]
Queries = Annotated[
    str | None, Option("--input", metavar="FILE", help="One query per line; - for standard input.")
]
Lossy = Annotated[bool, Option("--lossy", help="Replace bytes that are not UTF-8 in words.")]
InputDims = Annotated[
    int | None,
    Option("--input-dims", metavar="N", min=1, help="Dimensions, where text leaves them unclear."),
]
Json = Annotated[bool, Option("--json", help="Print JSON, one object per line.")]
MetricOption = Annotated[Metric, Option("--metric", "-m", help="Similarity metric.")]
MethodOption = Annotated[Method, Option(help="Add vectors, or multiply cosines.")]
Restrict = Annotated[
    int | None,
    Option("--restrict", "-r", metavar="N", min=1, help="Search only the first N words."),
]


class Files(NamedTuple):
    """Options of the commands that read one file and write another."""

    embeddings: InputFile
    output: OutputFile
    from_: FromFormat = None
    to: ToFormat = None
    lossy: Lossy = False
    input_dims: InputDims = None


class QueryOptions(NamedTuple):
    """Options of the commands that answer queries."""

    embeddings: EmbeddingsFile
    file: Queries = None
    k: Neighbours = 10
    metric: MetricOption = "dot"
    restrict: Restrict = None
    format: InputFormat = None
    lossy: Lossy = False
    input_dims: InputDims = None
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
            option = Parameter(field, Parameter.KEYWORD_ONLY, default=default)
            parameters.append(option.replace(annotation=annotation))

    @wraps(command)
    def run(**arguments: Any) -> None:
        for name, group in groups.items():
            fields = {field: arguments.pop(field) for field in group._fields}
            arguments[name] = group(**fields)
        command(**arguments)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
