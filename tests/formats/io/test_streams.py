"""What wraps files: recognized by content, corrupted, truncated; bombs and odd archives."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.formats.io import compression
from ffjax.formats.io.compression import Decompressed
from ffjax.formats.io.streams import open_source, open_stream
from tests.formats.samples import open_bytes

TEXT = b"".join(b"word%d 0.5 -0.25 %d.125\n" % (i, i) for i in range(2000))


def zstd(raw: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor().compress(raw)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return out.getvalue()


def tarred(
    members: dict[str, bytes | None], mode: str = "w", kind: bytes = tarfile.REGTYPE
) -> bytes:
    """A tar archive; a member without data is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if raw is None else kind
            info.size = len(raw or b"")
            archive.addfile(info, io.BytesIO(raw or b""))
    return out.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}
WRAPPINGS: dict[tuple[str, ...], Callable[[bytes], bytes]] = {
    (): bytes,
    **{(kind,): compress for kind, compress in COMPRESSIONS.items()},
    ("zip",): lambda raw: zipped({"vectors.txt": raw}),
    ("tar",): lambda raw: tarred({"vectors.txt": raw}),
    **{
        (kind, "tar"): lambda raw, kind=kind: COMPRESSIONS[kind](
            tarred({"a/": None, "a/vectors.txt": raw})
        )
        for kind in COMPRESSIONS
    },
}


def read_all(raw: bytes, size: int = 1 << 16) -> bytes:
    stream = open_bytes(raw)
    data = b""
    while chunk := stream.read(size):
        data += chunk
    return data


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids="+".join)
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_every_wrapping(wrapping: tuple[str, ...], size: int) -> None:
    text = TEXT if size > 100 else TEXT[:4000]
    raw = WRAPPINGS[wrapping](text)
    assert open_bytes(raw).wrapping == wrapping
    assert read_all(raw, size) == text


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids="+".join)
def test_loading_through_every_wrapping(wrapping: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "no ending that says anything"
    path.write_bytes(WRAPPINGS[wrapping](TEXT))
    assert ffjax.load(path) == ffjax.load_text(open_bytes(TEXT))


@pytest.mark.parametrize("wrapping", [w for w in WRAPPINGS if w], ids="+".join)
def test_finalfusion_and_fasttext_files_through_every_wrapping(
    wrapping: tuple[str, ...], tmp_path: Path, finalfusion_files: Path
) -> None:
    path = tmp_path / "wrapped"
    for name in ("embeddings.fifu", "fasttext.bin"):
        path.write_bytes(WRAPPINGS[wrapping]((finalfusion_files / name).read_bytes()))
        assert ffjax.load(path) == ffjax.load(finalfusion_files / name)
        assert np.array_equal(
            ffjax.load(path, mmap=True).storage,
            ffjax.load(finalfusion_files / name, mmap=True).storage,
        )


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_several_streams_one_after_the_other(kind: str) -> None:
    compress = COMPRESSIONS[kind]
    half = len(TEXT) // 2
    padding = b"" if kind in ("bzip2", "zstd") else bytes(8)
    assert read_all(compress(TEXT[:half]) + padding + compress(TEXT[half:]) + padding) == TEXT
    assert read_all(compress(b"") + compress(b"") + compress(b"a") + compress(b"")) == b"a"


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_nothing_at_all(kind: str) -> None:
    assert read_all(COMPRESSIONS[kind](b"")) == b""


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_truncation_at_every_byte(kind: str) -> None:
    raw = COMPRESSIONS[kind](TEXT[:300])
    for size in range(10, len(raw)):
        with pytest.raises(ffjax.FormatError, match=f"{kind} stream: expected"):
            read_all(raw[:size])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_what_follows_the_streams(kind: str) -> None:
    with pytest.raises(
        ffjax.FormatError, match=f"{kind} stream: expected a complete {kind} stream, got"
    ):
        read_all(COMPRESSIONS[kind](TEXT[:300]) + b"garbage after it")


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_corruption(kind: str) -> None:
    raw = COMPRESSIONS[kind](TEXT)
    n_errors = 0
    for at in range(10, len(raw), max(1, len(raw) // 200)):
        broken = raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :]
        try:
            read_all(broken)  # zstd's streams have no checksum unless asked for
        except ffjax.FormatError as error:
            assert f"{kind} stream" in str(error)
            n_errors += 1
    assert n_errors > 20


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_bombs_are_not_decompressed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "ALLOWANCE_BYTES", 1 << 20)
    raw = COMPRESSIONS[kind](bytes(1 << 23))
    stream = open_bytes(raw)
    with pytest.raises(
        ffjax.FormatError,
        match=f"{kind} stream: expected at most 100 times its .* decompress the file first",
    ):
        while stream.read(1 << 16):
            assert stream.position <= compression.ALLOWANCE_BYTES + compression.RATIO * len(raw)


def test_bombs_end_a_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "ALLOWANCE_BYTES", 1 << 16)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(b"word 0.0\n" * (1 << 18), mtime=0))
    with pytest.raises(ffjax.FormatError, match="at most 100 times its"):
        ffjax.load(path)


def test_embeddings_full_of_zeros_are_no_bomb() -> None:
    raw = b"".join(b"%d%s\n" % (i, b" 0.0" * 300) for i in range(3000))
    assert read_all(lzma.compress(raw)) == raw


