"""One file out of an archive: zip, and tar (compressed or not).

Nothing is written to the disk, so a member may have any name.
"""

import errno
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import splitext
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.compression import ALLOWANCE_BYTES, RATIO
from ffjax.formats.registry import by_ending, by_names

_READ_BYTES = 1 << 16
_MOST_NAMES = 20
_BINARY = (".fifu", ".bin")
# Names of files that hold no vectors: what describes them, and what systems leave in archives.
_DESCRIPTION = re.compile(
    r"\.dist-info/|(^|/)(__MACOSX/|\.[^./]|(readme|licen[cs]e|copying|notice)\b)"
    r"|\.(json|md|rst|html?|pdf|log|toml|ya?ml|cfg|pxd|py[cdix]?|so|dll|c|cpp|h|sh|png)$",
    re.IGNORECASE,
)
_COMPRESSED = re.compile(r"\.(gz|bz2|xz|zst)$")
_WITH_ARRAYS = (".kv", ".model", ".npy")  # gensim's, and others next to them
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# What `tarfile` and `zipfile` raise if an archive is not what they expect.
_ERRORS: tuple[type[Exception], ...] = (tarfile.TarError, zipfile.BadZipFile, zlib.error)
_ERRORS += (struct.error, EOFError, OSError, ValueError, OverflowError, RuntimeError)


class Archive:
    """What errors say about an archive: its file, and whether it is a zip or a tar."""

    def __init__(self, file: File | None, kind: str) -> None:
        self.file, self.chunk = file, f"{kind} archive"

    def error(self, expected: str, got: str, **what: Any) -> FormatError:
        """An error about the archive."""
        return FormatError(self.file, chunk=self.chunk, expected=expected, got=got, **what)

    def bad_member(self, name: str, expected: str, got: str, **what: str) -> FormatError:
        """An error about one of the files."""
        return self.error(expected, got, field=f"member {name!r}", **what)

    def several(self, names: list[str]) -> FormatError:
        """An error about an archive of several files, or of none."""
        got = f"several: {listed(names)}" if names else "none"
        hint = "Choose one with `member=`." if names else None
        return self.error("one file", got, hint=hint)

    def chosen(self, names: list[str], member: str | None) -> str:
        """The name of the member to read."""
        name = default_member(names) if member is None else member
        if name is None:
            raise self.several(names)
        if name not in names:
            expected = f"a file of the {self.chunk}, which has {listed(names)}"
            raise ValueError(f"`member`: expected {expected}, got {name!r}.")
        return name

    def checked_span(self, raw: Any, name: str, start: int, size: int) -> tuple[int, int]:
        """Where the bytes of a file begin and end, which must be in the archive."""
        length = raw.seek(0, io.SEEK_END)
        if start + size > length:
            raise self.bad_member(name, f"{size} bytes at byte {start}", f"a file of {length}")
        return start, start + size

    @contextmanager
    def format_errors(self) -> Iterator[None]:
        """Raises the errors of `tarfile` and `zipfile` as `FormatError`; those of the disk pass."""
        try:
            yield
        except FormatError:
            raise
        except _ERRORS as error:
            # An archive may say that a member begins before the file does: an invalid argument.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            got = f"one that is damaged or incomplete ({str(error) or repr(error)})"
            raise self.error("a complete archive", got) from None


class Zip(Archive):
    """An open zip archive."""

    def __init__(self, raw: Any, file: File | None) -> None:
        super().__init__(file, "zip")
        self._raw = raw
        with self.format_errors():
            self._zip = zipfile.ZipFile(raw)
            infos = self._zip.infolist()
        # `is_dir` would fail if there is no name.
        self._infos = {x.filename: x for x in infos if not x.filename.endswith("/")}
        self.names = list(self._infos)

    def open(self, member: str | None = None) -> tuple[io.RawIOBase, int]:
        """A file as a stream, by default the one of `default_member`; and its size."""
        if member is None and (format := by_names(self.names)) is not None:
            got, hint = format.title, format.advice
            raise FormatError(self.file, offset=0, expected="one file", got=got, hint=hint)
        name = self.chosen(self.names, member)
        info = self._infos[name]
        limit = ALLOWANCE_BYTES + RATIO * info.compress_size
        if info.flag_bits & 1:
            raise self.bad_member(name, "a file that is not encrypted", "an encrypted one")
        if info.compress_type not in _METHODS:
            got = f"compression method {info.compress_type}"
            raise self.bad_member(name, "a stored, deflated or bzip2 file", got)
        if info.file_size > limit:
            expected = f"at most {limit} bytes decompressed from {info.compress_size}"
            hint = "Embeddings do not shrink that much. If these do, unpack the archive first."
            raise self.bad_member(name, expected, str(info.file_size), hint=hint)
        with self.format_errors():
            return _Member(self, self._zip.open(info)), info.file_size

    def span(self, name: str) -> tuple[int, int] | None:
        """Where the bytes of a file begin and end in the archive; `None` if it is compressed."""
        info = self._infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            return None
        with self.format_errors():
            self._raw.seek(max(0, info.header_offset))
            magic, name_bytes, extra_bytes = struct.unpack("<4s22xHH", self._raw.read(30))
        if magic != b"PK\3\4":
            raise self.bad_member(name, "a header", repr(magic))
        start = info.header_offset + 30 + name_bytes + extra_bytes
        return self.checked_span(self._raw, name, start, info.file_size)


