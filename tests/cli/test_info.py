"""`ffjax info` and `ffjax metadata`: what a file holds and says about itself."""

import gzip
import json

import numpy as np
import pytest

import ffjax
from tests import builders
from tests.formats.fasttext import files as fasttext_files


def test_info_of_the_demo(ff, demo_file):
    values = json.loads(ff("info", demo_file, "--json").out)
    assert values == {
        "file": str(demo_file),
        "bytes": demo_file.stat().st_size,
        "format": "finalfusion",
        "chunks": ["Metadata", "ExplicitSubwordVocab", "QuantizedArray", "NdNorms"],
        "vocabulary": "words, stored n-grams",
        "words": 40_000,
        "ngram_lengths": "3 to 4",
        "ngrams": 3_500,
        "ngram_rows": 3_500,
        "dims": 100,
        "storage": "quantized",
        "rows": 43_500,
        "codes_per_row": 50,
        "centroids": 256,
        "rotated": True,
        "row_norms": False,
        "norms": 40_000,
        "metadata": list(ffjax.demo().metadata),
    }


def test_info_in_a_pipe_is_names_and_values(ff, small):
    rows = dict(ff("info", small["buckets"]).rows)
    assert rows["vocabulary"] == "words, n-grams in finalfusion's buckets"
    assert (rows["words"], rows["ngram_lengths"], rows["buckets"], rows["rows"]) == (
        "10",
        "3 to 5",
        "64",
        "74",
    )
    assert rows["chunks"] == "Metadata, BucketSubwordVocab, NdArray, NdNorms"
    explicit = dict(ff("info", small["explicit"]).rows)
    vocab = ffjax.load_finalfusion(small["explicit"]).vocab
    assert explicit["ngrams"] == str(len(vocab.subword_indexer.ngrams))
    assert explicit["ngram_rows"] == str(vocab.upper_bound - 10)


def test_info_of_quantized_embeddings(ff, tmp_path):
    path = tmp_path / "quantized.fifu"
    builders.embeddings("simple", "opq", norms=False).write(path)
    rows = dict(ff("info", path).rows)
    assert (rows["storage"], rows["dims"]) == ("quantized", "6")
    assert (rows["codes_per_row"], rows["centroids"]) == ("3", "8")
    assert (rows["rotated"], rows["row_norms"]) == ("yes", "no")
    assert "norms" not in rows and "metadata" not in rows


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one 1 0\ntwo 0 2\n", {"format": "text", "words": "2", "dims": "2", "norms": "2"}),
        (b"2 2\none 1 0\ntwo 0 2\n", {"format": "textdims", "words": "2", "dims": "2"}),
        (gzip.compress(b"one 1 0\ntwo 0 2\n", mtime=0), {"format": "text", "words": "2"}),
        (
            b"2 1 3 4 2 7 < >\n0 1.0\n1 2.0\n",
            {
                "format": "floret",
                "words": "0",
                "ngram_lengths": "3 to 4",
                "buckets": "2",
                "hashes": "2",
            },
        ),
    ],
)
def test_info_of_other_formats(ff, tmp_path, data, expected):
    path = tmp_path / "vectors"
    path.write_bytes(data)
    result = ff("info", path)
    assert result.status == 0 and expected.items() <= dict(result.rows).items()
    assert dict(result.rows)["bytes"] == str(len(data))


def test_info_of_a_compressed_finalfusion_file(ff, small, tmp_path):
    path = tmp_path / "small.fifu.gz"
    path.write_bytes(gzip.compress(small["simple"].read_bytes(), mtime=0))
    rows = dict(ff("info", path).rows)
    assert (rows["format"], rows["words"], rows["metadata"]) == ("finalfusion", "10", "corpus")


def test_info_from_standard_input(ff, small):
    result = ff("info", "-", stdin=small["simple"].read_bytes())
    rows = dict(result.rows)
    assert (result.status, rows["file"], rows["words"]) == (0, "standard input", "10")


def test_info_of_a_file_with_only_a_vocabulary(ff, tmp_path):
    path = tmp_path / "vocab.fifu"
    ffjax.write_chunks(path, [ffjax.SimpleVocab(["one", "two"])])
    values = json.loads(ff("info", path, "--json").out)
    assert (values["chunks"], values["words"]) == (["SimpleVocab"], 2) and "dims" not in values


