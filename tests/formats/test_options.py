"""Every option of `load` on every format, plain and in every wrapping."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from tests import builders
from tests.formats.fasttext import files as fasttext_files
from tests.formats.samples import FILES


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors", data)
    return out.getvalue()


def tarred(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("vectors")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor().compress(data)


WRAPPINGS = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
    "zip": zipped,
    "tgz": tarred,
}


def content(format: str, folder: Path) -> bytes:
    """A small file of a format."""
    if format == "fasttext":
        return fasttext_files.model(["tea", "pot", "cr\u00e8me"], dims=4, buckets=20)
    path = folder / "made"
    emb = builders.embeddings("floret" if format == "floret" else "simple")
    words = {"words_path": folder / "words.txt"} if format == "npy" else {}
    ffjax.save(emb, path, format=format, **words)
    data = path.read_bytes()
    path.unlink()
    return data


def same(one: ffjax.Embeddings, other: ffjax.Embeddings, n: int | None = None) -> None:
    """Checks that `one` is the first `n` words of the other, or all."""
    assert one.vocab.words == other.vocab.words[:n]
    n = len(one.vocab)
    rows = [np.asarray(emb.storage.embedding(slice(0, n or None))) for emb in (one, other)]
    np.testing.assert_allclose(*rows, rtol=1e-6, atol=1e-7)
    assert (one.norms is None) == (other.norms is None)
    if one.norms is not None and other.norms is not None:
        np.testing.assert_allclose(np.asarray(one.norms), np.asarray(other.norms)[:n], rtol=1e-6)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("format", FILES)
def test_options(tmp_path: Path, format: str, wrapping: str) -> None:
    data = content(format, tmp_path)
    plain, path = tmp_path / "plain", tmp_path / "wrapped"
    plain.write_bytes(data)
    path.write_bytes(WRAPPINGS[wrapping](data))
    expected = ffjax.load(plain)
    for options in (
        {},
        {"format": format},
        {"mmap": True},
        {"lossy": True},
        {"mmap": True, "lossy": True},
    ):
        same(ffjax.load(path, **options), expected)
    for options in ({}, {"mmap": True}):
        if format == "floret":
            with pytest.raises(
                ValueError, match="`limit`: expected None for a floret table, .* got 2"
            ):
                ffjax.load(path, limit=2, **options)
        else:
            same(ffjax.load(path, limit=2, **options), expected, 2)
    mapped = {"finalfusion": ffjax.NdArray, "fasttext": ffjax.ComposedArray}.get(format)
    if mapped is not None:
        storage = ffjax.load(path, mmap=True).storage
        is_composed = isinstance(storage, ffjax.ComposedArray)
        matrix = (storage.word_rows if is_composed else storage).matrix
        assert isinstance(storage, mapped) and isinstance(matrix, np.memmap)
    sources = {file.name for file in tmp_path.iterdir()} - {"words.txt"}
    assert sources == {"plain", "wrapped"}  # temporary files are gone


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("format", FILES)
def test_an_empty_file_is_refused_by_every_reader(
    tmp_path: Path, format: str, wrapping: str
) -> None:
    path = tmp_path / "empty"
    path.write_bytes(WRAPPINGS[wrapping](b""))
    for options in ({}, {"mmap": True}):
        with pytest.raises(ffjax.FormatError, match="empty: .*expected .*, got .*") as info:
            ffjax.load(path, format=format, **options)
        assert info.value.expected and info.value.got
    with pytest.raises(ffjax.FormatError, match="got an empty file"):
        ffjax.load(path)


@pytest.mark.parametrize("format", FILES)
def test_a_file_of_another_format_is_refused_by_every_reader(tmp_path: Path, format: str) -> None:
    path = tmp_path / "other"
    for other in FILES:
        path.write_bytes(content(other, tmp_path))
        # A line of dimensions may be a row whose word is a number, and the other way round.
        if (
            other == format
            or {other, format} <= {"text", "textdims", "floret"}
            or {other, format} == {"word2vec"}
        ):
            continue
        with pytest.raises(ffjax.FormatError, match="other: .*expected"):
            ffjax.load(path, format=format)
