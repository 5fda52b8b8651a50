"""Checks of the arguments of readers and writers; importing them does not import JAX."""

import io
import os
import re
import reprlib
from collections.abc import Iterable
from typing import Any, TypeAlias

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
# A path, or the number of an open descriptor, which is closed afterwards as `open` does.
File: TypeAlias = Path | int

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 200


def check_file(file: Any, name: str = "path", *, is_target: bool = False) -> None:
    """Checks that an argument is the path of a file, or the number of an open descriptor."""
    if isinstance(file, int) and not isinstance(file, bool):
        return
    if not isinstance(file, str | bytes | os.PathLike):
        hint = ""
        if hasattr(file, "vocab"):  # embeddings, which have a method `write` but are not a file
            got = type(file).__name__
            raise TypeError(f"`{name}`: expected a path or a descriptor, got {got}.")
        if hasattr(file, "read") or hasattr(file, "write"):
            hint = "Give the name of an open file, or a descriptor, as in `os.dup(file.fileno())`."
        raise wrong_type(name, "a path or a descriptor", file, hint)
    text = os.fsdecode(file)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) and not os.path.exists(file):
        address = re.sub(":/+", "://", text, count=1)  # as it was before `pathlib`
        example = f", as in `curl -LO {address}`" if address.startswith(("http", "ftp")) else ""
        advice = f"Download the file first{example}."
        if is_target:
            advice = "Write a local file and upload it afterwards."
        expected = "expected the path of a local file"
        raise ValueError(f"`{name}`: {expected}, got the address {address!r}. {advice}")


def check_source(source: Any, target: Any) -> bool:
    """Whether a source is a path, and not a binary file; checks that it is not the target."""
    check_file(target, "target", is_target=True)
    if isinstance(source, str | os.PathLike):
        both_exist = os.path.exists(source) and os.path.exists(target)
        if not isinstance(target, int) and both_exist and os.path.samefile(source, target):
            path = os.fspath(target)
            raise wrong_value("target", "a different file from `source`", repr(path))
        return True
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        raise wrong_type("source", "a path or a binary file", source)
    return False


def check_choice(name: str, choice: Any, choices: Iterable[str]) -> Any:
    """An argument that is one of a few words."""
    if choice not in tuple(choices):
        expected = ", ".join(map(repr, choices))
        raise wrong_value(name, f"one of {expected}", repr(choice))
    return choice


def check_limit(limit: Any) -> None:
    """Checks the number of words to read, which may be `None`."""
    _check_optional("limit", limit, 0, "the number of words to read, or None for all")


def check_no_limit(limit: int | None) -> None:
    """Checks that no limit is given for a floret table."""
    if limit is not None:
        raise wrong_value("limit", "None for a floret table, which has no words", limit)


def check_dims(dims: Any) -> None:
    """Checks the number of values a line, which may be `None`."""
    _check_optional("dims", dims, 1, "the number of values a line, or None to find out")


def check_same_dims(dims: int, expected: int | None) -> None:
    """Checks the dimensions of a file against the argument `dims`."""
    if expected not in (None, dims):
        raise wrong_value("dims", f"{dims}, as the file says, or None", expected)


def _check_optional(name: str, value: Any, least: int, expected: str) -> None:
    if isinstance(value, bool) or not (value is None or hasattr(type(value), "__index__")):
        raise wrong_type(name, expected, value)
    if value is not None and value < least:
        raise wrong_value(name, f"{expected}, at least {least}", value)


def wrong_type(name: str, expected: str, value: Any, hint: str = "") -> TypeError:
    """The error about an argument of another type; `hint` is a sentence that follows."""
    return TypeError(f"`{name}`: expected {expected}, got {shown(value)}.{hint and ' '}{hint}")


def wrong_value(
    names: str | tuple[str, ...], expected: str, got: Any, hint: str = ""
) -> ValueError:
    """The error about an argument or several; `hint` is a sentence that follows."""
    names = (names,) if isinstance(names, str) else names
    quoted = ", ".join(f"`{name}`" for name in names)
    return ValueError(f"{quoted}: expected {expected}, got {got}.{hint and ' '}{hint}")


def counted(n: int, what: str) -> str:
    """A number of things, such as `1 word` or `2 words`."""
    return f"{n} {what}{'s' * (n != 1)}"


def shown(value: Any) -> str:
    """A value with its type, for errors."""
    return f"{type(value).__name__} {short(value)}"


def short(value: Any) -> str:
    """A value on one line, of a long one the start and the end."""
    return re.sub(r"\s*\n\s*", " ", _REPR.repr(value))
