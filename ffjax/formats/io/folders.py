"""Files that belong together, as one input: those of a directory, or of an archive.

A format whose embeddings lie in several files is recognized by their names, and its reader opens
those that it needs as streams.
"""

import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from ffjax.errors import FormatError
from ffjax.formats.io.binary import File

_MAX_BYTES = 1 << 30  # of a file that is read at once
# What says that the folders beside it belong to the same pipeline or model.
_WHOLE = {"config.cfg", "meta.json", "modules.json", "vocab", "data.pkl"}


class Folder(NamedTuple):
    """The files of a directory or an archive, by their paths in it, those uppermost first."""

    file: File | None
    names: list[str]
    open: Callable[[str], AbstractContextManager[Any]]  # of a name: its bytes as a `Stream`

    def __contains__(self, name: object) -> bool:
        return name in self.names

    @property
    def is_directory(self) -> bool:
        """Whether it is one of the file system."""
        return self.file is not None and os.path.isdir(self.file)

    def path_of(self, name: str) -> str:
        """A file's name in error messages."""
        if self.file is None or isinstance(self.file, int):
            return name
        return f"{os.fsdecode(self.file)}/{name}"

    def read(self, name: str) -> bytes:
        """The bytes of a small file."""
        with self.open(name) as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            expected = f"at most {_MAX_BYTES} bytes"
            raise FormatError(self.path_of(name), expected=expected, got="more")
        return data


class NoBytes(io.RawIOBase):
    """What stands for the bytes of a folder: reading them is an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def readinto(self, buffer: Any) -> int:
        """Raises the error."""
        raise self._error


def names_in(folder: File) -> list[str]:
    """The files in a directory and one level below, and further down in pipelines and models.

    Hidden directories are left out, and of the root of the file system all directories.
    """
    root = os.path.abspath(os.fsdecode(folder))  # type: ignore[arg-type]
    names: list[str] = []
    for path, folders, files in os.walk(root):
        relative = os.path.relpath(path, root)
        above = "" if relative == os.curdir else relative.replace(os.sep, "/") + "/"
        names += (above + file for file in files)
        enters = not above or not _WHOLE.isdisjoint([*files, *folders])
        enters &= os.path.dirname(root) != root
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if enters else []
    return by_level(names)


def by_level(names: list[str]) -> list[str]:
    """Paths in order, those of the uppermost level first."""
    return sorted(names, key=lambda name: (name.count("/"), name))