def test_texts_that_begin_like_something_else() -> None:
    for raw in (
        b"BZh 0.5\n",
        b"BZh9 0.5\n",
        b"PK 0.5\n",
        b"\x1f\x8b 0.5\n",
        b"ustar 0.5\n" + bytes(300),
    ):
        assert open_bytes(raw).wrapping == ()
    assert open_bytes(b"").wrapping == ()


def test_xz_that_wants_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = lzma.compress(TEXT)
    assert read_all(raw) == TEXT
    monkeypatch.setattr(compression, "_XZ_MEMORY_BYTES", 1 << 20)
    with pytest.raises(
        ffjax.FormatError, match="xz stream: expected a complete xz stream, got Memory usage limit"
    ):
        read_all(raw)


def test_zstd_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = zstd(TEXT)

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(compression.importlib, "import_module", missing)
    with pytest.raises(
        ImportError, match=r"reading zstd needs the extra `zstd`: pip install 'ffjax\[zstd\]'"
    ):
        open_bytes(raw)


def test_errors_of_the_disk_stay_what_they_are() -> None:
    class Broken:
        def read(self, n: int) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        Decompressed(Broken(), "bzip2", None).read(1)


@contextmanager
def piped(raw: bytes) -> Iterator[int]:
    """The end of a pipe from which the bytes can be read."""
    reader, writer = os.pipe()

    def write() -> None:
        with open(writer, "wb") as out:
            out.write(raw)

    thread = threading.Thread(target=write)
    thread.start()
    yield reader
    thread.join()


def test_descriptors_and_pipes(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    for wrapping in ((), ("gzip",), ("gzip", "tar")):
        path.write_bytes(WRAPPINGS[wrapping](TEXT))
        expected = ffjax.load(path)
        assert ffjax.load(os.open(path, os.O_RDONLY)) == expected
        with piped(path.read_bytes()) as reader:
            assert ffjax.load(reader) == expected


def test_binary_formats_from_descriptors_and_pipes(tmp_path: Path, finalfusion_files: Path) -> None:
    for name in ("embeddings.fifu", "fasttext.bin", "embeddings.w2v"):
        raw = (finalfusion_files / name).read_bytes()
        expected = ffjax.load(finalfusion_files / name)
        assert ffjax.load(os.open(finalfusion_files / name, os.O_RDONLY)) == expected
        with piped(raw) as reader:
            assert ffjax.load(reader) == expected


def test_a_stream_can_be_taken_over_in_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for wrapping in ((), ("gzip",), ("zip",), ("zstd", "tar")):
        path.write_bytes(WRAPPINGS[wrapping](TEXT))
        with open_stream(path) as stream:
            assert stream.head(4) == TEXT[:4]
            with open_source(stream, magic=TEXT[:4]) as source:
                assert bytes(source.data) == TEXT
                assert source.mappable and source.name == path
                assert bytes(source.map(4, (3,), np.uint8)) == TEXT[4:7]
            message = "byte 0: (inside .*: )?header: magic: expected b'other', got"
            with pytest.raises(ffjax.FormatError, match=message):
                open_source(stream, magic=b"other").__enter__()


def test_zip_in_a_pipe() -> None:
    raw = zipped({"a": b"x 0.5\n", "b": b"y 0.5 1\n"})
    for member, dims in (("a", 1), ("b", 2)):
        with piped(raw) as reader:
            assert ffjax.load(reader, member=member).dims == dims
    with piped(raw) as reader, pytest.raises(ffjax.FormatError, match="got several: 'a', 'b'"):
        ffjax.load(reader)


def test_the_file_is_closed_whatever_happens(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"a 0.5\nb\n")
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(ffjax.FormatError, match="expected 1 value after"):
        ffjax.load(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    path.write_bytes(gzip.compress(b"a 0.5\n", mtime=0))
    with open_stream(path) as stream:
        assert stream.read(1) == b"a"


@given(st.binary(max_size=700))
def test_any_bytes_open_or_are_refused(raw: bytes) -> None:
    for magic in (
        b"",
        b"\x1f\x8b\x08",
        b"BZh91AY&SY",
        b"\xfd7zXZ\x00",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04",
        b"PK\x05\x06",
    ):
        try:
            read_all(magic + raw)
        except ffjax.FormatError:
            pass


@given(st.binary(max_size=512), st.binary(max_size=600))
def test_any_tar_opens_or_is_refused(head: bytes, rest: bytes) -> None:
    header = bytearray(head.ljust(512, b"\x00"))
    header[257:263] = b"ustar\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    try:
        read_all(bytes(header) + rest)
    except ffjax.FormatError:
        pass


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_any_change_of_a_zip_opens_or_is_refused(at: int, change: bytes) -> None:
    raw = zipped({"vectors.txt": TEXT[:60]})
    at %= len(raw)
    try:
        read_all(raw[:at] + change + raw[at + len(change) :])
    except ffjax.FormatError:
        pass


def test_a_zip64_header_that_lies() -> None:
    raw = bytearray(zipped({"a": b"x"}, zipfile.ZIP_STORED))
    at = raw.index(b"PK\x01\x02")
    raw[at + 20 : at + 28] = struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF)
    with pytest.raises(ffjax.FormatError, match="zip archive"):
        read_all(bytes(raw))
