"""Files as streams of bytes: plain or compressed, alone or in an archive.

What wraps a file is recognized by its content, never by its name:

    gzip   1f 8b 08             bzip2  "BZh" 1-9, then a block or the end
    xz     fd "7zXZ" 00         zstd   28 b5 2f fd, or a skippable frame 5x 2a 4d 18
    zip    "PK" 03 04           tar    "ustar" at byte 257 and a matching checksum

A reader that wants the bytes in place, as a map, takes the stream over with `open_source`.
"""

import errno
import io
import mmap
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ffjax._internal.file_arguments import check_file
from ffjax._internal.text_check import MAGICS
from ffjax.errors import FormatError
from ffjax.formats.foreign import other_format
from ffjax.formats.io.archives import Archive, Zip, may_be_folder, open_tar, tar_spans
from ffjax.formats.io.binary import ByteSource, File
from ffjax.formats.io.compression import Decompressed
from ffjax.formats.io.folders import Folder, NoBytes, by_level, names_in

_HEAD_BYTES = 512  # a tar header, the longest of the heads that announce a wrapping
_COPY_BYTES = 1 << 20
# A tar archive that begins with a smaller file may be a folder, and is copied to list its files.
_SMALL_BYTES = 1 << 20
_TAR_BYTES = 1 << 14


@dataclass(eq=False)
class Stream:
    """The bytes of a file, read from start to end: `raw`, out of what wraps it (outermost first).

    `size` is `None` if only reading tells; `position` counts the bytes that have been read. The
    stream of a `folder` has no bytes.
    """

    file: File | None
    raw: Any
    wrapping: tuple[str, ...] = ()
    size: int | None = None
    folder: Folder | None = None
    position: int = 0
    _ahead: bytes = b""

    @property
    def remaining(self) -> int | None:
        """The number of bytes that have not been read, `None` if only reading tells."""
        return None if self.size is None else max(0, self.size - self.position)

    def expected_folder(self) -> Folder:
        """The folder, for readers of several files; an error for a single file."""
        if self.folder is None:
            raise self.error(None, "a folder, or an archive of one", "a single file")
        return self.folder

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
        """An error about the byte at `offset`, counted inside what wraps the file."""
        what = {"expected": expected, "got": got, **where}
        chunk = ": ".join(filter(None, (self.inside, chunk)))
        return FormatError(self.file, offset=offset, chunk=chunk or None, **what)

    @property
    def inside(self) -> str:
        """What wraps the file, as errors call it; empty for a file by itself."""
        return f"inside {' and '.join(self.wrapping)}" if self.wrapping else ""


# Whether files of these names, of a directory or an archive, are embeddings together.
IsFolder = Callable[[list[str]], bool]


@contextmanager
def open_stream(
    file: File | Stream, member: str | None = None, is_folder: IsFolder | None = None
) -> Iterator[Stream]:
    r"""Opens a file, decompresses it and takes it out of its archive; a stream stays open.

    `member` is the name of the file or folder in the archive, `None` for
    `archives.default_member`. A directory, or an archive with several files, that `is_folder`
    accepts comes as a folder; without `is_folder` a directory is an error.

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
    if is_folder is not None and not isinstance(file, int):
        check_file(file)
        if os.path.isdir(file):
            yield _directory(file)
            return
    with ExitStack() as stack:
        yield _unwrap(stack, _open(stack, file), member, is_folder)


@contextmanager
def open_source(
    file: File | Stream,
    *,
    magic: bytes = b"",
    without_magic: Callable[[bytes], bool] = lambda head: False,
    error: type[FormatError] = FormatError,
    title: str = "",
) -> Iterator[ByteSource]:
    """Opens a file for reading in place, through a memory map.

    A stream must be at its start. What can't be mapped (a pipe, a compressed stream) is copied to a
    temporary file first. A file that begins neither with `magic` nor with bytes that
    `without_magic` accepts is an error of class `error`; `title` says what it should have been.
    """
    with ExitStack() as stack:
        stream = file if isinstance(file, Stream) else _open(stack, file)
        head = stream.head(len(magic))
        if head != magic and not without_magic(stream.head(_HEAD_BYTES)):
            got, hint = "an empty file", None
            if head:
                got, hint = repr(head), "The file is of another format."
            kind = other_format(stream.head(_HEAD_BYTES), may_be_wrapped=not stream.wrapping)
            if kind is not None:
                got, hint = kind.name, kind.advice
            what = {"field": "magic", "expected": title or repr(magic), "got": got, "hint": hint}
            source = ByteSource(stream.file, b"", error, inside=stream.inside)
            raise source.error(offset=0, chunk="header", **what)
        if isinstance(stream.raw, _Section):
            raw, span = stream.raw.file, (stream.raw.start, stream.raw.stop)
        else:
            raw, span = _in_place(stack, stream), (0, None)
        size = os.fstat(raw.fileno()).st_size
        data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        yield ByteSource(stream.file, data, error, raw, span, stream.inside)
        # The map goes when its last view does: a failed read's traceback may still hold one.


class _Section(io.RawIOBase):
    """The bytes of a file from `start` to `stop`."""

    def __init__(self, file: Any, start: int, stop: int) -> None:
        self.file, self.start, self.stop = file, start, stop
        self._position = start

    def readinto(self, buffer: Any) -> int:
        """Fills the start of a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")[: self.stop - self._position]
        self.file.seek(self._position)
        count = self.file.readinto(view)
        self._position += count
        return count


