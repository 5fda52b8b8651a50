"""Messages on standard error, and errors and warnings of the library in the command's words.

| exit status | meaning |
| --- | --- |
| 0 | success: every query has an answer |
| 1 | a query has no answer, or the file lacks what was requested; the rest was done |
| 2 | bad input: wrong usage, a missing or unreadable file, an unsuitable format or value |
| 130 | interrupted (Ctrl-C); files are as they were before; 129 and 143 after SIGHUP and SIGTERM |
| 141 | the reader of the output went away, as in `ffjax ... | head` |

The library names its arguments in backticks: `` `limit`: expected ... ``, ``Use `lossy=True` ``.
`OPTIONS` says what each argument is called here.
"""

import errno
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ffjax.errors import FormatError
from ffjax.formats.registry import FORMATS

UNANSWERED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
# Errors that begin like this are about no file or argument.
ENVIRONMENT = "the environment variable "
BACKEND = "Unable to initialize backend "  # JAX's, which names JAX_PLATFORMS


class BadInput(Exception):
    """The user's input is unusable; the message is one line that says why and what to do."""


def say(message: str) -> None:
    """Prints one line on standard error, if it is open."""
    with suppress(OSError):
        print(f"ffjax: {visible(' '.join(message.split()))}", file=sys.stderr, flush=True)


def visible(text: str) -> str:
    r"""Text in which characters that control a terminal are escaped, such as `\x1b`.

    Examples:
        >>> print(visible("\x1b[31mred"))
        \x1b[31mred
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


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


def _flags(names: str) -> dict[str, str]:
    """Arguments and their options, which are those of the same name unless one is given."""
    pairs = (name.partition(":") for name in names.split())
    return {name: option or f"--{name.replace('_', '-')}" for name, _, option in pairs}


_READING = "lossy member dims:--input-dims words:--input-words vectors:--input-vectors"
_CHANGES = "lowercase strip_punctuation"
_CHOICES = "column threshold restrict into k:-k label:--score"
_TRAINING = "bits iterations attempts sample key:--seed normalize:--no-keep-lengths"
_OPTIONS = {
    "load": f"format:-f limit:--first {_READING}",
    "save": "path:OUTPUT format:--to unshare_rows:--repeat-rows",
    "convert": f"target:OUTPUT from_format:-f to_format:--to {_READING}",
    "prune": "n:--rows",
    "reduce_dims": "dims center",
    "quantize": f"method subquantizers {_TRAINING}",
    "classify_file": f"{_CHOICES} format target_format:--json target:--output",
    "explore": "projection title limit:--words neighbors:-k key:--seed path:--output",
    "neighbours": "metric path:--output k:-k",
    "embed_file": f"pooling target:--output {_CHANGES}",
    "embed_text": _CHANGES,
}
# By function of the library: its arguments, and the options of the command that set them.
OPTIONS = {function: _flags(names) for function, names in _OPTIONS.items()}
# In advice, which may be for a command without the option.
HINTS = {"limit": "ffjax select --first"}
# Functions of the library that are commands.
COMMANDS = {
    "load_static_model": "ffjax embed",
    "load_classifier": "ffjax classify",
    "load": "ffjax similar",
    "select_words": "ffjax select",
    "reconstruct": "ffjax reconstruct",
}

_LOADERS = {f"load{format.load.partition(':load')[2]}" for format in FORMATS.values()}

# What people are shown for a class and its repr.
CLASSES = {
    "SimpleVocab": "plain vocabulary",
    "FinalfusionBucketVocab": "vocabulary with finalfusion's n-grams",
    "FastTextVocab": "vocabulary with fastText's n-grams",
    "ExplicitVocab": "vocabulary with stored n-grams",
    "FloretVocab": "floret table",
    "NdArray": "matrix",
    "Int8Array": "matrix of int8",
    "QuantizedArray": "quantized matrix",
    "ComposedArray": "matrix that is composed",
    "ShardedArray": "matrix on several devices",
}

_CLASS = re.compile(rf"\b(?:an? )?({'|'.join(CLASSES)})\b(\((?:[^()]|\([^()]*\))*\))?")
_ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")
# All but tabs and line feeds; and what changes the direction of the text after it.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Advice about a file of another format than `-f` says.
_READS = re.compile(r"^`ffjax\.load\w*` reads it\.$")
_FUNCTION = re.compile(r"`ffjax\.(\w+)(?:\([^`]*\))?`")


def in_terms(message: str, options: dict[str, str]) -> str:
    """A message of the library with the command's names.

    Examples:
        >>> in_terms("`bits`: expected 1 to 8. Take `bits=3` or less.", {"bits": "--bits"})
        '`--bits`: expected 1 to 8. Take `--bits 3` or less.'
    """

    def option(match: re.Match[str]) -> str:
        name, value = options.get(match[1]), match[2]
        if name is None:
            return match[0]
        if not name.startswith(("-", "ffjax ")):  # a file
            return name
        value = (value or "").strip("\"'")
        return f"`{name}`" if value in ("", "True") else f"`{name} {value}`"

    def command(match: re.Match[str]) -> str:
        name = "load" if match[1] in _LOADERS else match[1]
        return f"`{COMMANDS[name]}`" if name in COMMANDS else match[0]

    message = _CLASS.sub(lambda match: f"a {CLASSES[match[1]]}", message)
    return _FUNCTION.sub(command, _ARGUMENT.sub(option, message))


@contextmanager
def translated(function: str, file: str | Callable[[], str]) -> Iterator[None]:
    """Turns errors and warnings of a function, at work on a file, into those of the command."""
    options = OPTIONS.get(function, {})
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(in_terms(str(message), options))
        try:
            yield
        except (TypeError, ValueError, ImportError) as error:  # an extra may be missing
            name = file if isinstance(file, str) else file()
            if isinstance(error, FormatError):
                if error.file is None or isinstance(error.file, int):
                    error.file = name
                if "from_format" in options or "format" in options:
                    error.hint = error.hint and _READS.sub("Leave out `-f`.", error.hint)
                error.hint = error.hint and in_terms(error.hint, options | HINTS)
                raise
            names = dict.fromkeys(("embeddings", "path", "source"), name)
            message = in_terms(str(error), names | options)
            message = message.replace(f"{name}: {name}: ", f"{name}: ")
            says_what = message.startswith(("`-", ENVIRONMENT, name, *options.values()))
            raise BadInput(message if says_what else f"{name}: {message}") from error
