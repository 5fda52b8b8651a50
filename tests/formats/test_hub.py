"""Addresses of Hugging Face's hub: the local cache, made by hand, and no network."""

import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import Mock

import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.hub import local_path
from tests.formats.samples import simple

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a snapshot in a cache, in which files are links, as the hub makes them."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = tmp_path / "hub" / "models--org--glove-100"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    (model / "blobs").mkdir()
    folder = model / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    ffjax.save(simple(), model / "blobs" / "1.fifu")
    (folder / "words.fifu").symlink_to("../../blobs/1.fifu")
    (folder / "README.md").write_text("# GloVe")
    return folder


@pytest.mark.parametrize(
    "address",
    [
        "hf://org/glove-100",
        "hf://org/glove-100/words.fifu",
        "hf://org/glove-100@main/words.fifu",
        f"hf://org/glove-100@{COMMIT}",
        Path("hf://org/glove-100/words.fifu"),
    ],
)
def test_the_cache(address, snapshot: Path, tmp_path: Path) -> None:
    assert ffjax.load(address) == simple()
    assert ffjax.load(address, mmap=True).vocab.words == ["one", "two"]
    assert describe(address)["words"] == 2
    ffjax.convert(address, tmp_path / "words.txt")
    assert (tmp_path / "words.txt").read_text().startswith("one 3.0 4.0\n")


def test_the_home_of_the_cache(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(snapshot.parents[3]))
    assert local_path("hf://org/glove-100/words.fifu") == str(snapshot / "words.fifu")


def test_several_files(snapshot: Path) -> None:
    (snapshot / "other.txt").write_text("one 0.5\n")
    listed = "got 'other.txt', 'words.fifu'. Name one, as in `hf://"
    with pytest.raises(ffjax.FormatError, match=listed):
        ffjax.load("hf://org/glove-100")
    assert ffjax.load("hf://org/glove-100/other.txt").dims == 1


def test_arrays_of_gensim_belong_to_their_file(snapshot: Path) -> None:
    (snapshot / "words.fifu").rename(snapshot / "words.kv")
    (snapshot / "words.kv.vectors.npy").write_bytes(b"")
    assert local_path("hf://org/glove-100") == str(snapshot)


def test_what_the_cache_does_not_have(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("hf://org/glove-100/x.txt", "hf://org/other", "hf://org/glove-100@v2"):
        with pytest.raises(FileNotFoundError, match=f"HF_HUB_OFFLINE is set.*'{address}'"):
            ffjax.load(address)
    with pytest.raises(FileNotFoundError, match=r"\(it has 'words.fifu'\)"):
        ffjax.load("hf://org/glove-100/x.txt")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"org/other is not in .*pip install 'ffjax\[hub\]'"):
        ffjax.load("hf://org/other")


def test_downloading(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def snapshot_download(name: str, **options: object) -> str:
        calls.append((name, options))
        return os.fspath(snapshot)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert ffjax.load("hf://org/other@v1/words.fifu") == simple()
    patterns = ["words.fifu", "words.fifu.*", "words.fifu/*"]
    assert calls == [("org/other", {"revision": "v1", "allow_patterns": patterns})]
    with pytest.raises(FileNotFoundError, match="expected a file on the hub .*'hf://org/other/x'"):
        ffjax.load("hf://org/other/x")


def test_errors_of_the_network(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(name: str, **options: object) -> str:
        raise RuntimeError("Name or service not known\nAn error happened")

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    message = "hf://org/other: expected to download files, got RuntimeError .Name or service not"
    with pytest.raises(OSError, match=message):
        ffjax.load("hf://org/other")
    module.snapshot_download = Mock(side_effect=MemoryError)  # type: ignore[attr-defined]
    with pytest.raises(MemoryError, match="^$"):
        ffjax.load("hf://org/other")


def test_a_snapshot_may_have_some_of_the_files_only(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = snapshot.with_name("complete")
    snapshot.rename(complete)
    snapshot.mkdir()
    (snapshot / "config.json").write_text("{}")
    (snapshot / "other.txt").write_text("one 0.5\n")

    def snapshot_download(name: str, *, revision: str, ignore_patterns: list[str]) -> str:
        assert (name, revision) == ("org/glove-100", "main") and "*.h5" in ignore_patterns
        for file in complete.iterdir():
            (snapshot / file.name).write_bytes(file.read_bytes())
        return os.fspath(snapshot)

    assert ffjax.load("hf://org/glove-100").dims == 1  # offline
    (snapshot / "other.txt").unlink()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    (snapshot / "a.txt").write_text("a 1\n")
    (snapshot / "b.txt").write_text("b 1\n")
    with pytest.raises(ffjax.FormatError, match="the local cache may not have all files"):
        ffjax.load("hf://org/glove-100")
    (snapshot / "a.txt").unlink()
    (snapshot / "b.txt").unlink()
    module = types.ModuleType("huggingface_hub")
    module.__spec__ = ModuleSpec("huggingface_hub", None)
    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert ffjax.load("hf://org/glove-100") == simple()


def test_pull_requests_are_revisions(snapshot: Path) -> None:
    refs = snapshot.parents[1] / "refs" / "refs" / "pr"
    refs.mkdir(parents=True)
    (refs / "1").write_text(COMMIT)
    assert ffjax.load("hf://org/glove-100@refs/pr/1/words.fifu") == simple()
    assert ffjax.load("hf://org/glove-100@refs/pr/1") == simple()
    with pytest.raises(FileNotFoundError, match="hf://org/glove-100@refs/pr/2/words.fifu"):
        ffjax.load("hf://org/glove-100@refs/pr/2/words.fifu")


def test_static_models_are_folders(snapshot: Path) -> None:
    for name in ("words.fifu", "README.md"):
        (snapshot / name).unlink()
    words = ffjax.from_vectors(["tea", "time"], [[2.0, 0.0], [0.0, 1.0]])
    ffjax.write_model2vec(snapshot, words)
    model = ffjax.load_static_model("hf://org/glove-100")
    assert model.encode("Tea time").tolist() == [1.0, 0.5]


@pytest.mark.parametrize("address", ["hf://org", "hf://", "hf://org/a/../../b"])
def test_other_addresses(address: str) -> None:
    with pytest.raises(ValueError, match=r"`path`: expected hf://ORG/NAME\[@REVISION\]\[/FILE\]"):
        ffjax.load(address)
