"""Archives with one file in them: zip, and tar (compressed or not).

Nothing is written to the disk and the member's name is not used, so any name will do.
"""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.foreign import foreign_archive
from ffjax.formats.io.binary import File
from ffjax.formats.io.compression import ALLOWANCE_BYTES, RATIO

_READ_BYTES = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# What `tarfile` and `zipfile` raise if an archive is not what they expect.
_ERRORS: tuple[type[Exception], ...] = (tarfile.TarError, zipfile.BadZipFile, zlib.error)
_ERRORS += (struct.error, EOFError, OSError, ValueError, OverflowError, RuntimeError)


def open_zip(raw: Any, file: File | None) -> io.RawIOBase:
    """The one member of a zip archive as a stream."""
    with _format_errors(file, "zip"):
        archive = zipfile.ZipFile(raw)
        members = [info for info in archive.infolist() if not info.filename.endswith("/")]
        names = [info.filename for info in members]
        if len(members) != 1 or foreign_archive(names) is not None:
            raise _not_one_file(file, "zip", names)
        _check_zipped(members[0], file)
        return _Member(archive.open(members[0]), archive, file, "zip")


def _check_zipped(member: zipfile.ZipInfo, file: File | None) -> None:
    name, method, size = member.filename, member.compress_type, member.compress_size
    limit = ALLOWANCE_BYTES + RATIO * size
    if member.flag_bits & 1:
        raise _bad_member(file, "zip", name, "a file that is not encrypted", "an encrypted one")
    if method not in _METHODS:
        expected, got = "a stored, deflated or bzip2 file", f"compression method {method}"
        raise _bad_member(file, "zip", name, expected, got)
    if member.file_size > limit:
        expected, got = f"at most {limit} bytes decompressed from {size}", str(member.file_size)
        hint = "Embeddings do not shrink that much. If these do, unpack the archive first."
        raise _bad_member(file, "zip", name, expected, got, hint)


def open_tar(stream: Any, file: File | None) -> io.RawIOBase:
    """The one member of a tar archive; a second one is an error once the first has been read."""
    with _format_errors(file, "tar"):
        archive = tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES)
        member = _next_file(archive, file)
        if member is None:
            raise _not_one_file(file, "tar", [])

        def finish() -> None:
            second = _next_file(archive, file)
            if second is not None:
                raise _not_one_file(file, "tar", [member.name, second.name])
            while stream.read(_READ_BYTES):
                pass  # up to the checksum of the compressed stream around the archive

        return _Member(archive.extractfile(member), archive, file, "tar", finish)


def _next_file(archive: tarfile.TarFile, file: File | None) -> tarfile.TarInfo | None:
    while (member := archive.next()) is not None and member.isdir():
        pass
    if member is not None and (not member.isreg() or member.issparse()):
        raise _bad_member(file, "tar", member.name, "a regular file", "another kind")
    return member


class _Member(io.RawIOBase):
    """The data of one member; `at_end` is called once they have been read."""

    def __init__(
        self, data: Any, archive: Any, file: Any, kind: str, at_end: Any = lambda: None
    ) -> None:
        self._data, self._archive, self._at_end = data, archive, at_end
        self._file, self._kind = file, kind

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the start of a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        with _format_errors(self._file, self._kind):
            data = self._data.read(len(view))
            if len(view) and not data:
                self._at_end()
                self._at_end = lambda: None
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes the archive too."""
        if not self.closed:
            self._data.close()
            self._archive.close()
        super().close()


def _bad_member(
    file: File | None, kind: str, name: str, expected: str, got: str, hint: str | None = None
) -> FormatError:
    chunk, field = f"{kind} archive", f"member {name!r}"
    return FormatError(file, chunk=chunk, field=field, expected=expected, got=got, hint=hint)


def _not_one_file(file: File | None, kind: str, names: list[str]) -> FormatError:
    if (foreign := foreign_archive(names)) is not None:
        expected, got, hint = "embeddings", foreign.name, foreign.advice
        return FormatError(file, offset=0, expected=expected, got=got, hint=hint)
    listed = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    got = f"several: {listed}" if names else "none"
    hint = "Unpack the archive and read the file that you want." if names else None
    return FormatError(file, chunk=f"{kind} archive", expected="one file", got=got, hint=hint)


@contextmanager
def _format_errors(file: File | None, kind: str) -> Iterator[None]:
    """Raises the errors of `tarfile` and `zipfile` as `FormatError`; those of the disk pass."""
    try:
        yield
    except FormatError:
        raise
    except _ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        chunk, got = f"{kind} archive", str(error) or repr(error)
        raise FormatError(file, chunk=chunk, expected="a complete archive", got=got) from None
