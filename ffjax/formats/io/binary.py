"""Reading and writing binary files field by field, with errors that say where.

A `ByteSource` is a whole file in place (a read-only map, or bytes in memory), a `Cursor` a position in a stretch of it.
Each read is checked against the end of the stretch, and `Cursor.claim` checks a declared number of elements before the
caller allocates anything for them.
"""

import mmap
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, RawIOBase
from typing import Any, TypeAlias

import numpy as np

from ffjax._internal.memmap import map_file
from ffjax.errors import FormatError

# A path, or the number of an open descriptor, which is closed afterwards as `open` does.
File: TypeAlias = str | bytes | int | os.PathLike[str] | os.PathLike[bytes]

_PIECE = 1 << 20


class ByteSource:
    """The bytes of one file.

    Attributes:
        name: what errors call the file, `None` for bytes in memory.
        data: all bytes.
        error: the kind of `FormatError` to raise.
    """

    def __init__(
        self, name: File | None, data: Any, error: type[FormatError] = FormatError, file: RawIOBase | None = None
    ) -> None:
        self.name = name
        self.data = memoryview(data)
        self._map = data if isinstance(data, mmap.mmap) else None
        self.error = error
        self._file = file

    def __len__(self) -> int:
        return len(self.data)

    @property
    def mappable(self) -> bool:
        """Whether parts of the file can be mapped: it is a regular file, not a pipe or bytes in memory."""
        return self._file is not None

    def view(self, start: int, stop: int) -> np.ndarray:
        """Bytes of the file as a read-only array, in place."""
        return np.frombuffer(self.data, np.uint8, stop - start, start)

    def release_pages(self, start: int, stop: int) -> None:
        """Takes pages that have been looked at out of this process's memory; they are read again when needed."""
        first, last = -(-start // mmap.PAGESIZE), stop // mmap.PAGESIZE
        if self._map is not None and last > first and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)

    def read_into(self, start: int, out: np.ndarray) -> None:
        """Copies bytes from `start` on into a contiguous array.

        From a file they are read, not copied out of the map: that is faster, and the pages of the map stay untouched.
        """
        target = memoryview(out.reshape(-1).view(np.uint8))
        if self._file is None:
            target[:] = self.data[start : start + len(target)]
            return
        self._file.seek(start)
        done = 0
        while done < len(target):
            count = self._file.readinto(target[done:])
            if not count:
                raise self.error(
                    self.name,
                    offset=start + done,
                    expected=f"{len(target) - done} more bytes",
                    got="the end of the file, which has become shorter since it was opened",
                )
            done += count

    def map(self, start: int, shape: tuple[int, ...], dtype: Any) -> np.memmap:
        """A read-only memory map of an array that starts at byte `start`."""
        if self._file is None:
            raise ValueError(f"`source`: expected a regular file to map, got {self.name!r}.")
        return map_file(self._file, start, shape, dtype)


@contextmanager
def open_source(file: File, *, magic: bytes = b"", error: type[FormatError] = FormatError) -> Iterator[ByteSource]:
    """Opens a file for reading in place.

    What is not a regular file (a pipe, a terminal) cannot be mapped and is read to its end, but only if it begins with
    `magic`.

    Args:
        file: a path, or a descriptor, which is closed afterwards.
        magic: the first bytes that the file must have.
        error: what to raise.

    Raises:
        FormatError: the file begins otherwise.
        OSError: it cannot be read.
    """
    with open(file, "rb", buffering=0) as raw:
        status = os.fstat(raw.fileno())
        regular = stat.S_ISREG(status.st_mode)
        if not regular:
            data: Any = _read_all(raw, file, magic, error)
        elif status.st_size == 0:
            data = b""  # nothing to map
        else:
            data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        source = ByteSource(file, data, error, raw if regular else None)
        if source.data[: len(magic)] != magic:
            raise _no_magic(file, magic, bytes(source.data[: len(magic)]), error)
        yield source
        # The map goes when its last view does: a failed read's traceback may still hold one.


