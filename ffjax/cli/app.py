"""The command: collects the subcommands and runs one.

A subcommand is a function, whose docstring is its help, in the module of the same name; add its
name below. Nothing may import JAX before a function runs, so that `--help` and shell completion are
quick: write `import ffjax`, whose names are imported when they are used.
"""

import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn, cast

import typer

from ffjax import __version__
from ffjax.cli import exit_status
from ffjax.cli.analogy import repeat_include
from ffjax.cli.exit_status import BadInput, explain, say
from ffjax.cli.options import expand
from ffjax.errors import FormatError

# The panels of `ffjax --help` and the commands in them.
COMMANDS = {
    "Query": "similar analogy search plot explore neighbours".split(),
    "Inspect": "info metadata evaluate demo".split(),
    "Embed": ["embed", "classify"],
    "Transform": "convert select prune reduce quantize reconstruct bucket_to_explicit".split(),
}
# Commands in the module of another one.
MODULES = {"reconstruct": "quantize", "bucket_to_explicit": "convert"}

_HELP = ["-h", "--help"]

# Newer versions of typer contain click, others depend on it; this is the usage error of either.
UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])


def app() -> typer.Typer:
    """The typer application with all subcommands."""
    application = typer.Typer(
        name="ffjax",
        callback=ffjax,
        invoke_without_command=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": _HELP},
    )
    for panel, names in COMMANDS.items():
        for name in names:
            module = import_module(f"ffjax.cli.{MODULES.get(name, name)}")
            add = application.command(name.replace("_", "-"), rich_help_panel=panel)
            add(exit_status.interruptible(expand(getattr(module, name))))
    return application


def ffjax(
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Show the version.", is_eager=True)
    ] = False,
) -> None:
    """Word embeddings of finalfusion, fastText, word2vec, GloVe, gensim, spaCy and others.

    Results are tables on a terminal, tab-separated lines in a pipe, and JSON
    lines with --json. A file named - is standard input or output, and demo
    stands for the embeddings inside the package.

    Exit status: 0 success; 1 a query has no answer; 2 bad input.

    Start with
      ffjax demo
      ffjax similar demo berlin
      ffjax info FILE
    """
    if version:
        print(f"ffjax {__version__}")
        raise typer.Exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with arguments, `sys.argv[1:]` by default; returns its exit status."""
    exit_status.open_closed_streams()
    _use_utf8()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["analogy"]:
        arguments = repeat_include(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: say(str(message))
            group = _without_types(typer.main.get_command(app()))
            status = group.main(arguments or ["--help"], "ffjax", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        context = getattr(error, "ctx", None)
        path = "ffjax" if context is None else context.command_path
        message = error.format_message().strip()  # type: ignore[attr-defined]
        message = message.replace("Value error, ", "")
        end = "" if message.endswith((".", "?")) else "."
        say(f"error: {message}{end} See `{path} --help`.")
        return exit_status.BAD_INPUT
    except typer.Abort:
        return exit_status.INTERRUPTED
    except BrokenPipeError:
        return exit_status.BROKEN_PIPE
    except SystemExit as error:
        # Help for a reader that has gone away ends like this.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return exit_status.BROKEN_PIPE
    except (BadInput, FormatError, OSError, MemoryError) as error:
        say(f"error: {explain(error)}")
        return exit_status.BAD_INPUT
    return status if isinstance(status, int) else 0


def command() -> NoReturn:
    """Entry point of the shell command: runs `main` and ends the process with its status."""
    gc.set_threshold(100_000)  # imports make many objects that stay: looking at them takes 0.1 s
    status = main()
    exit_status.drop_unwritten_output()
    if status == exit_status.INTERRUPTED:
        # Computations may still run on other threads; Python's exit would take what they use.
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)


def _without_types(group: Any) -> Any:
    """A group whose help leaves out the names of Python's types, which typer adds."""
    for command in (group, *group.commands.values()):
        context = typer.Context(command, help_option_names=_HELP)
        for parameter in (*command.params, command.get_help_option(context)):
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda ctx: None
            elif parameter.metavar is None:
                parameter.metavar = ""
    return group


def _use_utf8() -> None:
    """Makes the standard streams UTF-8; bytes that are not UTF-8 pass through unchanged."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            errors = "backslashreplace" if stream is sys.stderr else "surrogateescape"
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors=errors)
