"""The command as a whole: collects the subcommands and runs one.

A subcommand is a module of this folder with a function of the same name, whose docstring is its help: add the module
and its name below. Modules import JAX and ffjax inside their function, so that `--help` and shell completion are quick.
"""

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
from ffjax.cli.analogy import spread
from ffjax.cli.exit_status import (
    BAD_INPUT,
    BROKEN_PIPE,
    INTERRUPTED,
    explain,
    guarded,
    keep_streams,
    say,
    silence,
)

# The panels of `ffjax --help` and the modules in them.
COMMANDS: dict[str, tuple[str, ...]] = {
    "Ask": ("similar", "analogy", "plot"),
    "Look": ("info", "metadata", "evaluate", "demo"),
    "Embed": ("embed",),
    "Change": ("convert", "select", "prune", "reduce", "quantize", "reconstruct", "bucket_to_explicit"),
}

# typer brings click along or depends on it, according to its version; this is the base of usage errors in either.
UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])


def app() -> typer.Typer:
    """The typer application with all subcommands."""
    made = typer.Typer(
        name="ffjax",
        callback=ffjax,
        invoke_without_command=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for panel, names in COMMANDS.items():
        for name in names:
            function = getattr(import_module(f"ffjax.cli.{name}"), name)
            made.command(name.replace("_", "-"), rich_help_panel=panel)(guarded(function))
    return made


def ffjax(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """Static word embeddings: finalfusion, fastText, word2vec, GloVe and floret files.

    Results are tables on a terminal, tab-separated lines in a pipe, and JSON
    lines with --json. A file named - is standard input or output.

    Exit status: 0 done; 1 a query has no answer; 2 bad input.

    Start with
      ffjax demo
      ffjax info FILE
      ffjax similar FILE berlin
    """
    if version:
        print(f"ffjax {__version__}")
        raise typer.Exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command `ffjax`.

    Args:
        arguments: what follows the command's name; `sys.argv[1:]` if `None`.

    Returns:
        The exit status, see `ffjax.cli.exit_status`.

    Examples:
        >>> main(["--version"])
        ffjax ...
        0
    """
    keep_streams()
    _speak_utf8()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["analogy"]:
        arguments = spread(arguments)
    arguments = arguments or ["--help"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell
            status = typer.main.get_command(app()).main(args=arguments, prog_name="ffjax", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        context = getattr(error, "ctx", None)
        path = "ffjax" if context is None else context.command_path
        message = error.format_message().strip()  # type: ignore[attr-defined]
        say(f"error: {message}{'' if message.endswith(('.', '?')) else '.'} See `{path} --help`.")
        return BAD_INPUT
    except typer.Abort:
        return INTERRUPTED
    except SystemExit as error:
        # Who prints help ends so if its reader has gone away.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        silence()
        return BROKEN_PIPE
    except BrokenPipeError:  # what is printed without a subcommand, such as the version
        silence()
        return BROKEN_PIPE
    except OSError as error:
        say(f"error: {explain(error)}")
        return BAD_INPUT
    return status if isinstance(status, int) else 0


def command() -> NoReturn:
    """What the shell runs: `main`, and the process ends with its status.

    After an interruption it ends at once. Computations may still run then, on threads of their own, and would find
    taken away what Python takes away at its end.
    """
    status = main()
    if status == INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    raise SystemExit(status)


def _speak_utf8() -> None:
    """Words are UTF-8, and now and then bytes that are not: those come in and go out as they are."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            errors = "backslashreplace" if stream is sys.stderr else "surrogateescape"
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors=errors)


def _tell(message: Warning | str, *_: Any) -> None:
    """A warning as one line, without the place in the code that it comes from."""
    say(str(message))
