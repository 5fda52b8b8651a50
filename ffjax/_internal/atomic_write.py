"""Writing files so that the old one stays whole until the new one is complete.

The new file is written beside the target, brought to the disk, and then takes the target's name in one step. Whatever
happens before that step (an exception, a full disk, a crash, a power cut) leaves the old file as it was.

On Linux the new file has no name while it is written (`O_TMPFILE`), so that even a killed process leaves nothing.
Since no system call gives a nameless file the name of an existing one, it gets a temporary name for the instant before
the rename if there is an old file; only a kill within that instant leaves a complete file `.<random>.ffjax-tmp`. Where
nameless files are not supported, the temporary name is there from the start: exceptions remove it, a kill cannot.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase, BufferedRandom, FileIO

from ffjax.formats.io.binary import File

_BUFFER = 1 << 20
_ENDING = b".ffjax-tmp"
_NAMED = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
# What the kernel or the file system says if it has no nameless files.
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EISDIR, errno.EINVAL, errno.ENOENT}


@contextmanager
def atomic_write(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Iterator[BufferedIOBase]:
    """Opens a file for writing that takes its place when the block ends, whole or not at all.

    A symbolic link is written through, to its target. A new file gets the permissions that `open` would give it, a
    replaced one those of the old file. File and folder are synced to the disk. The file that is opened can be read
    back and sought.

    Args:
        path: where the file goes.

    Raises:
        IsADirectoryError: `path` is a folder.
        PermissionError: there is a file that the user may not write.
        ValueError: `path` is a pipe or a device, which can't be replaced; open those directly, as `open_output` does.
        OSError: the folder is missing or not writable, the disk is full, ...; the old file is as it was.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers"
        >>> with atomic_write(path) as file:
        ...     _ = file.write(b"123")
        ...     path.exists()
        False
        >>> path.read_bytes()
        b'123'
    """
    target, folder, mode = _checked(path)
    temporary = _Temporary(folder)
    try:
        file = temporary.open()
        yield file
        file.flush()
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
        temporary.name_it(target, replaces=mode is not None)
        file.close()
        temporary.move(target)
    except BaseException as error:
        temporary.remove()
        if isinstance(error, OSError) and temporary.is_name(error.filename):
            error.filename, error.filename2 = _shown(path), None  # not a name that the user has never seen
        _name_if_full(error, path)
        raise
    _sync_folder(folder)


@contextmanager
def open_output(file: File) -> Iterator[BufferedIOBase]:
    """Opens what a user gave for writing: a path atomically; a descriptor, a pipe or a device as it is.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.

    Raises:
        OSError: as `atomic_write` and `open`.
    """
    if isinstance(file, int) or _is_special(file):
        try:
            with open(file, "wb") as out:
                yield out
        except OSError as error:
            _name_if_full(error, file)
            raise
        return
    with atomic_write(file) as out:
        yield out


def _name_if_full(error: BaseException, file: File) -> None:
    """Says of a write without room for it to which file it was: the system does not."""
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None and not isinstance(file, int):
        error.filename = _shown(file)


def output_folder(file: File) -> bytes | None:
    """The folder in which `open_output` makes a file, `None` if it writes to something that is there.

    Args:
        file: a path, or a descriptor.

    Raises:
        OSError: the file could not be written, as far as that can be told before.
    """
    return None if isinstance(file, int) or _is_special(file) else _checked(file)[1]


class _Temporary:
    """A file that waits for its name. `path` is a temporary name that may have to be removed."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.path: bytes | None = None
        self.file: BufferedRandom | None = None

    def open(self) -> BufferedRandom:
        """Opens the file, nameless where that works."""
        descriptor = _open_nameless(self.folder)
        if descriptor is None:
            self.path = self._new_path()
            descriptor = os.open(self.path, _NAMED, 0o666)
        self.file = BufferedRandom(FileIO(descriptor, "w+"), _BUFFER)
        return self.file

    def name_it(self, target: bytes, *, replaces: bool) -> None:
        """Gives a nameless file a name: the target's if that is free, else a temporary one beside it."""
        if self.path is not None:
            return
        try:
            if not replaces:
                with suppress(FileExistsError):  # it has appeared while we wrote
                    self._link(target)
                    return
            self.path = self._new_path()
            self._link(self.path)
        except OSError:
            self._copy()

    def move(self, target: bytes) -> None:
        """Renames a file with a temporary name."""
        if self.path is not None:
            os.replace(self.path, target)
            self.path = None

    def remove(self) -> None:
        """Removes the temporary name, if there is one."""
        if self.file is not None:
            with suppress(OSError):
                self.file.close()  # flushes, which fails where the disk is full
        if self.path is not None:
            with suppress(OSError):
                os.unlink(self.path)

    def _new_path(self) -> bytes:
        return os.path.join(self.folder, b"." + secrets.token_hex(12).encode() + _ENDING)

    def is_name(self, filename: object) -> bool:
        """Whether an error is about a temporary name, or about the folder of a nameless file."""
        if not isinstance(filename, str | bytes):
            return False
        name = os.fsencode(filename)
        return name.endswith(_ENDING) or name == self.folder

    def _link(self, path: bytes) -> None:
        assert self.file is not None
        # Python calls `linkat`, which alone follows the link under /proc, only if it is given a folder.
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(_by_descriptor(self.file.fileno()), path, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)

    def _copy(self) -> None:
        # Some sandboxes open nameless files and then refuse to link them.
        assert self.file is not None
        self.path = self._new_path()
        with open(os.open(self.path, _NAMED, 0o666), "wb") as copy:
            self.file.seek(0)
            shutil.copyfileobj(self.file, copy, _BUFFER)
            copy.flush()
            os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(self.file.fileno()).st_mode))
            os.fsync(copy.fileno())


def _open_nameless(folder: bytes) -> int | None:
    flags = getattr(os, "O_TMPFILE", None)
    if flags is None:
        return None
    try:
        descriptor = os.open(folder, flags | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None  # a missing folder is reported when the named file is opened
        raise
    if os.path.exists(_by_descriptor(descriptor)):
        return descriptor
    os.close(descriptor)  # no /proc: it could never be linked
    return None


def _by_descriptor(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _checked(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> tuple[bytes, bytes, int | None]:
    """Where a file goes, its folder, and the permissions of the file that is there."""
    if not os.fsencode(path):
        raise FileNotFoundError(errno.ENOENT, "expected the path of a file to write, got", "")
    target = os.path.realpath(os.fsencode(path))
    mode = _old_mode(path, target)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "expected a file in an existing folder, got", _shown(path))
    return target, folder, mode


def _old_mode(path: object, target: bytes) -> int | None:
    """The permissions of the file that is there, `None` if there is none."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "expected the path of a file to write, got a folder", _shown(path))
    if not stat.S_ISREG(mode):
        raise ValueError(f"`path`: expected a regular file or a new name, got the special file {_shown(path)!r}.")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "expected a file that may be written, got a read-only one", _shown(path))
    return stat.S_IMODE(mode)


def _is_special(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"`path`: expected a path or a descriptor, got {type(path).__name__} {path!r}.")
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _shown(path: object) -> str:
    return os.fsdecode(path)  # type: ignore[arg-type]


def _sync_folder(folder: bytes) -> None:
    # Without it a power cut may bring the old file back, which is whole too; not every file system can do it.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
