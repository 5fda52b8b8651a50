"""Arguments and options that subcommands share, alone and in groups.

A group is a named tuple of parameters. A subcommand with a parameter of that type gets the options
of the group, see `expand`.
"""

import re
from collections.abc import Callable, Sequence
from copy import copy
from functools import wraps
from inspect import Parameter, Signature, cleandoc, signature
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args, get_origin

from typer import Argument, Option
from typer.models import OptionInfo

from ffjax.formats.registry import FORMATS

# Choices are named as in the library.
if TYPE_CHECKING:
    ReadFormat = WrittenFormat = str
else:
    ReadFormat = Literal[*FORMATS]
    WrittenFormat = Literal[*(format.name for format in FORMATS.values() if format.write)]
Metric = Literal["dot", "cosine", "euclidean", "angular"]
Method = Literal["3cosadd", "3cosmul"]

# What the help calls values of these types.
_VALUES = {bool: "", int: "N", float: "NUMBER"}
OUTPUT_HELP = "File to write; - for standard output."

Output = Annotated[str, Argument(metavar="OUTPUT", help=OUTPUT_HELP)]
InputFormat = Annotated[
    ReadFormat | None, Option("--format", "--from", "-f", help="Format (detected by default).")
]
Lossy = Annotated[bool, Option(help="Replace bytes that are not UTF-8.")]
InputDims = Annotated[int | None, Option(min=1, help="Dimensions, if text is ambiguous.")]
Member = Annotated[str | None, Option(metavar="NAME", help="File or folder to read in an archive.")]
Lowercase = Annotated[bool, Option(help="Look words up in lower case.")]
StripPunctuation = Annotated[bool, Option(help="Ignore punctuation around words.")]
Json = Annotated[bool, Option(help="Print JSON, one object per line.")]
MetricOption = Annotated[Metric, Option("-m", help="Similarity metric.")]
MethodOption = Annotated[Method, Option(help="Add vectors, or multiply cosines.")]
Restrict = Annotated[int | None, Option("-r", min=1, help="Search only the first N words.")]
Input = Annotated[
    str | None, Option(metavar="FILE", help="One query per line; - for standard input.")
]
Answers = Annotated[int, Option("-k", min=1, help="Number of answers to each query.")]


class Source(NamedTuple):
    """Embeddings to read, and how to read them."""

    file: Annotated[
        str, Argument(metavar="EMBEDDINGS", help="File, `demo` (built in) or - (standard input).")
    ]
    format: InputFormat = None
    lossy: Lossy = False
    input_dims: InputDims = None
    member: Member = None
    input_words: Annotated[
        str | None, Option(metavar="NAME", help="Column, array or file of words.")
    ] = None
    input_vectors: Annotated[
        str | None, Option(metavar="NAME", help="Column or array of vectors.")
    ] = None


class Target(NamedTuple):
    """A file to write."""

    output: Output
    to: Annotated[
        WrittenFormat | None,
        Option("-t", metavar="FORMAT", help="Format (by default from the name)."),
    ] = None


def expand(command: Callable[..., None]) -> Callable[..., None]:
    """A subcommand with a parameter for each field of a group, and with its help completed."""
    groups: dict[str, Any] = {}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if hasattr(parameter.annotation, "_fields"):
            groups[name] = parameter.annotation
            parameters += signature(parameter.annotation).parameters.values()
        else:
            parameters.append(parameter)

    @wraps(command)
    def run(**arguments: Any) -> None:
        for name, group in groups.items():
            arguments[name] = group(*(arguments.pop(field) for field in group._fields))
        command(**arguments)

    parameters.sort(key=lambda parameter: parameter.name in Source._fields[1:])  # those last
    parameters = list(map(_completed, parameters))
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = escape(cleandoc(command.__doc__ or ""))
    return run


def repeat_include(arguments: Sequence[str]) -> list[str]:
    """Repeats `--include` for each role that follows it, since an option takes one value."""
    repeated: list[str] = []
    for i, argument in enumerate(arguments):
        match [*repeated[-2:], argument]:
            case [*_, "--"]:
                return [*repeated, *arguments[i:]]
            case ["--include" | "-i", "a" | "b" | "c", "a" | "b" | "c"]:
                repeated.append("--include")
        repeated.append(argument)
    return repeated


def escape(text: str) -> str:
    """Text in which rich sees no markup, such as the `[plot]` of `ffjax[plot]`."""
    return re.sub(r"\[(?=[a-z#/@])", r"\\[", text)


def _completed(parameter: Parameter) -> Parameter:
    """A parameter with a long name, a name of its values, and their choices in the help."""
    kind, default, name = parameter.annotation, parameter.default, parameter.name
    if get_origin(kind) is Annotated:
        kind, shared = get_args(kind)
        # typer takes the first flag for a default until it reads the annotation.
        flags = () if shared.default is ... else (shared.default,)
    else:
        shared, default, flags = default, default.default, ()
    info: Any = copy(shared)
    flags += info.param_decls or ()
    types = {kind, *get_args(kind)}  # of `int | None` too
    choices = [choice for option in types for choice in get_args(option) if isinstance(choice, str)]
    if type(info) is OptionInfo:
        if len(name) > 1 and not any(flag.startswith("--") for flag in flags):
            flags += (f"--{name.replace('_', '-')}",)
        info.metavar = info.metavar or (name.upper() if choices else "TEXT")
        for option in types & _VALUES.keys():
            info.metavar = _VALUES[option]
    if choices:
        *first, last = choices
        info.help = f"{(info.help or '').removesuffix('.')}: {', '.join(first)} or {last}."
    info.default, info.param_decls, info.help = ..., flags, escape(info.help or "")
    default = Parameter.empty if default is ... else default
    annotation = Annotated[kind, info]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