def test_info_does_not_read_the_matrix(ff, tmp_path, monkeypatch):
    """A sparse file with a matrix of 4 GB: reading it would exhaust the memory."""
    path = tmp_path / "sparse.fifu"
    rows, dims = 10, 100_000_000
    vocab = ffjax.SimpleVocab([f"word {number}" for number in range(rows)])
    ffjax.Embeddings(ffjax.NdArray(np.zeros((rows, 1), np.float32)), vocab).write(path)
    raw = bytearray(path.read_bytes())
    # The last chunk: length u64, rows u64, dims u32, type u32, padding, numbers.
    start = raw.index(np.uint64(rows).tobytes() + np.uint32(1).tobytes() + np.uint32(10).tobytes())
    numbers = len(raw) - 4 * rows
    raw[start + 8 : start + 12] = np.uint32(dims).tobytes()
    raw[start - 8 : start] = np.uint64(numbers - start + 4 * rows * dims).tobytes()
    with open(path, "wb") as file:
        file.write(raw[:numbers])
        file.truncate(numbers + 4 * rows * dims)
    values = json.loads(ff("info", path, "--json").out)
    assert (values["dims"], values["rows"], values["bytes"]) == (
        dims,
        rows,
        numbers + 4 * rows * dims,
    )


@pytest.mark.parametrize("wrap", [bytes, gzip.compress])
def test_info_of_a_fasttext_model(ff, tmp_path, wrap):
    path = tmp_path / "model"
    kind, labels = fasttext_files.SUPERVISED, fasttext_files.LABELS
    path.write_bytes(wrap(fasttext_files.model(["tea", "pot"], kind=kind, labels=labels)))
    rows = dict(ff("info", path).rows)
    expected = {
        "format": "fasttext",
        "words": "2",
        "buckets": "300",
        "rows": "302",
        "dims": "10",
        "labels": "3",
        "first_labels": ", ".join(label.removeprefix("__label__") for label in labels),
    }
    assert expected.items() <= rows.items() and rows["storage"] == "plain"
    assert rows["tokens"] == str(2**33 + 5) and rows["output_rows"] == "3"


@pytest.mark.parametrize("head", [b"1000000 1000\nw ", b"1000000 1000 3 6 2 7 < >\n0 "])
def test_info_reads_only_the_first_line(ff, tmp_path, head):
    """A sparse file of four gigabytes."""
    path = tmp_path / "vectors"
    with open(path, "wb") as file:
        file.write(head + b"1 " * 100)
        file.truncate(len(head) + 4_010_000_000)
    format = "word2vec" if head.endswith(b"w ") else "floret"
    values = json.loads(ff("info", path, "--json", "-f", format).out)
    assert (values["rows"], values["dims"]) == (1_000_000, 1000)


def test_info_of_text_counts_its_words(ff, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(b"one 1 0\ntwo\xff 0 2\n" * 100)
    assert ff("info", path).status == 2
    rows = dict(ff("info", path, "--lossy").rows)
    assert (rows["words"], rows["repeated_words"]) == ("2", "198")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected embeddings, got an empty file"),
        (b"\x00\x01", "Recognized are finalfusion (begins with `FiFu`)"),
        (b"<!DOCTYPE html>", "expected embeddings, got a web page"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 1\n", "Git LFS"),
    ],
)
def test_info_of_something_else(ff, tmp_path, data, message):
    path = tmp_path / "page"
    path.write_bytes(data)
    result = ff("info", path)
    assert (
        result.status == 2
        and result.err.count("\n") == 1
        and message in result.err
    )


def test_metadata_is_printed_unchanged(ff, small):
    assert ff("metadata", small["simple"]) == (0, 'corpus = "kitchen" # small\n', "")
    assert json.loads(ff("metadata", small["simple"], "--json").out) == {"corpus": "kitchen"}


def test_missing_metadata_is_status_1(ff, tmp_path):
    path = tmp_path / "bare.fifu"
    builders.embeddings(norms=False).write(path)
    assert ff("metadata", path) == (1, "", f"ffjax: {path}: no metadata.\n")


