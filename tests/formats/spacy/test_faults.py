"""Corrupt and truncated folders of spaCy: errors that say where."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from tests.formats.spacy import folders
from tests.formats.spacy.folders import ROWS, WORDS


@pytest.mark.parametrize("name", ["key2row", "vectors", "strings.json", "vectors.cfg"])
def test_truncation(tmp_path: Path, name: str) -> None:
    folder = folders.write(tmp_path / "vocab")
    data = (folder / name).read_bytes()
    for size in range(len(data)):
        (folder / name).write_bytes(data[:size])
        for mmap in (False, True):
            with pytest.raises(ffjax.FormatError, match="expected .*, got ") as info:
                ffjax.load(folder, mmap=mmap)
        assert str(info.value).startswith(str(folder / name))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("key2row", b"\x90", "byte 0: key2row: length: expected a map in msgpack, got byte 0x90"),
        ("key2row", b"\xdf\xff\xff\xff\xff", "byte 0: key2row: length: expected at most 0 of 2"),
        ("key2row", b"\x81\xc0\x01", "byte 1: key2row: key of entry 1 of 1: expected an unsigned"),
        ("key2row", b"\x81\x01\xff", "byte 2: key2row: row of entry 1 of 1: expected an unsigned"),
        ("key2row", b"\x81\x01\x03", "key2row: row of entry 1 of 1: expected a row below 3, got 3"),
        ("key2row", b"\x81\x01\x01x", "byte 3: key2row: length: expected key2row to end here"),
        ("vectors", b"PK", "vectors: magic"),
        ("vectors", folders.npy(ROWS[0]), "vectors: shape: expected a matrix of numbers"),
        ("vectors", folders.npy(np.array([["a"]])), "shape: expected a matrix of numbers"),
        ("vectors", folders.npy(ROWS[:0]), "expected rows of vectors.*Small pipelines"),
        ("strings.json", b"{}", "strings: expected an array of strings in JSON, got an error"),
        ("strings.json", b"[1]", "got an error: an item is of type int"),
        ("strings.json", b'["\\ud800"]', "strings: expected an array of strings"),
        ("strings.json", b'["\xff"]', "byte 2: strings.json: strings"),
        ("strings.json", b'[\n  "a", "b",\n  "c"x\n]', "byte 19: strings.json: strings"),
        ("strings.json", b"[" * 100_000, "strings: expected an array"),
        ("vectors.cfg", b"[]", "byte 0: vectors.cfg: settings: expected an object of JSON"),
        ("vectors.cfg", b'{"mode": "other"}', "mode: expected default or floret, got 'other'"),
        ("vectors.cfg", b'{"mode": 1}', "mode: expected a value of type str, got 1"),
        ("vectors.cfg", b'{"attr": 457}', "attr: expected the number of a token attribute"),
    ],
)
def test_corruption(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    folder = folders.write(tmp_path / "vocab")
    (folder / name).write_bytes(data)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load(folder)


@pytest.mark.parametrize("bad", [b'"\xff"', b'"\\ud800"'])
def test_strings_that_are_not_utf8(tmp_path: Path, bad: bytes) -> None:
    folder = folders.write(tmp_path / "vocab")
    strings = (folder / "strings.json").read_bytes()
    (folder / "strings.json").write_bytes(strings.replace(b'"unused"', bad))
    for read in (ffjax.load, ffjax.load_spacy):
        with pytest.raises(ffjax.FormatError, match="strings"):
            read(folder)
        assert read(folder, lossy=True).vocab.words == WORDS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minn": 0}, "minn: expected 1 or more, got 0, for which spaCy hashes empty n-grams"),
        ({"maxn": 1}, "settings: expected those of floret, got .*min_n"),
        ({"hash_count": 5}, "settings: expected those of floret, got `n_hashes`"),
        ({"hash_seed": 2**32}, "settings: expected those of floret, got `seed`"),
        ({"bow": 1}, "bow: expected a value of type str, got 1"),
    ],
)
def test_settings_of_floret(tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load(folders.write_floret(tmp_path / "vocab", **settings))


def test_several_vocabularies_are_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folders.write(tmp_path / name / "vocab", WORDS)
    for read in (ffjax.load, describe):
        with pytest.raises(ffjax.FormatError, match="expected one folder .* got 'a/vocab/', 'b/"):
            read(tmp_path)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one 1.0 2.0\n")
    for read in (lambda path: ffjax.load(path, format="spacy"), ffjax.load_spacy):
        with pytest.raises(ffjax.FormatError, match="expected a folder, or an archive of one, got"):
            read(tmp_path / "a.txt")


def test_missing_files_are_named(tmp_path: Path) -> None:
    vocab = folders.write(tmp_path / "vocab", ["tea", "time"], (0, 1))
    (vocab / "strings.json").unlink()
    with pytest.raises(ffjax.FormatError, match=r"none for 2 keys. vocab/strings.json is missing"):
        ffjax.load(tmp_path)
    (vocab / "vectors").unlink()
    for read in (ffjax.load, describe):
        with pytest.raises(ffjax.FormatError, match="expected vectors beside vocab/key2row, got"):
            read(tmp_path)
