"""Files as streams of bytes: plain or compressed, alone or the one member of an archive.

What a file is wrapped in is recognized by its content, never by its name.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.io.archives import is_tar, is_zip, open_tar, open_zip
from ffjax.formats.io.binary import File
from ffjax.formats.io.compression import Inflated, kind_of

_HEAD = 512


class Stream:
    """The bytes of a file, whatever it is wrapped in, read from start to end.

    Attributes:
        file: what errors call it.
        wrapping: how its bytes are wrapped, outermost first: any of `"gzip"`, `"bzip2"`, `"xz"`, `"zstd"`, `"zip"`
            and `"tar"`.
        size: the number of bytes, `None` where only reading tells.
        position: the number of bytes that have been read.
    """

    def __init__(self, file: File | None, raw: Any, wrapping: tuple[str, ...] = (), size: int | None = None) -> None:
        self.file, self.wrapping, self.size = file, wrapping, size
        self.position = 0
        self._raw = raw
        self._ahead = b""

    @property
    def remaining(self) -> int | None:
        """The number of bytes that have not been read, `None` where only reading tells."""
        return None if self.size is None else max(0, self.size - self.position)

    def head(self, n: int) -> bytes:
        """The next `n` bytes, fewer at the end; they are not counted as read."""
        while len(self._ahead) < n and (piece := self._raw.read(n - len(self._ahead))):
            self._ahead += piece
        return self._ahead[:n]

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer, only its start at the end of the file; returns how many bytes."""
        view = memoryview(buffer).cast("B")
        done = min(len(self._ahead), len(view))
        view[:done], self._ahead = self._ahead[:done], self._ahead[done:]
        while done < len(view) and (count := self._raw.readinto(view[done:])):
            done += count
        self.position += done
        return done

    def read(self, n: int) -> bytes:
        """The next `n` bytes, fewer at the end."""
        data = self.head(n)
        self._ahead = self._ahead[len(data) :]
        self.position += len(data)
        return data

    def error(
        self,
        offset: int | None,
        *,
        chunk: str | None = None,
        field: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> FormatError:
        """An error about the byte at `offset`, which is counted inside of what the file is wrapped in."""
        if self.wrapping:
            inside = f"inside {' and '.join(self.wrapping)}"
            chunk = f"{inside}: {chunk}" if chunk else inside
        return FormatError(self.file, offset=offset, chunk=chunk, field=field, expected=expected, got=got, hint=hint)


@contextmanager
def open_stream(file: File | Stream) -> Iterator[Stream]:
    r"""Opens a file, inflates it and takes it out of its archive.

    Args:
        file: a path; a descriptor, which is closed afterwards as `open` does; or a stream, which stays open.

    Raises:
        FormatError: the file is wrapped in something that is corrupt, or in an archive that holds anything but one
            file with a harmless name.
        ImportError: it is compressed with zstd and the extra `zstd` is not installed.
        OSError: it cannot be read.

    Examples:
        >>> import gzip, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words"
        >>> _ = path.write_bytes(gzip.compress(b"one 1.0 0.0\n"))
        >>> with open_stream(path) as stream:
        ...     stream.wrapping, stream.read(100)
        (('gzip',), b'one 1.0 0.0\n')
    """
    if isinstance(file, Stream):
        yield file
        return
    with ExitStack() as stack:
        raw = stack.enter_context(open(file, "rb", buffering=0))
        status = os.fstat(raw.fileno())
        regular = stat.S_ISREG(status.st_mode)
        yield _unwrap(stack, file, raw, max(0, status.st_size - raw.tell()) if regular else None)


def open_bytes(data: bytes) -> Stream:
    """A stream of bytes in memory, unwrapped as `open_stream` does."""
    return _unwrap(ExitStack(), None, io.BytesIO(data), len(data))


def _unwrap(stack: ExitStack, file: File | None, raw: Any, size: int | None) -> Stream:
    stream = Stream(file, raw, (), size)
    head = stream.head(_HEAD)
    if is_zip(head):
        if size is None:
            raise stream.error(0, expected="a zip archive in a regular file", got="one in a pipe")
        raw.seek(0)
        return Stream(file, stack.enter_context(open_zip(raw, file)), ("zip",))
    kind = kind_of(head)
    if kind is not None:
        stream = Stream(file, stack.enter_context(Inflated(stream, kind, file)), (kind,))
    if is_tar(stream.head(_HEAD)):
        stream = Stream(file, stack.enter_context(open_tar(stream, file)), (*stream.wrapping, "tar"))
    return stream
