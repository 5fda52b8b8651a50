"""Writing files so that the old one stays whole until the new one is complete.

The new file is written under a temporary name in the same folder, synced to the disk, and then
renamed in one step. Whatever happens before that step (an exception, a full disk, a crash, a power
cut) leaves the old file as it was. Exceptions remove the temporary file; a killed process may leave
one, `.<random>.ffjax-tmp`.
"""

import errno
import os
import pathlib
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase, BufferedRandom, FileIO

from ffjax._internal.file_arguments import File, Path, check_file

_BUFFER_BYTES = 1 << 20
_ENDING = b".ffjax-tmp"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL
_NEW_FILE |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_DESCRIPTOR = re.compile(rb"/dev/stdout|/(?:dev|proc/self)/fd/(\d+)")
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


@contextmanager
def atomic_write(path: Path) -> Iterator[BufferedIOBase]:
    """Opens a file for writing that replaces `path` when the block ends, or never.

    A symbolic link is written through, to its target. A new file gets the permissions that `open`
    would give it, a replaced one those of the old file. The open file can be read back and sought.
    Folders, pipes, devices and files that may not be written are errors before anything is written.
    """
    target, mode = _checked_target(path)
    folder = os.path.dirname(target)
    temporary = _temporary_name(folder)
    try:
        raw = FileIO(os.open(temporary, _NEW_FILE, 0o666), "w+")
        with BufferedRandom(raw, _BUFFER_BYTES) as file:
            yield file
            file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        name_file(error, path)
        raise
    _sync_folder(folder)


@contextmanager
def open_output(file: File) -> Iterator[BufferedIOBase]:
    """Opens a path atomically; a descriptor (closed afterwards), a pipe or a device directly."""
    check_file(file, is_target=True)
    if not isinstance(file, int) and (name := _DESCRIPTOR.fullmatch(os.fsencode(file))):
        # Other programs may write to the same file, which a new one would replace.
        file = os.dup(int(name[1] or 1))
    if not isinstance(file, int) and not _is_special(file):
        with atomic_write(file) as out:
            yield out
        return
    try:
        with open(file, "wb") as out:
            yield out
    except OSError as error:
        name_file(error, file)
        raise


def output_folder(file: File, name: str = "path") -> bytes | None:
    """The folder in which `open_output` makes a file, `None` if it writes to something existing.

    Raises an error if the file could not be written, as far as that is known beforehand.
    """
    check_file(file, name, is_target=True)
    if isinstance(file, int) or _is_special(file):
        return None
    return os.path.dirname(_checked_target(file)[0])


@contextmanager
def atomic_folder(path: Path, names: Container[str]) -> Iterator[pathlib.Path]:
    """Makes a folder that appears at `path` when the block ends, or never.

    A folder that exists may hold files of these names only, paths in it with slashes; it is renamed
    and removed.
    """
    parent = folder_parent(path, names)
    target = os.path.realpath(os.fsencode(path))
    temporary, old = _temporary_name(parent), _temporary_name(parent)
    try:
        os.mkdir(temporary)
        yield pathlib.Path(os.fsdecode(temporary))
        _sync_files(temporary)
        if os.path.isdir(target):
            os.rename(target, old)
        os.rename(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if os.path.isdir(old):
            os.rename(old, target)
        name_file(error, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
    _sync_folder(parent)


def folder_parent(path: File, names: Container[str], argument: str = "path") -> bytes:
    """The folder in which `atomic_folder` makes one; an error if it could not, as far as known."""
    if isinstance(path, int):
        expected = "expected the path of a folder to write"
        raise TypeError(f"`{argument}`: {expected}, got descriptor {path}.")
    check_file(path, argument, is_target=True)
    target, shown = os.path.realpath(os.fsencode(path)), os.fsdecode(path)
    parent = os.path.dirname(target)
    if os.path.lexists(target) and not os.path.isdir(target):
        raise OSError(errno.ENOTDIR, "expected the path of a folder to write, got a file", shown)
    _check_writable(parent, "folder", shown)
    for folder, _, files in os.walk(target):
        for file in files:
            name = os.path.relpath(os.path.join(folder, file), target)
            name = os.fsdecode(name).replace(os.sep, "/")
            if name not in names:
                expected = "expected a new folder, or one written before"
                raise OSError(errno.EEXIST, f"{expected}, got one with {name!r} in", shown)
    return parent


def _temporary_name(folder: bytes) -> bytes:
    return os.path.join(folder, b"." + secrets.token_hex(12).encode() + _ENDING)


def _sync_files(folder: bytes) -> None:
    for path, _, files in os.walk(folder):
        for file in files:
            with open(os.path.join(path, file), "rb") as stream:
                os.fsync(stream.fileno())
        _sync_folder(path)


def name_file(error: BaseException, file: File) -> None:
    """Names in an error the file that was to be written, and not a temporary or no file."""
    if not isinstance(error, OSError) or isinstance(file, int):
        return
    name = error.filename
    is_temporary = isinstance(name, str | bytes) and os.fsencode(name).endswith(_ENDING)
    if is_temporary or (name is None and error.errno in _NO_ROOM):
        error.filename, error.filename2 = os.fsdecode(file), None


def _checked_target(path: Path) -> tuple[bytes, int | None]:
    """Where a file goes, and the permissions of the one that exists there."""
    if not os.fsencode(path):
        raise OSError(errno.ENOENT, "expected the path of a file to write, got", "")
    target, shown = os.path.realpath(os.fsencode(path)), os.fsdecode(path)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        _check_writable(os.path.dirname(target), "file", shown)
        return target, None
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "expected the path of a file to write, got a folder", shown)
    if not stat.S_ISREG(mode):
        expected = "expected a regular file or a new name"
        raise ValueError(f"`path`: {expected}, got the special file {shown!r}.")
    if not os.access(target, os.W_OK):
        expected = "expected a file that may be written, got a read-only one"
        raise OSError(errno.EACCES, expected, shown)
    return target, stat.S_IMODE(mode)


def _check_writable(folder: bytes, what: str, shown: str) -> None:
    """Makes a file without a name in a folder, since permissions do not tell all."""
    if not os.path.isdir(folder):
        message = f"expected a {what} in an existing folder (create it first), got"
        raise OSError(errno.ENOENT, message, shown)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        message = "expected a path in a writable folder (choose another), got"
        raise OSError(error.errno, message, shown) from error


def _is_special(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _sync_folder(folder: bytes) -> None:
    # Without it a power cut may bring the old file back; not every file system can do it.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
