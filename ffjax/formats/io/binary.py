"""Reading and writing binary files field by field, with errors that say where.

A `ByteSource` is a complete file in place (a read-only map, or bytes in memory), a `Cursor` a
position in a stretch of it, an `Array` numbers or strings in it. Each read is checked against the
end of the stretch, and `Cursor.claim` checks a declared number of elements before the caller
allocates anything for them.
"""

import json
import math
import mmap
import struct
from collections.abc import Iterable
from io import BufferedIOBase, RawIOBase
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.file_arguments import File
from ffjax._internal.memmap import map_file
from ffjax.errors import FormatError

INCOMPLETE = "The file is incomplete or damaged: copy or download it again."


class ByteSource:
    """The bytes of one file, opened by `streams.open_source`, or of memory (without a name)."""

    def __init__(
        self,
        name: File | None,
        data: Any,
        error: type[FormatError] = FormatError,
        file: Any = None,
        span: tuple[int, int | None] = (0, None),
        inside: str = "",
    ) -> None:
        self.name, self._error, self._file, self._inside = name, error, file, inside
        self.data = memoryview(data)[slice(*span)]
        self._map = data if isinstance(data, mmap.mmap) else None
        self._start = span[0]  # of the bytes, in a file that has others too

    def __len__(self) -> int:
        return len(self.data)

    def error(self, *, chunk: str | None = None, **what: Any) -> FormatError:
        """An error about the bytes; offsets count inside what wraps them."""
        chunk = ": ".join(filter(None, (self._inside, chunk)))
        return self._error(self.name, chunk=chunk or None, **what)

    @property
    def mappable(self) -> bool:
        """Whether arrays of the file can be mapped, which bytes in memory can't be."""
        return self._file is not None

    def view(self, start: int, stop: int) -> np.ndarray:
        """Bytes of the file as a read-only array, in place."""
        return np.frombuffer(self.data, np.uint8, stop - start, start)

    def release_pages(self, start: int, stop: int) -> None:
        """Removes pages from this process's memory; they are read again when needed."""
        start, stop = start + self._start, stop + self._start
        start, stop = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, stop - stop % mmap.PAGESIZE
        if self._map is not None and stop > start and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, start, stop - start)

    def read_into(self, start: int, out: np.ndarray) -> None:
        """Copies bytes from `start` on into a contiguous array."""
        # Not out of the map: reading is faster, and the pages of the map stay untouched.
        target = memoryview(out.reshape(-1).view(np.uint8))
        if self._file is None:
            target[:] = self.data[start : start + len(target)]
            return
        self._file.seek(self._start + start)
        filled = 0
        while filled < len(target):
            count = self._file.readinto(target[filled:])
            if not count:
                expected = f"{len(target) - filled} more bytes"
                got = "the end of the file, which has become shorter since it was opened"
                raise self.error(offset=start + filled, expected=expected, got=got)
            filled += count

    def map(self, start: int, shape: tuple[int, ...], dtype: Any) -> np.memmap:
        """A read-only memory map of an array that starts at byte `start`."""
        if self._file is None:
            raise ValueError(f"`source`: expected a file to map, got {self.name!r}.")
        return map_file(self._file, self._start + start, shape, dtype)


class Array(NamedTuple):
    """An array in a file, which begins at byte `start`."""

    source: ByteSource
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool = False

    @property
    def has_numbers(self) -> bool:
        """Whether it holds numbers; those of `ml_dtypes`, such as bfloat16, have no kind."""
        return self.dtype.kind in "fiu" or "float" in self.dtype.name

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def view(self) -> np.ndarray:
        """The array in place, read-only."""
        if not self.nbytes:
            return np.zeros(self.shape, self.dtype)
        numbers = np.frombuffer(self.source.data, self.dtype, math.prod(self.shape), self.start)
        return numbers.reshape(self.shape, order="F" if self.fortran_order else "C")

    def read(self) -> np.ndarray:
        """The array in memory, in C order."""
        if self.fortran_order:
            return np.array(self.view(), order="C")
        array = np.empty(self.shape, self.dtype)
        if array.size:
            self.source.read_into(self.start, array)
        return array

    def map(self) -> np.ndarray | None:
        """The array as a memory map, if it has rows of floats as a storage has them."""
        is_float = self.dtype in (np.float32, np.float16) and self.dtype.isnative
        if self.fortran_order or not is_float or not self.nbytes:
            return None
        return self.source.map(self.start, self.shape, self.dtype) if self.source.mappable else None

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


