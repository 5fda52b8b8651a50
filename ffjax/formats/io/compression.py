"""Decompressed streams, read in chunks and within a bound.

Every kind is read the same way: one decoder for a stream (member, frame), and another where that
ends. Python's own file objects would not do: `bz2` and `lzma` ignore garbage after the last
stream, `lzma` has no memory limit, and `zstandard` takes a truncated frame for a complete one.
"""

import bz2
import importlib
import io
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.io.binary import File

# A small file may decompress to as much as this, a larger one to a multiple of its own size.
# Embeddings in text shrink to a third or a quarter, tables of zeros to a fiftieth.
ALLOWANCE_BYTES = 1 << 26
RATIO = 100
_READ_BYTES = 1 << 16
# 2 kB of zstd are at most 64 MB, since 4 bytes may stand for a block of 128 kB.
_ZSTANDARD_READ_BYTES = 1 << 11
_XZ_MEMORY_BYTES = 1 << 29


class Decompressed(io.RawIOBase):
    """What a stream compressed by gzip, bzip2, xz or zstd holds; errors call it `file`."""

    def __init__(self, raw: Any, kind: str, file: File | None) -> None:
        self._raw, self._kind, self._file = raw, kind, file
        self._new_decoder, self._read_bytes, self._errors = _decoder(kind)
        self._decoder: Any = self._new_decoder()
        self._pending = b""  # read, but not yet passed to a decoder
        self._n_in = self._n_out = 0

    def readinto(self, buffer: Any) -> int:
        """Fills the start of a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        try:
            data = self._decompress(len(view))
        except self._errors as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the decoder's
            raise self._error(f"a complete {self._kind} stream", str(error)) from error
        self._n_out += len(data)
        if self._n_out > ALLOWANCE_BYTES + RATIO * self._n_in:
            raise self._error(
                f"at most {RATIO} times its {self._n_in} bytes",
                f"over {self._n_out} bytes decompressed",
                "Embeddings do not shrink that much. If these do, decompress the file first.",
            )
        view[: len(data)] = data
        return len(data)

    def _decompress(self, size: int) -> bytes:
        while not self._decoder.eof or self._next_stream():
            data = self._more() if self._decoder.needs_input else b""
            decompressed = self._decoder.decompress(data, size)
            if decompressed:
                return decompressed
            if not data and self._decoder.needs_input and not self._decoder.eof:
                raise self._error(f"more of the {self._kind} stream", "the end of the file")
        return b""

    def _next_stream(self) -> bool:
        """Starts the next decoder, after zeros if there are any; false at the end of the file."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            data = self._more()
            if not data:
                return False
            rest = data.lstrip(b"\0")
        self._decoder, self._pending = self._new_decoder(), rest + self._pending
        return True

    def _more(self) -> bytes:
        size = self._read_bytes
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
            return data
        data = self._raw.read(size) or b""
        self._n_in += len(data)
        return data

    def _error(self, expected: str, got: str, hint: str | None = None) -> FormatError:
        what = {"expected": expected, "got": got, "hint": hint}
        return FormatError(self._file, offset=self._n_in, chunk=f"{self._kind} stream", **what)


def _decoder(kind: str) -> tuple[Callable[[], Any], int, tuple[type[Exception], ...]]:
    """What makes a decoder, the bytes to pass it at once, and the errors that it raises."""
    if kind == "gzip":
        return _Gzip, _READ_BYTES, (zlib.error,)
    if kind == "bzip2":
        return bz2.BZ2Decompressor, _READ_BYTES, (OSError,)
    if kind == "xz":
        new = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        return new, _READ_BYTES, (lzma.LZMAError,)
    for name in ("compression.zstd", "zstandard"):  # Python has the first from 3.14 on
        try:
            package = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            return partial(_Zstandard, package), _ZSTANDARD_READ_BYTES, (package.ZstdError,)
        return package.ZstdDecompressor, _READ_BYTES, (package.ZstdError,)
    raise ImportError("reading zstd needs the extra `zstd`: pip install 'ffjax[zstd]'")


class _Gzip:
    """zlib's decoder with the interface of those of `bz2` and `lzma`."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, size)


class _Zstandard:
    """The decoder of the package `zstandard` with the same interface; it knows no size."""

    def __init__(self, package: Any) -> None:
        self._decoder = package.ZstdDecompressor().decompressobj()
        self._ready = io.BytesIO()
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof and self.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        if data:
            self._ready = io.BytesIO(self._decoder.decompress(data))
        decompressed = self._ready.read(size)
        self.needs_input = self._ready.tell() == len(self._ready.getbuffer())
        return decompressed
