"""Folders as inputs: which format they are, and errors about others."""

import tarfile
import zipfile
from pathlib import Path

import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.detect import detect
from ffjax.formats.io.folders import names_in
from ffjax.formats.io.streams import open_stream
from ffjax.formats.registry import FORMATS, Format, is_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for name in ("a/b/deep.txt", "z.txt", "a/one.txt", ".git/config"):
        (tmp_path / name).write_text(f"{Path(name).stem} 1.0 0.5\n")
    return tmp_path


def test_names_are_listed_by_level_without_hidden_folders(folder: Path) -> None:
    assert names_in(folder) == ["z.txt", "a/one.txt"]
    (folder / "a" / "modules.json").touch()  # which a model and its folders have
    assert names_in(folder) == ["z.txt", "a/modules.json", "a/one.txt", "a/b/deep.txt"]


def test_the_root_of_the_file_system_is_not_searched() -> None:
    assert not any("/" in name for name in names_in("/"))


def test_a_folder_is_recognized_by_its_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "toy", Format("toy", folder=f"{__name__}:_is_toy"))
    with open_stream(folder, is_folder=is_folder) as stream:
        assert detect(stream) == "toy" and stream.folder is not None
        with stream.folder.open("a/one.txt") as file:
            assert file.read(100) == b"one 1.0 0.5\n"
            assert str(file.error(0, "x", "y")).startswith(str(folder / "a" / "one.txt"))


def _is_toy(names: list[str]) -> bool:
    return "a/one.txt" in names


def _zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names_in(folder):
            archive.write(folder / name, name)
    return target


def _tarred(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as archive:
        for name in names_in(folder):
            archive.add(folder / name, name)
    return target


@pytest.mark.parametrize("pack", [_zipped, _tarred])
def test_an_archive_may_be_a_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, pack
) -> None:
    path = pack(folder, tmp_path_factory.mktemp("archive") / "packed")
    with pytest.raises(ffjax.FormatError, match="expected one file, got several: 'z.txt', 'a/one"):
        ffjax.load(path)
    assert ffjax.load(path, member="a/one.txt").vocab.words == ["one"]
    monkeypatch.setitem(FORMATS, "toy", Format("toy", folder=f"{__name__}:_is_toy"))
    with open_stream(path, is_folder=is_folder) as stream:
        assert detect(stream) == "toy" and stream.folder is not None
        assert stream.folder.names == names_in(folder)
        for name in ("z.txt", "a/one.txt", "z.txt"):  # in any order
            with stream.folder.open(name) as file:
                assert file.read(5).startswith(Path(name).stem.encode())
    with pytest.raises(ffjax.FormatError, match="expected one file, got several: 'z.txt', 'a/one"):
        ffjax.load(path, format="text")


def test_other_folders_are_errors(folder: Path) -> None:
    message = "expected embeddings, got a folder with 'z.txt"
    for read in (ffjax.load, describe, lambda path: ffjax.convert(path, folder / "out.fifu")):
        with pytest.raises(ffjax.FormatError, match=message):
            read(folder)
    with pytest.raises(IsADirectoryError, match="expected a file, got a folder"):
        ffjax.load(folder, format="text")
    with pytest.raises(IsADirectoryError, match="directory"):
        ffjax.load_text(folder)
    (folder / "empty").mkdir()
    with pytest.raises(ffjax.FormatError, match="got a folder without files"):
        ffjax.load(folder / "empty")
