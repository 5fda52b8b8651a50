"""Archives with several files: the one that is read by default, `member=`, and errors that list."""

import tarfile
from pathlib import Path

import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.io.archives import default_member
from tests.formats.io.test_streams import tarred, zipped
from tests.formats.samples import simple

GLOVE = {f"glove.6B.{dims}d.txt": b"the" + b" 0.5" * dims + b"\n" for dims in (50, 100, 200, 300)}
ARCHIVES = {"zip": zipped, "tar": tarred, "tar.gz": lambda members: tarred(members, "w:gz")}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/README.txt"], "a/README.txt"),
        (["README", "a/LICENSE.txt", "a/vectors.txt"], "a/vectors.txt"),
        (["meta.json", "model.bin", "model.txt", "README"], "model.bin"),
        (["wiki.en.vec", "wiki.en.bin"], "wiki.en.bin"),
        (["words.txt", "words.bin", "words.vec"], "words.bin"),
        (["words.txt", "words.vec"], None),
        (["__MACOSX/._words.vec", ".DS_Store", "words.vec"], "words.vec"),
        (["../words.vec", "a/meta.json"], "../words.vec"),
        (list(GLOVE), None),
        (["README", "LICENSE"], None),
        ([], None),
    ],
)
def test_the_default(names: list[str], expected: str | None) -> None:
    assert default_member(names) == expected


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_chosen_member(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "glove"
    path.write_bytes(ARCHIVES[kind](GLOVE))
    name = "glove.6B.100d.txt"
    assert ffjax.load(path, member=name).dims == 100
    assert describe(path, member=name)["dims"] == 100
    ffjax.convert(path, tmp_path / "glove.fifu", member=name)
    assert ffjax.load(tmp_path / "glove.fifu") == ffjax.load(path, member=name)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_errors_list_the_members(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "glove"
    path.write_bytes(ARCHIVES[kind](GLOVE))
    listed = "'glove.6B.50d.txt', .*, 'glove.6B.300d.txt'"
    with pytest.raises(ffjax.FormatError, match=f"one file, got several: {listed}. Choose one"):
        ffjax.load(path)
    with pytest.raises(ValueError, match=f"`member`: expected a file of .* has {listed}, got 'x'"):
        ffjax.load(path, member="x")


@pytest.mark.parametrize("kind", ARCHIVES)
def test_neither_of_two_texts_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_bytes(ARCHIVES[kind]({"qa.txt": b"tea 0.5\n", "qa.vec": b"cup 0.25\n"}))
    with pytest.raises(ffjax.FormatError, match="several: 'qa.txt', 'qa.vec'. Choose one"):
        ffjax.load(path)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_like_nlpl(kind: str, tmp_path: Path) -> None:
    ffjax.save(simple(), tmp_path / "model.w2v")
    ffjax.save(simple(), tmp_path / "model.txt")
    members = {
        "meta.json": b"{}",
        "model.bin": (tmp_path / "model.w2v").read_bytes(),
        "model.txt": (tmp_path / "model.txt").read_bytes(),
        "README": b"text",
    }
    path = tmp_path / "22"
    path.write_bytes(ARCHIVES[kind](members))
    assert describe(path)["format"] == "word2vec"
    assert ffjax.load(path) == ffjax.load(path, member="model.txt")


def test_what_is_not_a_regular_file_is_skipped_unless_it_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"one 0.5\n")
    (tmp_path / "README").symlink_to("words.txt")
    path = tmp_path / "words.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("README", "words.txt"):
            archive.add(tmp_path / name, name)
    assert ffjax.load(path).vocab.words == ["one"]
    with pytest.raises(ffjax.FormatError, match="member 'README': expected a regular file"):
        ffjax.load(path, member="README")


def test_members_of_other_files(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"one 0.5\n")
    with pytest.raises(ValueError, match="`member`: .* is not one, got 'a'. Leave"):
        ffjax.load(path, member="a")


def test_programs_are_left_out_of_a_wheel(tmp_path: Path) -> None:
    code = {f"lib/{name}": b"x" for name in ("a.py", "a.pyx", "a.so", "a.c", "a.cpp", "RESULTS.md")}
    code["lib-1.0.dist-info/top_level.txt"] = b"lib"
    path = tmp_path / "lib.whl"
    path.write_bytes(ARCHIVES["zip"]({**code, "lib/w/rows.txt": b"tea 1.0 2.0\n"}))
    assert ffjax.load(path).words == ["tea"]
    path.write_bytes(ARCHIVES["zip"]({**code, "a": b"", "b.txt": b"", "c.safetensors": b""}))
    with pytest.raises(ffjax.FormatError, match="several: 'b.txt', 'c.safetensors', 'a'. Choose"):
        ffjax.load(path)
