"""Folders written for spaCy: their files, what they cannot hold, and which folders stay."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffjax
from ffjax.formats.spacy import writer
from tests.formats import samples
from tests.formats.spacy import folders
from tests.formats.spacy.folders import ROWS, WORDS

VOCAB = ["key2row", "lookups.bin", "strings.json", "vectors", "vectors.cfg"]
SAME_HASH = ["teapots_and_cups", "cdpwoqxf[ZA|pw>E", "tea"]  # of the first two


def files_of(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def test_what_is_read_is_written_again(tmp_path: Path) -> None:
    sources = [
        folders.write(tmp_path / "default"),
        folders.write(tmp_path / "lower", cfg={"mode": "default", "attr": 66}),
        folders.write_floret(tmp_path / "floret"),
    ]
    for source in sources:
        for target in (tmp_path / "saved", tmp_path / "converted"):
            emb = ffjax.load(source)
            if target.name == "saved":
                ffjax.save(emb, target, format="spacy")
            else:
                assert ffjax.convert(source, target, to_format="spacy", leave_out=True) == ()
            written, old = files_of(target), files_of(source)
            assert sorted(written) == VOCAB and written["lookups.bin"] == b"\x80"
            assert ffjax.load(target) == emb
            assert all(written[name] == old[name] for name in ("vectors", "key2row"))
            assert json.loads(written["vectors.cfg"]) == json.loads(old["vectors.cfg"])
            names = set(json.loads(old["strings.json"])) - {"unused"} if len(emb.vocab) else set()
            assert json.loads(written["strings.json"]) == sorted(names)
    assert not list(tmp_path.glob(".*"))


def test_vectors_have_their_lengths(tmp_path: Path) -> None:
    emb = samples.simple(norms=ffjax.Norms(np.array([2, 0.5], np.float32)))
    ffjax.save(emb, tmp_path / "vocab", format="spacy")
    np.testing.assert_array_equal(ffjax.load(tmp_path / "vocab")["one"], 2 * emb["one"])
    (tmp_path / "vectors.txt").write_text("one 3.3 4.1\ntwo 0.1 0.7\n")
    ffjax.convert(tmp_path / "vectors.txt", tmp_path / "converted", to_format="spacy")
    rows = np.array([[3.3, 4.1], [0.1, 0.7]], np.float32)  # every number as it was
    np.testing.assert_array_equal(ffjax.load(tmp_path / "converted").storage, rows)


def test_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)  # as if it were not installed
    with pytest.warns(UserWarning, match=r"without the rules of a tokenizer.*exclude=\[\"token"):
        ffjax.save(samples.simple(), tmp_path / "p", format="spacy", lang="en", name="small")
    written = files_of(tmp_path / "p")
    vocab = sorted(f"vocab/{name}" for name in VOCAB)
    assert sorted(written) == ["config.cfg", "meta.json", "tokenizer", *vocab]
    meta = json.loads(written["meta.json"])
    assert (meta["lang"], meta["name"]) == ("en", "small") and written["tokenizer"] == b"\x80"
    assert ffjax.load(tmp_path / "p").vocab.words == ["one", "two"]


def test_words_that_share_rows_stay_so_or_are_repeated(tmp_path: Path) -> None:
    source = folders.write(tmp_path / "vocab")
    rows = ROWS[[0, 1, 2, 2, 0, 1]]
    for format in ("textdims", "finalfusion", "word2vec"):
        words = [word for word in WORDS if format != "word2vec" or " " not in word]
        if format == "word2vec":
            few = ffjax.select_words(ffjax.load(source), words)
            ffjax.save(few, tmp_path / "few", format="spacy")
            source, rows = tmp_path / "few", rows[[0, 1, 2, 3, 5]]
        assert ffjax.convert(source, tmp_path / "out", to_format=format) == ()
        emb = ffjax.load(tmp_path / "out")
        assert emb.vocab.words == words and emb.vocab.shared_rows is None
        vectors = np.asarray(emb.storage)
        if emb.norms is not None:
            vectors = vectors * np.asarray(emb.norms)[:, None]
        np.testing.assert_allclose(vectors, rows, rtol=1e-6)


@pytest.mark.parametrize(
    ("emb", "options", "message"),
    [
        (samples.fasttext(), {}, r"got n-grams too. Drop them .*ffjax.Vectors.v1"),
        (samples.simple(metadata=ffjax.Metadata({"a": 1})), {}, "Allow .* `drop_metadata=True`"),
        (samples.quantized(), {}, "with `reconstruct=True`"),
        (samples.simple(), {"lang": ""}, "`lang`: expected a name, got ''"),
        (samples.simple(), {"lang": "../.."}, "`lang`: expected the code of a language, such as"),
        (samples.simple(), {"attr": "COLOR"}, "`attr`: expected the name of a token attribute"),
        (ffjax.Embeddings(ffjax.NdArray(ROWS[:1]), ffjax.SimpleVocab([b"\xff"])), {}, "in UTF-8"),
        (ffjax.Embeddings(ffjax.NdArray(ROWS[:0]), ffjax.SimpleVocab([])), {}, "empty vocabulary"),
        (ffjax.from_vectors(SAME_HASH, np.eye(3)), {}, "different hashes, got two with one"),
    ],
)
def test_what_a_folder_cannot_hold(
    tmp_path: Path, emb: ffjax.Embeddings, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ffjax.save(emb, tmp_path / "vocab", format="spacy", **options)
    assert not list(tmp_path.iterdir())


def test_floret_tables_without_edges_are_an_error(tmp_path: Path) -> None:
    vocab = ffjax.FloretVocab(ffjax.FloretIndexer(3, 1, 2))
    with pytest.raises(ValueError, match="n-grams of one character at the edges"):
        ffjax.save(ffjax.Embeddings(ffjax.NdArray(ROWS), vocab), tmp_path / "v", format="spacy")


def test_only_folders_of_such_files_are_replaced(tmp_path: Path) -> None:
    emb, folder = samples.simple(), tmp_path / "vocab"
    folder.mkdir()
    ffjax.save(emb, folder, format="spacy")  # an empty one
    ffjax.save(ffjax.select_words(emb, ["two"]), folder, format="spacy")
    assert ffjax.load(folder).vocab.words == ["two"]
    (folder / "ner").mkdir()
    (folder / "ner" / "model").write_bytes(b"weights")
    before = files_of(folder)
    source = tmp_path / "vectors.txt"
    source.write_text("one 3.3 4.1\n")
    for write in (
        lambda: ffjax.save(emb, folder, format="spacy"),
        lambda: ffjax.convert(source, folder, to_format="spacy"),
    ):
        with pytest.raises(FileExistsError, match="got one with 'ner/model' in"):
            write()
    with pytest.raises(NotADirectoryError, match="expected the path of a folder to write"):
        ffjax.save(emb, source, format="spacy")
    with pytest.raises(FileNotFoundError, match="expected a folder in an existing folder"):
        ffjax.save(emb, tmp_path / "a" / "b", format="spacy")
    assert files_of(folder) == before


def test_a_failure_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emb, folder = samples.simple(), tmp_path / "vocab"
    ffjax.save(emb, folder, format="spacy")
    before = files_of(folder)
    monkeypatch.setattr(writer, "write_npy_header", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division"):
        ffjax.save(ffjax.select_words(emb, ["two"]), folder, format="spacy")
    assert files_of(folder) == before and [path.name for path in tmp_path.iterdir()] == ["vocab"]