class Cursor:
    """A position in a stretch of a file, which errors call `chunk`."""

    def __init__(
        self, source: ByteSource, start: int = 0, end: int | None = None, chunk: str | None = None
    ) -> None:
        self.source, self.position, self.chunk = source, start, chunk
        self.end = len(source) if end is None else end

    @property
    def remaining(self) -> int:
        """Bytes up to the end of the stretch."""
        return self.end - self.position

    def error(
        self, field: str, expected: str, got: str, *, offset: int | None = None, **what: str | None
    ) -> FormatError:
        """An error about a field that begins at `offset`, by default at the position."""
        offset = self.position if offset is None else offset
        what |= {"field": field, "expected": expected, "got": got}
        return self.source.error(offset=offset, chunk=self.chunk, **what)

    def claim(self, field: str, count: int, size: int = 1, *, offset: int | None = None) -> int:
        """The bytes that `count` elements of `size` bytes take."""
        if count * size > self.remaining:
            unit = "" if size == 1 else f" of {size} bytes"
            expected = f"at most {self.remaining // size}{unit}, as many as remain"
            raise self.error(field, expected, str(count), offset=offset, hint=INCOMPLETE)
        return count * size

    def number(
        self, code: str, field: str, least: int | None = None, most: int | None = None
    ) -> Any:
        """One little-endian number, `code` as in `struct`, within bounds."""
        start = self.skip(field, struct.calcsize("<" + code))
        number = struct.unpack_from("<" + code, self.source.data, start)[0]
        if least is not None and number < least or most is not None and number > most:
            expected = f"at least {least}" if most is None else f"{least} to {most}"
            if most is not None and most - (least or 0) < 2:
                expected = " or ".join(map(str, range(least or 0, most + 1)))
            raise self.error(field, expected, str(number), offset=start)
        return number

    def u32(self, field: str) -> int:
        """An unsigned number of 4 bytes."""
        return self.number("I", field)

    def u64(self, field: str) -> int:
        """An unsigned number of 8 bytes."""
        return self.number("Q", field)

    def skip(self, field: str, count: int) -> int:
        """Steps over `count` bytes and returns where they began."""
        if count > self.remaining:
            got = f"{self.remaining} before the end"
            raise self.error(field, f"{count} bytes", got, hint=INCOMPLETE)
        start = self.position
        self.position += count
        return start

    def take(self, field: str, count: int) -> memoryview:
        """The next `count` bytes, in place."""
        start = self.skip(field, count)
        return self.source.data[start : start + count]

    def text(self, field: str, count: int) -> str:
        """The next `count` bytes as UTF-8."""
        raw = self.take(field, count)
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            got = f"byte 0x{raw[error.start]:02x} ({error.reason})"
            offset = self.position - count + error.start
            raise self.error(field, "UTF-8", got, offset=offset) from error

    def json(self, field: str, count: int, kind: type, expected: str) -> Any:
        """The next `count` bytes as JSON, whose outermost value is of one type."""
        start, text = self.position, self.text(field, count)
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            offset = start + len(text[: getattr(error, "pos", 0)].encode())
            raise self.error(field, expected, f"an error: {error}"[:80], offset=offset) from error
        if not isinstance(tree, kind):
            raise self.error(field, expected, repr(tree)[:64], offset=start)
        return tree

    def finish(self) -> None:
        """Checks that the stretch has been read to its end."""
        if self.remaining:
            got = f"{self.remaining} more bytes"
            raise self.error("length", f"{self.chunk} to end here", got)


class Output:
    """A binary file that is written from start to end; without a file it only counts bytes."""

    def __init__(self, file: BufferedIOBase | RawIOBase | None, position: int = 0) -> None:
        self._file, self.position = file, position

    def write(self, data: Any) -> None:
        """Writes bytes or a contiguous array."""
        view = memoryview(data)
        if view.nbytes and self._file is not None:
            self._file.write(view.cast("B"))  # an empty array of two dimensions can't be cast
        self.position += view.nbytes

    def write_blocks(self, size: int, blocks: Iterable[Any]) -> None:
        """Writes blocks that have `size` bytes together; a dry run leaves them alone."""
        if self._file is None:
            self.position += size
            return
        for block in blocks:
            self.write(block)

    def pack(self, codes: str, *values: int | float) -> None:
        """Writes little-endian numbers, `codes` as in `struct`."""
        self.write(struct.pack("<" + codes, *values))


class Chains:
    """Items without an index, of which each begins where the one before ends.

    They are all that looks like one: where it begins, ascending, and where it would end.

    Examples:
        >>> chains = Chains(np.array([0, 2, 3, 7]), np.array([3, 9, 7, 8]))
        >>> chains.at(0), chains.at(3), chains.at(8)
        (slice(0, 1, None), slice(2, 4, None), slice(0, 0, None))
    """

    def __init__(self, starts: np.ndarray, ends: np.ndarray) -> None:
        self.starts, self.ends = starts, ends
        breaks = np.flatnonzero(ends[:-1] != starts[1:]) + 1
        self._stops = np.append(breaks, len(starts))

    def at(self, position: int) -> slice:
        """The items from a position on, up to one after which something else seems to begin."""
        # A number of another type would cast all starts.
        first = int(np.searchsorted(self.starts, self.starts.dtype.type(position)))
        if first == len(self.starts) or self.starts[first] != position:
            return slice(0, 0)
        return slice(first, int(self._stops[np.searchsorted(self._stops, first, side="right")]))