def _in_place(stack: ExitStack, stream: Stream) -> Any:
    """The file of a stream, or the rest of it in a temporary file if it has none by itself."""
    if stream.size is not None and not stream.wrapping and not isinstance(stream.raw, _Section):
        return stream.raw
    file = stack.enter_context(tempfile.TemporaryFile())
    while data := stream.read(_COPY_BYTES):
        file.write(data)
    file.flush()
    return file


def _archive(
    file: File | None,
    names: list[str],
    wrapping: tuple[str, ...],
    open_member: Callable[[str], Any],
) -> Stream:
    """An archive as the stream of a folder."""
    *outer, kind = wrapping

    @contextmanager
    def open_file(name: str) -> Iterator[Stream]:
        inside = (*outer, f"{kind} ({name})")
        with open_member(name) as data:
            size = data.stop - data.start if isinstance(data, _Section) else None
            yield Stream(file, data, inside, size)

    error = Archive(file, kind).several(names)
    return Stream(file, NoBytes(error), wrapping, folder=Folder(file, names, open_file))


def _directory(path: Any) -> Stream:
    """A directory as the stream of a folder."""
    shown = os.fsdecode(path)

    @contextmanager
    def open_file(name: str) -> Iterator[Stream]:
        with ExitStack() as stack:
            yield _open(stack, os.path.join(shown, *name.split("/")))

    error = IsADirectoryError(errno.EISDIR, "expected a file, got a folder", shown)
    return Stream(path, NoBytes(error), folder=Folder(path, names_in(path), open_file))


def _open(stack: ExitStack, file: File) -> Stream:
    """Opens a file as it is; of a descriptor, the bytes from its position on."""
    check_file(file)
    raw = stack.enter_context(open(file, "rb", buffering=0))
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return Stream(file, raw)
    start = raw.tell()
    size = max(0, status.st_size - start)
    return Stream(file, _Section(raw, start, start + size) if start else raw, (), size)


def _unwrap(
    stack: ExitStack, stream: Stream, member: str | None = None, is_folder: IsFolder | None = None
) -> Stream:
    file, head = stream.file, stream.head(_HEAD_BYTES)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        raw = _in_place(stack, stream)
        archive = Zip(raw, file)
        if names := _folder_names(archive.names, member, is_folder):

            def open_zipped(name: str) -> Any:
                span = archive.span(name)
                if span is not None:
                    return _Section(raw, *span)
                data, _ = archive.open(name)
                return data

            return _archive(file, names, ("zip",), open_zipped)
        data, size = archive.open(member)
        return Stream(file, stack.enter_context(data), ("zip",), size)
    kind = next((kind for kind, magic in MAGICS.items() if re.match(magic, head)), None)
    if kind is not None:
        data = stack.enter_context(Decompressed(stream, kind, file))
        stream = Stream(file, data, (kind,))
        head = stream.head(_HEAD_BYTES)
    if _is_tar(head):
        if is_folder is not None and may_be_folder(stream.head(_TAR_BYTES), _SMALL_BYTES, member):
            copy = _in_place(stack, stream)
            spans = tar_spans(copy, file)
            if names := _folder_names(list(spans), member, is_folder):
                wrapping = (*stream.wrapping, "tar")
                return _archive(file, names, wrapping, lambda name: _Section(copy, *spans[name]))
            copy.seek(0)
            stream = Stream(file, copy, stream.wrapping)
        data = stack.enter_context(open_tar(stream, file, member))
        return Stream(file, data, (*stream.wrapping, "tar"))
    if member is not None:
        expected = "expected the name of a file in an archive, and this file is not one"
        raise ValueError(f"`member`: {expected}, got {member!r}. Leave it out.")
    return stream


def _folder_names(
    names: list[str], member: str | None, is_folder: IsFolder | None
) -> list[str] | None:
    """The files of an archive, or of a folder in it, that are embeddings together."""
    if member is not None:
        names = [name for name in names if name.startswith(member.rstrip("/") + "/")]
    names = by_level(names)
    return names if is_folder is not None and is_folder(names) else None


def _is_tar(head: bytes) -> bool:
    """Whether a tar header has its magic and the right checksum."""
    if len(head) < _HEAD_BYTES or head[257:262] != b"ustar":
        return False
    declared = head[148:156].strip(b" \x00")
    total = sum(head[:148]) + 8 * ord(" ") + sum(head[156:])
    return re.fullmatch(rb"[0-7]+", declared) is not None and int(declared, 8) == total