class Cursor:
    """A position in a stretch of a file.

    Attributes:
        source: the file.
        position: the next byte, counted from the start of the file.
        end: where the stretch ends.
        chunk: what errors call the stretch.
    """

    __slots__ = ("end", "chunk", "position", "source")

    def __init__(self, source: ByteSource, start: int = 0, end: int | None = None, chunk: str | None = None) -> None:
        self.source = source
        self.position = start
        self.end = len(source) if end is None else end
        self.chunk = chunk

    @property
    def remaining(self) -> int:
        """Bytes up to the end of the stretch."""
        return self.end - self.position

    def error(
        self, field: str, expected: str, got: str, *, offset: int | None = None, hint: str | None = None
    ) -> FormatError:
        """An error about a field that begins at `offset`, or at the position; the caller raises it."""
        return self.source.error(
            self.source.name,
            offset=self.position if offset is None else offset,
            chunk=self.chunk,
            field=field,
            expected=expected,
            got=got,
            hint=hint,
        )

    def claim(self, field: str, count: int, size: int = 1, *, offset: int | None = None) -> int:
        """The bytes that `count` elements of `size` bytes take, if the stretch still has as many.

        Raises:
            FormatError: it has fewer.
        """
        if count * size > self.remaining:
            each = "" if size == 1 else f" of {size} bytes"
            most = f"at most {self.remaining // size}{each}, as many as remain"
            raise self.error(field, most, str(count), offset=offset)
        return count * size

    def number(self, code: str, field: str) -> Any:
        """One little-endian number, `code` as in `struct`.

        Raises:
            FormatError: the stretch ends before it does.
        """
        size = struct.calcsize("<" + code)
        if size > self.remaining:
            raise self.error(field, f"{size} bytes", f"{self.remaining} before the end")
        (value,) = struct.unpack_from("<" + code, self.source.data, self.position)
        self.position += size
        return value

    def u32(self, field: str) -> int:
        """An unsigned number of 4 bytes."""
        return self.number("I", field)

    def u64(self, field: str) -> int:
        """An unsigned number of 8 bytes."""
        return self.number("Q", field)

    def skip(self, field: str, count: int) -> int:
        """Steps over `count` bytes and returns where they began.

        Raises:
            FormatError: fewer remain.
        """
        if count > self.remaining:
            raise self.error(field, f"{count} bytes", f"{self.remaining} before the end")
        start = self.position
        self.position += count
        return start

    def take(self, field: str, count: int) -> memoryview:
        """The next `count` bytes, in place.

        Raises:
            FormatError: fewer remain.
        """
        start = self.skip(field, count)
        return self.source.data[start : start + count]

    def text(self, field: str, count: int) -> str:
        """The next `count` bytes as UTF-8.

        Raises:
            FormatError: fewer remain, or they are not UTF-8.
        """
        raw = self.take(field, count)
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            got = f"byte 0x{raw[error.start]:02x} ({error.reason})"
            raise self.error(field, "UTF-8", got, offset=self.position - count + error.start) from error

    def finish(self) -> None:
        """Checks that the stretch has been read to its end.

        Raises:
            FormatError: bytes are left.
        """
        if self.remaining:
            raise self.error("length", f"{self.chunk} to end here", f"{self.remaining} more bytes")


class Output:
    """A binary file that is being written from its start to its end; it need not be seekable.

    Attributes:
        position: bytes written so far, or where the first one goes.
    """

    __slots__ = ("_file", "position")

    def __init__(self, file: BufferedIOBase | RawIOBase, position: int = 0) -> None:
        self._file = file
        self.position = position

    def write(self, data: Any) -> None:
        """Writes bytes or a contiguous array."""
        view = memoryview(data)
        if view.nbytes:  # an empty array of two dimensions cannot be cast
            self._file.write(view.cast("B"))
            self.position += view.nbytes

    def pack(self, codes: str, *values: int | float) -> None:
        """Writes little-endian numbers, `codes` as in `struct`."""
        self.write(struct.pack("<" + codes, *values))


def _read_all(raw: RawIOBase, file: File, magic: bytes, error: type[FormatError]) -> bytearray:
    data = bytearray()
    while piece := raw.read(_PIECE):
        data += piece
        if data[: len(magic)] != magic[: len(data)]:
            break  # an endless device must not be read
    if len(data) < len(magic) or data[: len(magic)] != magic:
        raise _no_magic(file, magic, bytes(data[: len(magic)]), error)
    return data


def _no_magic(file: File, magic: bytes, got: bytes, error: type[FormatError]) -> FormatError:
    return error(
        file,
        offset=0,
        chunk="header",
        field="magic",
        expected=repr(magic),
        got=repr(got) if got else "an empty file",
        hint="The file is of another format.",
    )
