"""The command: collects the subcommands and runs one.

A subcommand is a function, whose docstring is its help; add its name below. Nothing may import JAX
before a function runs, so that `--help` and shell completion are quick: write `import ffjax`, whose
names are imported when they are used.
"""

import gc
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn, cast

import typer

from ffjax import __version__
from ffjax.cli import messages
from ffjax.cli.messages import BadInput, explain, say
from ffjax.cli.options import expand, repeat_include
from ffjax.errors import FormatError

# In the order of `ffjax --help`: the panel, the module and the commands in it.
COMMANDS = (
    ("Query", "query", "similar analogy search"),
    ("Query", "plot", "plot"),
    ("Query", "explore", "explore neighbours"),
    ("Inspect", "inspect", "info metadata evaluate"),
    ("Inspect", "demo", "demo"),
    ("Embed", "text", "embed classify"),
    ("Transform", "transform", "convert select prune reduce"),
    ("Transform", "quantize", "quantize reconstruct"),
    ("Transform", "transform", "bucket-to-explicit"),
)
MODULES = {name: module for _, module, names in COMMANDS for name in names.split()}

_HELP = ["-h", "--help"]

# How typer says what it expects, and how ffjax does.
_CONSTRAINT = re.compile("Input should be (.*?)(, unable to .*)?$")
_FEWER_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}

# fastText's commands, and those that replace them.
_FASTTEXT = {
    "analogies": "analogy",
    "nn": "similar",
    "predict": "classify",
    "predict-prob": "classify",
    "print-sentence-vectors": "embed",
}
_UNKNOWN = re.compile("No such command '(.*?)'")

# Newer versions of typer contain click, others depend on it; this is the usage error of either.
UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])


def function_of(name: str) -> Any:
    """The function of a subcommand."""
    return getattr(import_module(f"ffjax.cli.{MODULES[name]}"), name.replace("-", "_"))


def app(only: str | None = None) -> typer.Typer:
    """The typer application with all subcommands, or with one, which is quicker."""
    application = typer.Typer(
        name="ffjax",
        callback=ffjax,
        invoke_without_command=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": _HELP},
    )
    for panel, _, names in COMMANDS:
        for name in names.split():
            if only not in MODULES or name == only:
                add = application.command(name, rich_help_panel=panel)
                add(expand(function_of(name)))
    return application


def ffjax(
    version: bool = typer.Option(
        False, "--version", metavar="", help="Show the version.", is_eager=True
    ),
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
    _prepare_streams()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    arguments = arguments or ["--help"]
    if arguments[0] == "analogy":
        arguments = repeat_include(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: say(str(message))
            group = _without_types(typer.main.get_command(app(arguments[0])))
            status = group.main(arguments, "ffjax", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        context = getattr(error, "ctx", None)
        path = "ffjax" if context is None else context.command_path
        say(f"error: {_usage(error)} See `{path} --help`.")
        return messages.BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        return messages.INTERRUPTED
    except BrokenPipeError:
        return messages.BROKEN_PIPE
    except SystemExit as error:
        # typer ends like this if the reader of the output has gone away.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return messages.BROKEN_PIPE
    except (BadInput, FormatError, OSError, MemoryError) as error:
        say(f"error: {explain(error)}")
        return messages.BAD_INPUT
    except (ValueError, RuntimeError) as error:  # environment variables are read where they matter
        if not str(error).startswith((messages.ENVIRONMENT, messages.BACKEND)):
            raise
        say(f"error: {error}")
        return messages.BAD_INPUT
    return status if isinstance(status, int) else 0


def command() -> NoReturn:
    """Entry point of the shell command: runs `main` and ends the process with its status."""
    gc.set_threshold(100_000)  # imports make many objects that stay: looking at them takes 0.1 s
    stopped_by = _stop_at_signals()
    status = main()
    try:
        sys.stdout.flush()
    except OSError:  # Python would complain at exit about output that cannot be written
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
    if status == messages.INTERRUPTED:
        # Computations may still run on other threads; Python's exit would take what they use.
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(128 + stopped_by[0] if stopped_by else status)
    raise SystemExit(status)


def _stop_at_signals() -> list[int]:
    """Lets the signals that end a job remove unfinished files, like Ctrl-C; those that came."""
    came: list[int] = []

    def stop(number: int, _: Any) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows lacks the latter
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)
    return came


def _usage(error: Any) -> str:
    """A usage error as a sentence, which says what was expected and what came."""
    message = error.format_message().strip().replace("Value error, ", "")
    if match := _CONSTRAINT.search(message):  # newer versions of typer leave out what came
        expected, came = match[1], error.__cause__.errors()[0]["input"]
        for words, fewer in _FEWER_WORDS.items():
            expected = expected.replace(words, fewer)
        message = f"{message[: match.start()]}expected {expected}, got {came!r}"
    if (match := _UNKNOWN.match(message)) and match[1] in _FASTTEXT:
        message = f"{match[0]}. Use {_FASTTEXT[match[1]]!r}."
    return message if message.endswith((".", "?")) else f"{message}."


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


def _prepare_streams() -> None:
    """Opens standard streams that the caller closed, and makes all of them UTF-8."""
    # A file would get the descriptor of a closed stream. Standard output becomes read-only, so a
    # command that prints fails.
    modes = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for name, mode in modes.items():
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, mode)  # the lowest free number, which is its own
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w", closefd=False))
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):
            # Bytes that are not UTF-8 pass through unchanged.
            errors = "backslashreplace" if name == "stderr" else "surrogateescape"
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors=errors)
