"""The errors that ffjax raises for files it cannot read or values a format cannot hold."""

from dataclasses import KW_ONLY, dataclass
from os import PathLike, fspath
from typing import Any


@dataclass(eq=False, repr=False)
class FormatError(ValueError):
    """A file is not what its format says it must be.

    Attributes:
        file: the path as given, or `None` when reading from memory.
        offset: byte offset in the file at which the offending field starts, or `None`.
        chunk: the chunk or section that was being read, or `None`.
        field: the field that was being read, or `None`.
        expected: what the format asks for there, in words.
        got: what the file holds, in words.
        hint: what to do, a sentence.

    Examples:
        >>> from ffjax import FormatError
        >>> raise FormatError(
        ...     "words.fifu", offset=4, chunk="header", field="version", expected="0", got="7"
        ... )
        Traceback (most recent call last):
        ffjax.errors.FormatError: words.fifu: byte 4: header: version: expected 0, got 7
    """

    file: str | bytes | int | PathLike[str] | PathLike[bytes] | None
    _: KW_ONLY
    offset: int | None = None
    chunk: str | None = None
    field: str | None = None
    expected: str | None = None
    got: str | None = None
    hint: str | None = None

    def __post_init__(self) -> None:
        super().__init__(str(self))

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        # A copy is first created from `args`, the message alone.
        super().__setstate__(state)
        self.args = (str(self),)

    def __str__(self) -> str:
        where = [_name(self.file)] if self.file is not None else []
        if self.offset is not None:
            where.append(f"byte {self.offset}")
        where += [text for text in (self.chunk, self.field) if text]
        texts = {"expected": self.expected, "got": self.got}
        what = [f"{word} {text}" for word, text in texts.items() if text is not None]
        message = ": ".join([*where, ", ".join(what)] if what else where)
        return f"{message}. {self.hint}" if self.hint else message


class FinalfusionFormatError(FormatError):
    """A finalfusion file is truncated, corrupt, or holds what the format does not allow."""


def _name(file: object) -> str:
    if isinstance(file, bytes):
        return file.decode("utf-8", errors="replace")
    if isinstance(file, PathLike):
        return _name(fspath(file))
    return f"file descriptor {file}" if isinstance(file, int) else str(file)
