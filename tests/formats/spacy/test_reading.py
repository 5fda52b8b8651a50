"""Folders of spaCy's vectors: what is read, in every layout, and from archives."""

import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.spacy.key_rows import read_key_rows
from tests.formats.spacy import folders
from tests.formats.spacy.folders import ROWS, WORDS

SHARED = [0, 1, 2, 2, 0, 1]


def check(emb: ffjax.Embeddings, words: list[str] = WORDS, rows=ROWS[SHARED]) -> None:
    assert emb.vocab.words == words and emb.norms is None
    for word, row in zip(words, rows, strict=True):
        np.testing.assert_array_equal(emb[word], row)


@pytest.mark.parametrize("path", ["vocab", "pipe/vocab", "package/pipe-1.0/vocab"])
@pytest.mark.parametrize("mmap", [False, True])
def test_a_folder_wherever_it_lies(tmp_path: Path, path: str, mmap: bool) -> None:
    folders.write(tmp_path / path)
    (tmp_path / path.split("/")[0] / "meta.json").touch()  # as in a package
    for emb in (ffjax.load(tmp_path, mmap=mmap), ffjax.load_spacy(tmp_path, mmap=mmap)):
        check(emb)
        assert isinstance(emb.storage.matrix, np.memmap) == mmap
    check(ffjax.load(tmp_path / path, limit=2), WORDS[:2], ROWS[:2])
    check(ffjax.load(tmp_path / path, limit=0), [], [])