@pytest.mark.parametrize("in_place", [False, True])
def test_metadata_is_replaced_in_a_copy(ff, small, tmp_path, in_place):
    source = tmp_path / "source.fifu"
    source.write_bytes(small["buckets"].read_bytes())
    target = source if in_place else tmp_path / "copy.fifu"
    toml = tmp_path / "new.toml"
    toml.write_text('# mine\nepochs = 5\ntitle = "größer"\n', encoding="utf-8")
    assert ff("metadata", source, target, "--replace", toml) == (0, "", "")
    assert ff("metadata", target).out == toml.read_text(encoding="utf-8")
    old, new = ffjax.load_finalfusion(small["buckets"]), ffjax.load_finalfusion(target)
    assert new.replace(metadata=old.metadata) == old


def test_new_metadata_comes_from_standard_input(ff, small, tmp_path):
    target = tmp_path / "copy.fifu"
    assert ff("metadata", small["simple"], target, "--replace", "-", stdin="a = 1").status == 0
    assert ff("metadata", target).out == "a = 1\n"


def test_metadata_that_is_not_toml_is_bad_input(ff, small, tmp_path):
    toml, target = tmp_path / "bad.toml", tmp_path / "copy.fifu"
    toml.write_text("a = ")
    result = ff("metadata", small["simple"], target, "--replace", toml)
    assert result.status == 2 and result.err.startswith(
        f"ffjax: error: {toml}: expected TOML, got a syntax error: "
    )
    assert result.err.count("\n") == 1 and not target.exists()


def test_replacing_needs_both_the_new_metadata_and_an_output(ff, small, tmp_path):
    for arguments in ([tmp_path / "x.fifu"], ["--replace", "x.toml"]):
        result = ff("metadata", small["simple"], *arguments)
        assert (
            result.status == 2
            and "expected both --replace TOML and OUTPUT, or neither" in result.err
        )


def test_repeated_words_are_counted_once(ff, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\nb 3 4\na 5 6\na 7 8\n")
    rows = dict(ff("info", path).rows)
    assert (rows["words"], rows["repeated_words"], rows["rows"], rows["norms"]) == (
        "2",
        "2",
        "2",
        "2",
    )
    path.write_text("a 1 2\nb 3 4\n")
    assert "repeated_words" not in dict(ff("info", path).rows)


@pytest.mark.parametrize("kind", ["simple", "buckets", "fasttext", "explicit"])
def test_info_is_what_loading_finds(ff, small, tmp_path, kind):
    """For finalfusion files and snapshots of the same embeddings."""
    emb = ffjax.load(small[kind])
    snapshot = tmp_path / "small.msgpack"
    ffjax.save(emb, snapshot)
    for path in (small[kind], snapshot):
        values = json.loads(ff("info", path, "--json").out)
        assert (values["words"], values["dims"], values["rows"]) == (10, 12, len(emb.storage))
        assert values["norms"] == 10 and values["metadata"] == ["corpus"]
        indexer = getattr(emb.vocab, "subword_indexer", None)
        if indexer is not None:
            assert values["ngram_lengths"] == f"{indexer.min_n} to {indexer.max_n}"
            name = "ngram_rows" if kind == "explicit" else "buckets"
            assert values[name] == indexer.upper_bound


@pytest.mark.parametrize("storage", ["opq", "int8", "pq"])
def test_info_of_a_snapshot_with_codes(ff, tmp_path, storage):
    emb = builders.embeddings("simple", storage, norms=False)
    path = tmp_path / "small.msgpack"
    ffjax.save(emb, path)
    values = json.loads(ff("info", path, "--json").out)
    assert (values["rows"], values["dims"]) == emb.storage.shape and "norms" not in values
    assert values["storage"] == ("int8" if storage == "int8" else "quantized")


def test_vectors_without_words(ff, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(2, dtype=np.float32))
    rows = dict(ff("info", tmp_path / "x.npy").rows)
    assert rows["vocabulary"] == "none in the file; name the words with --input-words"
    assert (rows["words"], rows["rows"]) == ("0", "2")
    (tmp_path / "words.txt").write_text("tea\ntime\n")
    assert dict(ff("info", tmp_path / "x.npy").rows)["words"] == "2"


def test_words_and_rows_that_differ_in_number(ff, tmp_path):
    np.savez(tmp_path / "x.npz", words=["tea", "time", "cup"], vectors=np.eye(2, dtype="f4"))
    rows = dict(ff("info", tmp_path / "x.npz").rows)
    assert (rows["words"], rows["rows"]) == ("3", "2")
    with pytest.raises(ffjax.FormatError, match="expected 2 words, one for each vector, got 3"):
        ffjax.load(tmp_path / "x.npz")
