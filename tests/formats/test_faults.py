"""Files that are not what they seem, and what errors advise."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax._internal.file_arguments import check_file
from ffjax.formats.describe import describe
from ffjax.formats.text.header import NO_NGRAMS

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"data")
    return data.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (LFS, "got the pointer of a Git LFS file.* `git lfs pull`"),
        (b"\n <html><head>", "got a web page"),
        (b"SQLite format 3\x00" + bytes(84), "got an SQLite database.*`pymagnitude`"),
        (b"ORC" + bytes(8), "got an ORC table.* write it with `to_parquet`"),
        (json.dumps({"a": [0.5]}).encode(), "got JSON"),
        (json.dumps([[0.5]], indent=1).encode(), "got JSON"),
        (b"7z\xbc\xaf\x27\x1c", "got a 7z archive. Unpack it first"),
        ("x 0.5\n".encode("utf-16-le"), "got text, probably in UTF-16. Convert it"),
        (b"some prose\nwritten in\nthe year 1984\nby one\n", "text, but not a table of vectors"),
    ],
)
def test_foreign_files_say_what_they_are(path: Path, raw: bytes, message: str) -> None:
    path.write_bytes(raw)
    with pytest.raises(
        ffjax.FormatError, match=f"byte 0: expected embeddings, {message}|{message}"
    ):
        ffjax.load(path)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.convert(path, path.with_suffix(".fifu"))


@pytest.mark.parametrize(
    "reader",
    ["load_fasttext", "load_classifier", "load_word2vec", "load_text", "load_text_dims",
     "load_floret", "load_finalfusion"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (LFS, "got the pointer of a Git LFS file.* `git lfs pull`"),
        (b"<!DOCTYPE html>", "got a web page"),
        (b'{"a": [0.5]}', "got JSON.*`ffjax.from_vectors`"),
        (b"7z\xbc\xaf\x27\x1c", "got a 7z archive"),
        (zipped("model/data.pkl", "model/data/0"), "got (a PyTorch file|a compressed file or an)"),
        (b"\x83\xa5ffjax", "got a snapshot. `ffjax.load` reads it"),
    ],
)
def test_readers_of_one_format_say_what_other_files_are(
    path: Path, reader: str, raw: bytes, message: str
) -> None:
    path.write_bytes(raw)
    with pytest.raises(ffjax.FormatError, match=message):
        getattr(ffjax, reader)(path)


def test_archives_of_several_formats_are_listed(path: Path) -> None:
    path.write_bytes(zipped("vectors.npy", "vocab.txt"))
    for reader in (ffjax.load, ffjax.load_spacy):
        with pytest.raises(ffjax.FormatError, match="several: 'vectors.npy', 'vocab.txt'"):
            reader(path)
    path.write_bytes(zipped("words.kv", "words.kv.vectors.npy"))
    with pytest.raises(ffjax.FormatError, match="got a pickle.*`ffjax.load_gensim` reads it"):
        ffjax.load_spacy(path)


def test_readers_name_the_reader_of_another_format(path: Path) -> None:
    ffjax.write_finalfusion(path, ffjax.from_vectors(["tea"], np.eye(1, dtype=np.float32)))
    for reader in (ffjax.load_fasttext, ffjax.load_word2vec, ffjax.load_text):
        with pytest.raises(ffjax.FormatError, match="got a finalfusion.*`ffjax.load_finalfusion`"):
            reader(path)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2 3\na 0,1 0,2 0,3\nb 0,4 0,5 0,6\n", "0,1"), ("a 1 0.2,\nb 1 2\nc 1 2\n", "0.2,")],
)
def test_what_load_refuses_at_once_is_not_described(path: Path, text: str, number: str) -> None:
    path.write_text(text)
    for call in (ffjax.load, describe):
        with pytest.raises(ffjax.FormatError, match=f"a decimal number, got '{number}'"):
            call(path)


@pytest.mark.parametrize("word", ["<html", "version", "{", "[", "PAR1", "%PDF", "7z"])
def test_a_row_is_a_row_whatever_its_word(path: Path, word: str) -> None:
    path.write_text(f"{word} 0.5 0.25\ntea 1 2\n")
    assert ffjax.load(path).vocab.words == [word, "tea"]


@pytest.mark.parametrize("file", [3.5, io.BytesIO(b"a 1 2\n")])
def test_what_is_not_a_path(file: object) -> None:
    advice = "Give the name of an open file" if hasattr(file, "read") else ""
    with pytest.raises(TypeError, match=f"`path`: expected a path or a descriptor, .*{advice}"):
        check_file(file)


def test_true_is_not_standard_output(path: Path) -> None:
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(1, dtype=np.float32)), ffjax.SimpleVocab(["a"]))
    for call in (
        ffjax.load,
        ffjax.load_text,
        ffjax.load_finalfusion,
        lambda file: ffjax.write_text(file, emb),
        lambda file: ffjax.convert(path, file, to_format="text"),
    ):
        with pytest.raises(
            TypeError, match="`(path|target)`: expected a path or a descriptor, got bool True"
        ):
            call(True)
    os.fstat(1)  # standard output is still open


@pytest.mark.parametrize("file", ["https://host/a.vec", Path("https://host/a.vec")])
def test_addresses_are_not_paths(file: str | Path) -> None:
    with pytest.raises(
        ValueError, match="`path`: .*address 'https://host/a.vec'. .*`curl -LO https"
    ):
        ffjax.load(file)
    message = "`target`: .*address 'https://host/a.vec'. Write a local file and upload it"
    with pytest.raises(ValueError, match=message):
        ffjax.convert("source.txt", file)
    with pytest.raises(ValueError, match="`source`: .*address 'https://host/a.vec'. Download"):
        ffjax.convert(file, "target.fifu", to_format="finalfusion")
    with pytest.raises(TypeError, match="`target`: expected the path of a folder to write, got"):
        ffjax.convert("source.txt", 1, to_format="model2vec")


def word2vec(words: list[str], rows: np.ndarray, feed: bytes) -> bytes:
    lines = [w.encode() + b" " + r.tobytes() + feed for w, r in zip(words, rows, strict=True)]
    return b"%d %d\n" % rows.shape + b"".join(lines)


@pytest.mark.parametrize("feed", [b"\n", b""])
@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("dims", [2, 50])
def test_a_space_in_a_word_of_word2vec(path: Path, feed: bytes, lossy: bool, dims: int) -> None:
    words = ["tea", "New York", *(f"w{i}" for i in range(200))]
    rows = np.random.default_rng(0).normal(size=(len(words), dims)).astype(np.float32)
    path.write_bytes(word2vec(words, rows, feed))
    with pytest.raises(ffjax.FormatError, match="A word with a space in it.* shifts all rows"):
        ffjax.load_word2vec(path, lossy=lossy)
    with pytest.raises(ffjax.FormatError, match="row [23] of 202: word: .*The rows are shifted"):
        ffjax.load_word2vec(path, lossy=lossy, limit=10)


# Shifts by 2, 4 and 8 bytes; those by whole numbers leave every length as it is.
@pytest.mark.parametrize("word", ["a b", "西 安", "tea-table pot lid", f"tea {'cup' * 13}"])
@pytest.mark.parametrize("feed", [b"\n", b""])
@pytest.mark.parametrize("at", [0, 17, 39])
def test_shifted_rows_of_word2vec_are_never_read(
    path: Path, word: str, feed: bytes, at: int
) -> None:
    words = [f"w{i}" for i in range(40)]
    words[at] = word
    for seed in range(6):
        rows = np.random.default_rng(seed).normal(size=(40, 50)).astype(np.float32)
        path.write_bytes(word2vec(words, rows, feed))
        for options in ({}, {"lossy": True}, {"limit": at + 1}, None):
            with pytest.raises(ffjax.FormatError, match="The rows are shifted") as caught:
                describe(path) if options is None else ffjax.load(path, **options)
            assert not any(advice in str(caught.value) for advice in ("lossy", "iconv", "limit="))


def test_word2vec_rows_of_other_lengths_are_not_shifted(path: Path) -> None:
    rows = np.zeros((5, 3), np.float32)
    rows[1:] = np.array([1e-19, 3e-5, 1.0, 1e6], np.float32)[:, None]
    path.write_bytes(word2vec(list("abcde"), rows, b"\n"))
    np.testing.assert_allclose(ffjax.load(path).norms, rows[:, 0] * np.sqrt(3), rtol=1e-6)


def test_a_word2vec_file_with_other_rows_than_it_says(path: Path) -> None:
    rows = np.eye(2, dtype=np.float32)
    raw = word2vec(["a", "b"], rows, b"\n")
    for n_rows in (b"1", b"3"):
        path.write_bytes(raw.replace(b"2", n_rows, 1))
        with pytest.raises(ffjax.FormatError, match="`limit="):
            ffjax.load(path, format="word2vec")
        limit = min(2, int(n_rows))
        assert ffjax.load(path, format="word2vec", limit=limit).n_words == limit


def fasttext_model(path: Path, min_n: int, max_n: int) -> None:
    """A model whose settings are changed after it has been written."""
    vocab = ffjax.FastTextVocab(["tea", "coffee"], ffjax.FastTextIndexer(10, 3, 6))
    matrix = np.linspace(0, 1, 36, dtype=np.float32).reshape(12, 3)
    ffjax.write_fasttext(path, ffjax.Embeddings(ffjax.NdArray(matrix), vocab))
    raw = bytearray(path.read_bytes())
    raw[44:52] = np.array([min_n, max_n], "<i4").tobytes()
    path.write_bytes(raw)


@pytest.mark.parametrize("max_n", [-1, 0, 6])
def test_fasttext_takes_no_ngrams_with_a_negative_minn(path: Path, max_n: int) -> None:
    peer = pytest.importorskip("fasttext")
    fasttext_model(path, -1, max_n)
    emb, model = ffjax.load(path), peer.load_model(str(path))
    for word in ("tea", "coffee"):
        vector = emb[word] * emb.norms[emb.vocab[word]]
        np.testing.assert_allclose(vector, model.get_word_vector(word), rtol=1e-6)
    assert not model.get_subwords("teas")[0]
    assert emb.embedding("teas") is None


def test_a_negative_maxn_is_an_error(path: Path) -> None:
    fasttext_model(path, 3, -1)
    with pytest.raises(ffjax.FormatError, match="max_n: expected 0 or more, got -1. .*any length"):
        ffjax.load(path)


@pytest.mark.parametrize(("mode", "advice"), [(1, "save_vectors"), (2, "save_floret_vectors")])
def test_a_model_of_floret_is_not_a_corrupt_one_of_fasttext(
    path: Path, mode: int, advice: str
) -> None:
    fasttext_model(path, 3, 6)
    raw = path.read_bytes()
    path.write_bytes(raw[:52] + np.array([mode, 2, 100], "<i4").tobytes() + raw[56:])
    with pytest.raises(
        ffjax.FormatError, match=f"expected a fastText model.*floret.*`{advice}`"
    ):
        ffjax.load(path)


@pytest.mark.parametrize(
    ("lengths", "ngrams"),
    [("0 0", []), ("3 0", []), ("0 2", ["<a", "ab", "b>", "a", "b"]), ("2 2", ["<a", "ab", "b>"])],
)
def test_floret_tables_with_few_ngrams(path: Path, lengths: str, ngrams: list[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    table = "".join(f"{i} {' '.join(map(str, row))}\n" for i, row in enumerate(rows))
    path.write_text(f"50 4 {lengths} 2 2166136261 < >\n{table}")
    emb = ffjax.load(path)
    ids = [i for text in ["<ab>", *ngrams] for i in emb.vocab.subword_indexer(text)]
    mean = rows[ids].mean(axis=0)
    np.testing.assert_allclose(emb["ab"], mean / np.linalg.norm(mean), rtol=1e-5)
    np.testing.assert_allclose(ffjax.embed(emb, ffjax.pack(["ab"]))[0][0], emb["ab"], rtol=1e-5)
    ffjax.write_floret(path, emb)
    assert (emb.vocab.min_n == NO_NGRAMS) == path.read_text().startswith("50 4 0 0 2 ")
    assert ffjax.load(path) == emb
