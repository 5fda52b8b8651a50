"""How the command ends: exit statuses, and one line on standard error where something is wrong.

| status | meaning |
| --- | --- |
| 0 | everything was done, every query has an answer |
| 1 | the rest was done, but a query has no answer, or what was asked for is not there |
| 2 | bad input: wrong usage, a missing or unreadable file, a bad format, a value that makes no sense |
| 130 | interrupted (Ctrl-C); files are as they were before |
| 141 | the reader of our output went away, as in `ffjax ... | head` |
"""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from io import TextIOBase
from typing import Any, BinaryIO

import typer

from ffjax.errors import FormatError

UNANSWERED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class BadInput(Exception):
    """What the user gave cannot be used; the message is one line that says why and what to do."""


def say(message: str) -> None:
    """Prints one line on standard error, if anybody listens there."""
    with suppress(OSError):
        print(f"ffjax: {' '.join(message.split())}", file=sys.stderr, flush=True)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wraps a subcommand so that what goes wrong with its input ends in one line and an exit status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            silence()
            raise typer.Exit(BROKEN_PIPE) from None
        except (BadInput, FormatError, OSError, MemoryError) as error:
            say(f"error: {explain(error)}")
            raise typer.Exit(BAD_INPUT) from None

    return run


def explain(error: BaseException) -> str:
    """An error as one line for people.

    Examples:
        >>> explain(FileNotFoundError(2, "No such file or directory", "words.fifu"))
        'words.fifu: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        name = error.filename
        if isinstance(name, int):
            name = f"file descriptor {name}"
        if name is None:
            return error.strerror
        # Ours are written so that the name comes last; the system's are not.
        name = os.fsdecode(name) or "an empty name"
        return f"{error.strerror} {name}" if error.strerror.endswith((" got", ":")) else f"{name}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    return str(error)


class Closed(TextIOBase):
    """A standard stream that whoever called us has closed: an error for what is written, nothing to read.

    Args:
        name: what errors call it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, text: str, /) -> int:
        """Refuses to write.

        Raises:
            OSError: always.
        """
        raise OSError(errno.EBADF, "expected somewhere to write, got a closed stream:", self._name)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """Nothing."""
        return ""

    def read(self, size: int | None = -1, /) -> str:
        """Nothing."""
        return ""

    @property
    def buffer(self) -> BinaryIO:
        """Refuses: there is none.

        Raises:
            OSError: always.
        """
        raise OSError(errno.EBADF, "expected an open stream, got a closed one:", self._name)

    def fileno(self) -> int:
        """Refuses: there is none.

        Raises:
            OSError: always.
        """
        raise OSError(errno.EBADF, "expected an open stream, got a closed one:", self._name)


def keep_streams() -> None:
    """Stands in for standard streams that are closed: Python has `None` for them, and no file may get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which gets the lowest number that is free
    for stream, name in (("stdin", "standard input"), ("stdout", "standard output")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, Closed(name))
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")


def silence() -> None:
    """Gives standard output nowhere to go, so that Python does not complain at exit about what could not be written."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # not a real file, as in tests
