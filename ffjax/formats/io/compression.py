"""Compressed streams, inflated piece by piece and within a bound.

    gzip   1f 8b 08             one or more members, then zeros
    bzip2  "BZh" 1-9            one or more streams
    xz     fd "7zXZ" 00         one or more streams, zeros between them
    zstd   28 b5 2f fd          one or more frames, some of which may be skippable (5x 2a 4d 18)

All four are read the same way: a decoder a stream, and the next one where that ends.
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

# A small compressed file may inflate to as much as this, a larger one to a multiple of its own size. Embeddings in text
# shrink to a third or a quarter, tables of zeros to a fiftieth.
ALLOWANCE = 1 << 26
RATIO = 100
_PIECE = 1 << 16
_XZ_MEMORY = 1 << 29
_END = b"\x00"


class Inflated(io.RawIOBase):
    """What a compressed stream inflates to.

    Args:
        raw: the compressed stream.
        kind: a key of `DECODERS`.
        file: what errors call it.

    Raises:
        ImportError: zstd, without the package that reads it.
    """

    def __init__(self, raw: Any, kind: str, file: File | None) -> None:
        self._raw, self._kind, self._file = raw, kind, file
        self._new, self._piece, self._errors = _decoder(kind)
        self._decoder: Any = self._new()
        self._pending = b""  # read, but not given to a decoder
        self._read = 0
        self._given = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the start of a buffer; 0 at the end.

        Raises:
            FormatError: the stream is corrupt, truncated, or inflates beyond the bound.
        """
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        try:
            data = self._inflate(len(view))
        except self._errors as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the decoder's
            raise self._error(f"a whole {self._kind} stream", str(error)) from error
        self._given += len(data)
        if self._given > ALLOWANCE + RATIO * self._read:
            raise self._error(
                f"at most {RATIO} times its {self._read} bytes",
                f"over {self._given} bytes inflated",
                "That is no text of embeddings. If it is meant to be, decompress it first.",
            )
        view[: len(data)] = data
        return len(data)

    def _inflate(self, size: int) -> bytes:
        while not self._decoder.eof or self._next_stream():
            data = self._more() if self._decoder.needs_input else b""
            inflated = self._decoder.decompress(data, size)
            if inflated:
                return inflated
            if not data and self._decoder.needs_input and not self._decoder.eof:
                raise self._error(f"more of the {self._kind} stream", "the end of the file")
        return b""

    def _next_stream(self) -> bool:
        """Starts the next decoder; false at the end of the file."""
        rest = self._decoder.unused_data.lstrip(_END)
        while not rest:
            piece = self._more()
            if not piece:
                return False
            rest = piece.lstrip(_END)
        self._decoder, self._pending = self._new(), rest + self._pending
        return True

    def _more(self) -> bytes:
        if self._pending:
            data, self._pending = self._pending[: self._piece], self._pending[self._piece :]
            return data
        data = self._raw.read(self._piece) or b""
        self._read += len(data)
        return data

    def _error(self, expected: str, got: str, hint: str | None = None) -> FormatError:
        return FormatError(
            self._file, offset=self._read, chunk=f"{self._kind} stream", expected=expected, got=got, hint=hint
        )


class _Zlib:
    """zlib's decoder, in the manner of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(31)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        data = self._decoder.decompress(self._rest + data, size)
        self._rest = self._decoder.unconsumed_tail
        return data


class _Zstandard:
    """The decoder of the `zstandard` package, in the same manner. It knows no size, so it is fed little at a time."""

    def __init__(self, package: Any) -> None:
        self._decoder = package.ZstdDecompressor().decompressobj()
        self._rest = b""
        self._at = 0

    @property
    def eof(self) -> bool:
        return self._decoder.eof and self.needs_input

    @property
    def needs_input(self) -> bool:
        return self._at == len(self._rest)

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        if data:
            self._rest, self._at = self._decoder.decompress(data), 0
        data = self._rest[self._at : self._at + size]
        self._at += len(data)
        return data


def _decoder(kind: str) -> tuple[Callable[[], Any], int, tuple[type[Exception], ...]]:
    """What makes a decoder, how many bytes to feed it at a time, and what it raises."""
    if kind == "gzip":
        return _Zlib, _PIECE, (zlib.error,)
    if kind == "bzip2":
        return bz2.BZ2Decompressor, _PIECE, (OSError,)
    if kind == "xz":
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), _PIECE, (lzma.LZMAError,)
    for name in ("compression.zstd", "zstandard"):  # the first is part of Python from 3.14 on
        try:
            package = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            # 2 kB of zstd are at most 64 MB, since 4 bytes may stand for a block of 128 kB.
            return partial(_Zstandard, package), 1 << 11, (package.ZstdError,)
        return package.ZstdDecompressor, _PIECE, (package.ZstdError,)
    raise ImportError("reading zstd needs the extra `zstd`: pip install 'ffjax[zstd]'")


def kind_of(head: bytes) -> str | None:
    """Which compression the first bytes of a file announce, or `None`."""
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    # Behind the level comes a block or, of nothing at all, the end.
    if head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bzip2"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    if head[:4] == b"\x28\xb5\x2f\xfd" or (head[1:4] == b"*M\x18" and head[:1] and 0x50 <= head[0] <= 0x5F):
        return "zstd"
    return None
