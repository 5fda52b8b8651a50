"""Files as streams of bytes: plain or compressed, alone or in an archive.

What wraps a file is recognized by its content, never by its name:

    gzip   1f 8b 08             bzip2  "BZh" 1-9, then a block or the end
    xz     fd "7zXZ" 00         zstd   28 b5 2f fd, or a skippable frame 5x 2a 4d 18
    zip    "PK" 03 04           tar    "ustar" at byte 257 and a matching checksum

A reader that wants the bytes in place, as a map, takes the stream over with `open_source`.
"""

import mmap
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ffjax._internal.file_arguments import check_file
from ffjax.errors import FormatError
from ffjax.formats.foreign import other_format
from ffjax.formats.io.archives import open_tar, open_zip
from ffjax.formats.io.binary import ByteSource, File
from ffjax.formats.io.compression import Decompressed

_HEAD_BYTES = 512  # a tar header, the longest of the heads that announce a wrapping
_COPY_BYTES = 1 << 20
_COMPRESSED = {
    "gzip": rb"\x1f\x8b\x08",
    # The level is followed by a block or, in an empty stream, by the end.
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz": rb"\xfd7zXZ\x00",
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\*M\x18",
}


class Stream:
    """The bytes of a file, read from start to end: `raw`, out of what wraps it (outermost first).

    `size` is `None` if only reading tells; `position` counts the bytes that have been read.
    """

    def __init__(
        self, file: File | None, raw: Any, wrapping: tuple[str, ...] = (), size: int | None = None
    ) -> None:
        self.file, self.raw, self.wrapping, self.size = file, raw, wrapping, size
        self.position = 0
        self._ahead = b""

    @property
    def remaining(self) -> int | None:
        """The number of bytes that have not been read, `None` if only reading tells."""
        return None if self.size is None else max(0, self.size - self.position)

    def head(self, n: int) -> bytes:
        """The next `n` bytes, fewer at the end; they do not count as read."""
        while len(self._ahead) < n and (data := self.raw.read(n - len(self._ahead))):
            self._ahead += data
        return self._ahead[:n]

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer, or its start at the end of the file; returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        filled = min(len(self._ahead), len(view))
        view[:filled], self._ahead = self._ahead[:filled], self._ahead[filled:]
        while filled < len(view) and (count := self.raw.readinto(view[filled:])):
            filled += count
        self.position += filled
        return filled

    def read(self, n: int) -> bytes:
        """The next `n` bytes, fewer at the end."""
        data = self.head(n)
        self._ahead = self._ahead[len(data) :]
        self.position += len(data)
        return data

    def error(
        self, offset: int | None, expected: str | None, got: str, *, chunk: str = "", **where: Any
    ) -> FormatError:
        """An error about the byte at `offset`, counted inside of what wraps the file."""
        what = {"expected": expected, "got": got, **where}
        if self.wrapping:
            inside = f"inside {' and '.join(self.wrapping)}"
            chunk = f"{inside}: {chunk}" if chunk else inside
        return FormatError(self.file, offset=offset, chunk=chunk or None, **what)


@contextmanager
def open_stream(file: File | Stream, member: str | None = None) -> Iterator[Stream]:
    r"""Opens a file, decompresses it and takes it out of its archive; a stream stays open.

    `member` is the name of the file in the archive, `None` for `archives.default_member`.

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
        yield _unwrap(stack, _open(stack, file), member)


@contextmanager
def open_source(
    file: File | Stream, *, magic: bytes = b"", error: type[FormatError] = FormatError
) -> Iterator[ByteSource]:
    """Opens a file for reading in place, through a memory map.

    A stream must be at its start. What can't be mapped (a pipe, a compressed stream) is copied to a
    temporary file first. A file that does not begin with `magic` is an error of class `error`.
    """
    with ExitStack() as stack:
        stream = file if isinstance(file, Stream) else _open(stack, file, rewind=True)
        head = stream.head(len(magic))
        if head != magic:
            where = {"offset": 0, "chunk": "header", "field": "magic"}
            got, hint = repr(head) if head else "an empty file", "The file is of another format."
            kind = other_format(stream.head(_HEAD_BYTES), is_wrapped=not stream.wrapping)
            if kind is not None:
                got, hint = kind.name, kind.advice
            raise error(stream.file, **where, expected=repr(magic), got=got, hint=hint)
        raw = stream.raw
        if stream.wrapping or stream.size is None:
            raw = stack.enter_context(tempfile.TemporaryFile())
            while data := stream.read(_COPY_BYTES):
                raw.write(data)
            raw.flush()
        size = os.fstat(raw.fileno()).st_size
        data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        yield ByteSource(stream.file, data, error, raw)
        # The map goes when its last view does: a failed read's traceback may still hold one.


def _open(stack: ExitStack, file: File, *, rewind: bool = False) -> Stream:
    """Opens a file as it is."""
    check_file(file)
    raw = stack.enter_context(open(file, "rb", buffering=0))
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return Stream(file, raw)
    if rewind:
        raw.seek(0)
    return Stream(file, raw, (), max(0, status.st_size - raw.tell()))


def _unwrap(stack: ExitStack, stream: Stream, member: str | None = None) -> Stream:
    file, head = stream.file, stream.head(_HEAD_BYTES)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        if stream.size is None:
            raise stream.error(0, "a zip archive in a regular file", "one in a pipe")
        stream.raw.seek(0)
        return Stream(file, stack.enter_context(open_zip(stream.raw, file, member)), ("zip",))
    kind = compression_of(head)
    if kind is not None:
        data = stack.enter_context(Decompressed(stream, kind, file))
        stream = Stream(file, data, (kind,))
        head = stream.head(_HEAD_BYTES)
    if _is_tar(head):
        data = stack.enter_context(open_tar(stream, file, member))
        return Stream(file, data, (*stream.wrapping, "tar"))
    if member is not None:
        expected = "expected None for a file that is not an archive"
        raise ValueError(f"`member`: {expected}, got {member!r}.")
    return stream


def compression_of(head: bytes) -> str | None:
    """The compression that the first bytes of a file announce."""
    return next((kind for kind, magic in _COMPRESSED.items() if re.match(magic, head)), None)


def _is_tar(head: bytes) -> bool:
    """Whether a tar header has its magic and the right checksum."""
    if len(head) < _HEAD_BYTES or head[257:262] != b"ustar":
        return False
    declared = head[148:156].strip(b" \x00")
    total = sum(head[:148]) + 8 * ord(" ") + sum(head[156:])
    return re.fullmatch(rb"[0-7]+", declared) is not None and int(declared, 8) == total