def may_be_folder(head: bytes, limit: int, member: str | None) -> bool:
    """Whether to list the files of a tar archive, as a member may be a folder.

    Without `member`, whether the first file has fewer bytes than a limit, or arrays beside it.
    """
    if member is not None:
        return not _ends_as_vectors(member)
    try:
        with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as archive:
            info = next((info for info in archive if not info.isdir()), None)
            return info is not None and (info.size < limit or info.name.endswith(_WITH_ARRAYS))
    except _ERRORS:
        return False


def tar_spans(raw: Any, file: File | None) -> dict[str, tuple[int, int]]:
    """Where the regular files of a tar archive that can be sought begin and end, by their names."""
    tar = Archive(file, "tar")
    raw.seek(0)
    with tar.format_errors(), tarfile.open(fileobj=raw, mode="r:") as archive:
        files = [info for info in archive if info.isreg() and not info.issparse()]
    return {x.name: tar.checked_span(raw, x.name, x.offset_data, x.size) for x in files}


def open_tar(stream: Any, file: File | None, member: str | None = None) -> io.RawIOBase:
    """A member of a tar archive, by default the first that may hold vectors.

    Archives are read in order, so only after this member an error can say that there are others.
    """
    tar, names = Archive(file, "tar"), list[str]()

    def files() -> Iterator[tarfile.TarInfo]:
        while (info := archive.next()) is not None:
            if not info.isdir():
                names.append(info.name)
                yield info

    def finish() -> None:
        for _ in files():
            pass
        if member is None:
            tar.chosen(names, None)
        while stream.read(_READ_BYTES):
            pass  # up to the checksum of the compressed stream around the archive

    with tar.format_errors():
        archive = tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES)
        is_chosen = _may_hold_vectors if member is None else member.__eq__
        info = next((info for info in files() if is_chosen(info.name)), None)
    if info is None:
        tar.chosen(names, member)
        raise tar.several(names)
    if not info.isreg() or info.issparse():
        raise tar.bad_member(info.name, "a regular file", "another kind")
    return _Member(tar, archive.extractfile(info), finish, archive)


class _Member(io.RawIOBase):
    """The data of one member; `at_end` is called once they have been read."""

    def __init__(self, archive: Archive, data: Any, at_end: Any = None, tar: Any = None) -> None:
        self._archive, self._data, self._at_end, self._tar = archive, data, at_end, tar

    def readinto(self, buffer: Any) -> int:
        """Fills the start of a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        with self._archive.format_errors():
            data = self._data.read(len(view))
            if len(view) and not data and self._at_end is not None:
                self._at_end()
                self._at_end = None
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes a tar archive too."""
        if not self.closed:
            self._data.close()
            if self._tar is not None:
                self._tar.close()
        super().close()


def default_member(names: list[str]) -> str | None:
    """The member to read by default; `None` if no member, or more than one, may hold vectors.

    It is the only file, or the only one that may hold vectors. A binary file is read rather than
    its text (`model.bin`, `model.txt`), which holds the same vectors.

    Examples:
        >>> default_member(["meta.json", "model.txt", "model.bin", "README"])
        'model.bin'
        >>> default_member(["glove.6B.50d.txt", "glove.6B.100d.txt"])
    """
    candidates = names if len(names) == 1 else list(filter(_may_hold_vectors, names))
    if len({splitext(name)[0] for name in candidates}) != 1:
        return None
    binary = [name for name in candidates if splitext(name)[1].lower() in _BINARY]
    return binary[0] if binary else candidates[0] if len(candidates) == 1 else None


def _may_hold_vectors(name: str) -> bool:
    return _DESCRIPTION.search(name) is None


def _ends_as_vectors(name: str) -> bool:
    """Whether a name has an ending of files that most likely hold vectors."""
    ending = splitext(_COMPRESSED.sub("", name.lower()))[1]
    return ending in {*by_ending(), ".bin", ".kv"}


def listed(names: list[str]) -> str:
    """The first of some names, for errors; those of files that may hold vectors."""
    names = list(filter(_may_hold_vectors, names)) or names
    names = sorted(names, key=lambda name: not _ends_as_vectors(name))
    return ", ".join(map(repr, names[:_MOST_NAMES])) + (", ..." if len(names) > _MOST_NAMES else "")
