"""How the command ends: exit statuses, and one line on standard error if something is wrong.

| status | meaning |
| --- | --- |
| 0 | success: every query has an answer |
| 1 | a query has no answer, or the file lacks what was requested; the rest was done |
| 2 | bad input: wrong usage, a missing or unreadable file, an unsuitable format or value |
| 130 | interrupted (Ctrl-C); files are as they were before |
| 141 | the reader of the output went away, as in `ffjax ... | head` |
"""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

import typer

UNANSWERED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class BadInput(Exception):
    """The user's input is unusable; the message is one line that says why and what to do."""


def say(message: str) -> None:
    """Prints one line on standard error, if it is open."""
    with suppress(OSError):
        print(f"ffjax: {' '.join(message.split())}", file=sys.stderr, flush=True)


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Wraps a subcommand so that Ctrl-C and a closed pipe end it quietly with their status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise typer.Exit(BROKEN_PIPE) from None

    return run


def explain(error: BaseException) -> str:
    """An error as one line for people."""
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = error.filename
    if name is None:
        is_closed = error.errno == errno.EBADF
        return "standard output is closed" if is_closed else error.strerror
    name = f"file descriptor {name}" if isinstance(name, int) else os.fsdecode(name)
    name = name or "an empty name"
    # Messages of ffjax end with the name; those of the system do not have it.
    if error.strerror.endswith((" got", ":")):
        return f"{error.strerror} {name}"
    return f"{name}: {error.strerror}"


def open_closed_streams() -> None:
    """Opens standard streams that the caller closed, so that no file gets their descriptors."""
    # Standard output becomes read-only, so a command that prints fails.
    modes = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for name, mode in modes.items():
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, mode)  # the lowest free number, which is its own
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w", closefd=False))


def drop_unwritten_output() -> None:
    """Discards output that cannot be written, about which Python would complain at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