@pytest.mark.parametrize("mmap", [False, True])
def test_archives(tmp_path: Path, mmap: bool) -> None:
    folder = folders.write(tmp_path / "pipe" / "vocab")
    with zipfile.ZipFile(tmp_path / "p.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in folder.iterdir():
            wheel.write(file, f"p/p-1.0/vocab/{file.name}")
        wheel.writestr("p/__init__.py", "")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        archive.add(folder, "p-1.0/p/p-1.0/vocab")
    for name in ("p.whl", "p.tar.gz"):
        check(ffjax.load(tmp_path / name, mmap=mmap))
        assert describe(tmp_path / name)["words"] == len(WORDS)
    assert not list(tmp_path.glob(".*"))


def test_one_of_several_folders_in_an_archive(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folders.write(tmp_path / "all" / name / "vocab")
    (tmp_path / "all" / "two" / "words.txt").write_bytes(b"tea 0.5\n")
    for kind in ("zip", "gztar"):
        path = shutil.make_archive(str(tmp_path / kind), kind, tmp_path, "all")
        with pytest.raises(ffjax.FormatError, match="'all/one/vocab/', 'all/two/vocab/'. Name one"):
            ffjax.load(path)
        for member in ("all/one", "all/two/", "all/two/vocab/"):
            check(ffjax.load(path, member=member))
        assert describe(path, member="all/two")["words"] == len(WORDS)
        ffjax.convert(path, tmp_path / "two.fifu", member="all/two")
        check(ffjax.load(tmp_path / "two.fifu"))
        assert ffjax.load(path, member="all/two/words.txt").words == ["tea"]
        with pytest.raises(ValueError, match="`member`: expected a file of the .* archive"):
            ffjax.load(path, member="all/t")


def test_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.write(tmp_path / "toy_pipeline" / "toy-1.0" / "vocab")
    (tmp_path / "toy_pipeline" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("toy_pipeline", "toy-pipeline"):
        check(ffjax.load_spacy(name))
    assert "toy_pipeline" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="`path`: expected a path or the name"):
        ffjax.load_spacy("not_installed")
    for name in ("not/there", "./missing/vocab", "a.b"):
        with pytest.raises(FileNotFoundError, match=f"expected a path or the name .*{name}"):
            ffjax.load_spacy(name)
    with pytest.raises(TypeError, match="`path`: expected a path or the name"):
        ffjax.load_spacy(3)  # type: ignore[arg-type]


def test_what_is_not_used_or_not_named(tmp_path: Path) -> None:
    matrix = np.arange(10, dtype=np.float32).reshape(5, 2)
    folder = folders.write(tmp_path / "a", ["tea", "pot"], [3, 1], matrix)
    for mmap in (False, True):
        emb = ffjax.load(folder, mmap=mmap)
        check(emb, ["tea", "pot"], matrix[[3, 1]])
        assert emb.storage.shape == (2, 2)
    folder = folders.write(tmp_path / "b", ["tea", "X", "pot"], [0, 1, 2], strings=["pot"])
    with pytest.warns(UserWarning, match=r"1 keys of 3 have no string in strings.json; they are"):
        check(ffjax.load(folder), ["X", "pot"], ROWS[1:])
    (folder / "strings.json").unlink()
    with pytest.warns(UserWarning, match="2 keys of 3 have no string"):
        check(ffjax.load(folder), ["X"], ROWS[1:2])
    folder = folders.write(tmp_path / "c", ["tea", "pot", "tea"], [0, 1, 2])
    with pytest.warns(UserWarning, match="1 key repeated; the first row of each counts"):
        check(ffjax.load(folder), ["tea", "pot"], ROWS[:2])


def test_old_layouts(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "vocab")
    (folder / "vectors.cfg").unlink()  # spaCy 3.0 and 3.1
    check(ffjax.load(folder))
    keys = folders.keys_of(folders.StringTable.from_strings(WORDS[:3]))
    (folder / "key2row").unlink()
    (folder / "keys").write_bytes(folders.npy(keys))
    check(ffjax.load(folder), WORDS[:3], ROWS)
    assert describe(folder)["words"] == 3


def test_types_of_numbers(tmp_path: Path) -> None:
    for dtype in ("<f2", "<f8", "i1", ">f4"):
        folder = folders.write(tmp_path / dtype.strip("<>"), matrix=ROWS.astype(dtype))
        for mmap in (False, True):
            emb = ffjax.load(folder, mmap=mmap)
            assert emb.storage.dtype == (np.float16 if dtype == "<f2" else np.float32)
            check(emb, rows=ROWS.astype(dtype)[SHARED])


def test_numbers_beyond_float32_are_infinite_with_a_warning(tmp_path: Path) -> None:
    rows = ROWS.astype(np.float64)
    rows[1, 0] = 1e300
    with pytest.warns(UserWarning, match="1 row with NaN or infinity; kept as read"):
        emb = ffjax.load(folders.write(tmp_path / "vocab", matrix=rows))
    assert np.isinf(emb[WORDS[1]]).tolist() == [True, *[False] * (ROWS.shape[1] - 1)]


def test_the_attribute_of_keys_is_metadata(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "vocab", cfg={"mode": "default", "attr": 66})
    emb = ffjax.load(folder)
    assert dict(emb.metadata or {}) == {"spacy": {"attr": "LOWER"}}
    assert describe(folder)["metadata"] == ["spacy"]


def test_floret(tmp_path: Path) -> None:
    folder = folders.write_floret(tmp_path / "vocab")
    emb = ffjax.load(folder)
    indexer = ffjax.FloretIndexer(3, 2, 3, 2, 7, skip_edge_unigrams=False)
    assert emb.vocab == ffjax.FloretVocab(indexer, bow="[", eow="]")
    np.testing.assert_array_equal(emb.storage, ROWS)
    facts = describe(folder)
    assert (facts["buckets"], facts["hashes"], facts["ngram_lengths"]) == (3, 2, "2 to 3")
    with pytest.raises(ValueError, match="`limit`: expected None for a floret table"):
        ffjax.load(folder, limit=1)


def test_strings_in_any_form(tmp_path: Path) -> None:
    strings = sorted(set(WORDS) - {"X", "number"})
    for text in (
        json.dumps(strings),
        json.dumps(strings, indent=2),
        json.dumps(strings, indent=2) + "\n",
        json.dumps(strings, indent=2).replace(",\n", ",\n\n"),
        json.dumps(strings, indent=2)[:-1] + "\n\n]",
        *(json.dumps(["x" * n, *strings], indent=2) for n in range(4)),
        json.dumps(strings, indent=2).replace("\n", "\r\n"),
        json.dumps(strings, indent=4),
        json.dumps(strings, indent=2, ensure_ascii=False),
        json.dumps(["\\", '"', "\n", *strings], indent=2),
    ):
        folder = folders.write(tmp_path / "vocab")
        (folder / "strings.json").write_text(text, encoding="utf-8")
        check(ffjax.load(folder))


def test_keys_and_rows_of_every_size() -> None:
    rng = np.random.default_rng(0)
    sizes = [7, 8, 15, 16, 31, 32, 63, 64]
    keys = [int(x) >> (64 - size) for size in sizes for x in rng.integers(0, 2**64, 40, np.uint64)]
    keys += [0xCFCFCFCFCFCFCFCF, 0xCF00CF00CF00CF00] * 3
    for wide in (False, True):
        rows = [int(x) >> int(rng.integers(0, 32)) for x in rng.integers(0, 2**32, len(keys))]
        data = b"\xde" + len(keys).to_bytes(2, "big")
        for key, row in zip(keys, rows, strict=True):
            data += folders.number(key, wide=wide) + folders.number(row)
        entries = read_key_rows(Cursor(ByteSource(None, data), chunk="key2row"))
        assert entries.keys.tolist() == keys and entries.rows.tolist() == rows
