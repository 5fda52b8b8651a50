"""Zip and tar archives: one member is read, and damage is an error."""

import gzip
import io
import tarfile
import zipfile

import pytest

import ffjax
from ffjax.formats.io import archives
from tests.formats.io.test_streams import TEXT, read_all, tarred, zipped
from tests.formats.samples import open_bytes


def test_zip_bombs_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ALLOWANCE_BYTES", 1 << 16)
    raw = zipped({"zeros": bytes(1 << 22)})
    with pytest.raises(
        ffjax.FormatError,
        match="member 'zeros': expected at most .* bytes decompressed from .* got 4194304",
    ):
        open_bytes(raw)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "zip archive: expected one file, got none"),
        ({"folder/": b""}, "expected one file, got none"),
        ({"a": b"1", "b": b"2"}, "expected one file, got several: 'a', 'b'. Choose one with"),
    ],
)
def test_bad_zip_archives(members: dict[str, bytes], message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        open_bytes(zipped(members))


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "C:\\a", "a/.." + "/b" * 70])
def test_the_name_of_the_member_does_not_matter(name: str) -> None:
    assert read_all(zipped({name: TEXT})) == read_all(tarred({name: TEXT})) == TEXT


def test_zip_methods() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        assert read_all(zipped({"a": TEXT}, method)) == TEXT
    with pytest.raises(
        ffjax.FormatError,
        match="expected a stored, deflated or bzip2 file, got compression method 14",
    ):
        open_bytes(zipped({"a": TEXT}, zipfile.ZIP_LZMA))


def test_encrypted_zip() -> None:
    raw = bytearray(zipped({"a": TEXT[:50]}, zipfile.ZIP_STORED))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + at] |= 1
    with pytest.raises(
        ffjax.FormatError, match="expected a file that is not encrypted, got an encrypted one"
    ):
        open_bytes(bytes(raw))


def test_zip_whose_data_is_corrupt() -> None:
    raw = zipped({"a": TEXT}, zipfile.ZIP_STORED)
    at = raw.index(b"word7 ")
    problem = r"expected a complete archive, got one that is damaged or incomplete \(Bad CRC-32"
    with pytest.raises(ffjax.FormatError, match=f"zip archive: {problem}"):
        read_all(raw[:at] + b"X" + raw[at + 1 :])


def test_zip_truncated_at_every_byte() -> None:
    raw = zipped({"a": TEXT[:100]})
    for size in range(4, len(raw)):
        with pytest.raises(ffjax.FormatError, match="zip archive"):
            read_all(raw[:size])


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"folder": None}, "tar archive: expected one file, got none"),
        ({"a": b"1", "b": b"2"}, "tar archive: expected one file, got several: 'a', 'b'. Choose"),
    ],
)
def test_bad_tar_archives(members: dict[str, bytes | None], mode: str, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        read_all(tarred(members, mode))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_tar_members_that_are_no_files(kind: bytes) -> None:
    with pytest.raises(
        ffjax.FormatError,
        match="tar archive: member 'a': expected a regular file, got another kind",
    ):
        open_bytes(tarred({"a": b""}, kind=kind))


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_dialects_and_long_names(format: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        info = tarfile.TarInfo("folder/" * 15 + "vectors-with-a-long-name.txt")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    assert read_all(out.getvalue()) == TEXT


def test_tar_truncated() -> None:
    raw = tarred({"a": TEXT[:2000]})
    for size in (513, 1000, 2000, 2500):
        with pytest.raises(ffjax.FormatError, match="tar archive: expected a complete archive"):
            read_all(raw[:size])


def test_the_checksum_behind_a_tar_is_checked() -> None:
    raw = gzip.compress(tarred({"a": TEXT}), mtime=0)
    with pytest.raises(ffjax.FormatError, match="gzip stream"):
        read_all(raw[:-8] + bytes(8))


def test_a_large_sparse_member() -> None:
    # An old GNU sparse header: 512 bytes that claim a file of 8 GiB.
    info = tarfile.TarInfo("a")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[483:495] = b"77777777777\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    with pytest.raises(
        ffjax.FormatError,
        match="expected a regular file, got another kind|expected a complete archive",
    ):
        read_all(bytes(header) + bytes(1024))
