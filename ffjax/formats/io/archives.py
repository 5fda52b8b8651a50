"""Archives with one file in them: zip, and tar (compressed or not).

Nothing is ever written to the disk, and the member's name is used for nothing. Still, a name that leads out of its
folder, or several members, mean that the archive is not the embeddings that its reader takes it for.
"""

import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.compression import ALLOWANCE, RATIO

_MAGIC_AT = 257
_BLOCK = 512
_PIECE = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# What the two modules raise when an archive is not what they expect.
_BAD = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
)


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip archive, possibly an empty one."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is a tar archive: its first header has the magic and the right checksum."""
    if len(head) < _BLOCK or head[_MAGIC_AT : _MAGIC_AT + 5] != b"ustar":
        return False
    declared = head[148:156].strip(b" \x00")
    total = sum(head[:148]) + 8 * 32 + sum(head[156:_BLOCK])
    return re.fullmatch(rb"[0-7]+", declared) is not None and int(declared, 8) == total


def open_zip(raw: Any, file: File | None) -> io.RawIOBase:
    """The one member of a zip archive as a stream.

    Raises:
        FormatError: the archive is corrupt, encrypted, has no or several members, one with a path that leads out of
            its folder, or one that inflates beyond the bound.
    """
    try:
        archive = zipfile.ZipFile(raw)
        members = [info for info in archive.infolist() if not info.filename.endswith("/")]
        if len(members) != 1:
            raise _count(file, "zip", [info.filename for info in members])
        (member,) = members
        _check_name(member.filename, file, "zip")
        _check_zipped(member, file)
        return _Member(archive.open(member), file, "zip", archive)
    except _BAD as error:
        raise _as_format_error(error, file, "zip") from None


def _check_zipped(member: zipfile.ZipInfo, file: File | None) -> None:
    most = ALLOWANCE + RATIO * member.compress_size
    if member.flag_bits & 1:
        what = ("a file that is not encrypted", "an encrypted one", None)
    elif member.compress_type not in _METHODS:
        what = ("a stored, deflated or bzip2 file", f"compression method {member.compress_type}", None)
    elif member.file_size > most:
        hint = "That is no text of embeddings. If it is meant to be, unpack it first."
        what = (f"at most {most} bytes inflated, since it has {member.compress_size}", str(member.file_size), hint)
    else:
        return
    expected, got, hint = what
    raise FormatError(
        file, chunk="zip archive", field=f"member {member.filename!r}", expected=expected, got=got, hint=hint
    )


def open_tar(stream: Any, file: File | None) -> io.RawIOBase:
    """The one member of a tar archive as a stream, read from a stream that need not be seekable.

    That there is no second member is known, and checked, when the first has been read to its end.

    Raises:
        FormatError: the archive is corrupt, has no member, one that is no plain file, or one with a path that leads
            out of its folder.
    """
    try:
        archive = tarfile.open(fileobj=stream, mode="r|", bufsize=128 * _BLOCK)
        member = _next_file(archive, file)
        if member is None:
            raise _count(file, "tar", [])
        data = archive.extractfile(member)
        assert data is not None  # a plain file has data
        return _Member(data, file, "tar", archive, lambda: _finish_tar(archive, file, member.name, stream))
    except _BAD as error:
        raise _as_format_error(error, file, "tar") from None


class _Member(io.RawIOBase):
    """The data of one member; `at_end` is called once when they have been read, the archive closed with the member."""

    def __init__(
        self, data: Any, file: File | None, kind: str, archive: Any, at_end: Callable[[], None] = lambda: None
    ) -> None:
        self._data, self._file, self._kind, self._archive, self._at_end = data, file, kind, archive, at_end

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the start of a buffer; 0 at the end.

        Raises:
            FormatError: the archive is corrupt or, known at the end, has another member.
        """
        view = memoryview(buffer).cast("B")
        try:
            data = self._data.read(len(view))
            if not data and len(view):
                self._at_end()
                self._at_end = lambda: None
        except _BAD as error:
            raise _as_format_error(error, self._file, self._kind) from None
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes the archive too."""
        if not self.closed:
            self._data.close()
            self._archive.close()
        super().close()


def _finish_tar(archive: tarfile.TarFile, file: File | None, name: str, stream: Any) -> None:
    other = _next_file(archive, file)
    if other is not None:
        raise _count(file, "tar", [name, other.name])
    while stream.read(_PIECE):
        pass  # up to the checksum of the compressed stream around it


def _next_file(archive: tarfile.TarFile, file: File | None) -> tarfile.TarInfo | None:
    while (member := archive.next()) is not None:
        if member.isdir():
            continue
        _check_name(member.name, file, "tar")
        if not member.isreg() or member.issparse():
            raise FormatError(
                file, chunk="tar archive", field=f"member {member.name!r}", expected="a plain file", got="another kind"
            )
        return member
    return None


def _check_name(name: str, file: File | None, kind: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or re.match("[A-Za-z]:", name):
        raise FormatError(
            file,
            chunk=f"{kind} archive",
            field="member",
            expected="a name within the archive's own folder",
            got=repr(name),
            hint="Unpack it by hand if you trust it.",
        )


def _count(file: File | None, kind: str, names: list[str]) -> FormatError:
    listed = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    return FormatError(
        file,
        chunk=f"{kind} archive",
        expected="one file",
        got=f"several: {listed}" if names else "none",
        hint="Unpack the archive and read the file that you want." if names else None,
    )


def _as_format_error(error: Exception, file: File | None, kind: str) -> Exception:
    if isinstance(error, FormatError) or (isinstance(error, OSError) and error.errno is not None):
        return error  # said already, or the disk's
    return FormatError(file, chunk=f"{kind} archive", expected="a whole archive", got=str(error) or repr(error))
