"""Files of gensim's `save`, put together here; `test_gensim_peer` has real ones."""

import bz2
import gzip
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.vocab import simple
from tests.formats.pickles import pickle_files as files

WORDS = ["tea", "zürich", "日本", "pot"]
ROWS = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
NGRAMS = np.random.default_rng(1).standard_normal((9, 6)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.kv"


def rows_of(emb: ffjax.Embeddings) -> np.ndarray:
    return np.asarray(emb.storage)


@pytest.mark.parametrize("mmap", [False, True])
def test_words_and_rows_are_those_of_the_file(path: Path, mmap: bool) -> None:
    path.write_bytes(files.keyed_vectors(WORDS, ROWS))
    emb = ffjax.load(path, mmap=mmap)
    assert emb.vocab.words == WORDS
    assert emb.norms is None
    np.testing.assert_array_equal(rows_of(emb), ROWS)
    np.testing.assert_array_equal(emb["zürich"], ROWS[1])
    assert isinstance(emb.storage.matrix, np.memmap) == mmap
    assert ffjax.load(path, limit=2, mmap=mmap).vocab.words == WORDS[:2]


@pytest.mark.parametrize("dtype", ["<f2", "<f8", ">f4", "F"])
@pytest.mark.parametrize("mmap", [False, True])
def test_arrays_of_other_types(path: Path, dtype: str, mmap: bool) -> None:
    rows = np.asfortranarray(ROWS) if dtype == "F" else ROWS.astype(dtype)
    path.write_bytes(files.keyed_vectors(WORDS, rows))
    emb = ffjax.load(path, mmap=mmap)
    assert emb.storage.dtype == (np.float16 if dtype == "<f2" else np.float32)
    np.testing.assert_array_equal(rows_of(emb), rows.astype(emb.storage.dtype))


@pytest.mark.parametrize("mmap", [False, True])
def test_arrays_in_files_of_their_own(path: Path, mmap: bool) -> None:
    kv = files.keyed_vectors(WORDS, ROWS, __numpys=files.texts(["vectors"]))
    path.write_bytes(kv)
    np.save(f"{path}.vectors.npy", ROWS * 2)
    np.testing.assert_array_equal(rows_of(ffjax.load(path, mmap=mmap)), ROWS * 2)
    model = path.with_name("words.model")
    model.write_bytes(files.pickled(files.record("gensim.models.word2vec.Word2Vec", wv(kv))))
    with pytest.raises(ffjax.FormatError, match=r"vectors: .*words.model.wv.vectors.npy.*Move it"):
        ffjax.load(model)
    np.save(f"{model}.wv.vectors.npy", ROWS * 3)
    np.testing.assert_array_equal(rows_of(ffjax.load(model, mmap=mmap)), ROWS * 3)
    for name, compress in (("words.kv.gz", gzip.compress), ("words.kv.bz2", bz2.compress)):
        compressed = path.with_name(name)
        compressed.write_bytes(compress(kv))
        np.savez_compressed(f"{compressed}.vectors.npz", val=ROWS * 4)
        np.testing.assert_array_equal(rows_of(ffjax.load(compressed, mmap=mmap)), ROWS * 4)


@pytest.mark.parametrize("mmap", [False, True])
def test_arrays_next_to_it_in_a_folder_or_an_archive(tmp_path: Path, mmap: bool) -> None:
    kv = files.keyed_vectors(WORDS, ROWS, __numpys=files.texts(["vectors"]))
    model = files.pickled(files.record("gensim.models.word2vec.Word2Vec", wv(kv)))
    for name, data, array in (("w.kv", kv, "vectors"), ("w.model", model, "wv.vectors")):
        folder = tmp_path / f"{name}s"
        folder.mkdir()
        (folder / name).write_bytes(data)
        np.save(folder / f"{name}.{array}.npy", ROWS * 2)
        (folder / "README").touch()
        paths = [folder]
        for kind in ("zip", "tar", "gztar"):
            paths.append(Path(shutil.make_archive(str(folder), kind, tmp_path, folder.name)))
        for path in paths:
            emb = ffjax.load(path, mmap=mmap)
            np.testing.assert_array_equal(rows_of(emb), ROWS * 2)
            assert emb.vocab.words == WORDS and ffjax.load_gensim(path, limit=1).n_words == 1
            assert describe(path)["words"] == len(WORDS)
    with pytest.raises(ffjax.FormatError, match="one model with its arrays next to it, got w.kvs"):
        ffjax.load_gensim(tmp_path / "w.kvs" / "..")
    with pytest.raises(ffjax.FormatError, match="Leave out `member`, or"):
        ffjax.load(tmp_path / "w.kvs.zip", member="w.kvs/w.kv")


def wv(kv: bytes) -> bytes:
    return files.entries({"wv": kv[2:-1]})


def test_words_of_large_models_are_hashed_when_that_is_needed(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(simple, "_HASHED_WORDS", 1)
    path.write_bytes(files.keyed_vectors(WORDS, ROWS))
    emb = ffjax.load(path, mmap=True)
    assert [emb.vocab.idx(word) for word in [*WORDS, "te", "pots", ""]] == [0, 1, 2, 3, *[None] * 3]
    assert "index" not in vars(emb.vocab)
    assert emb.vocab == ffjax.SimpleVocab(WORDS)
    assert "index" in vars(emb.vocab)
    assert [emb.vocab.idx(word) for word in WORDS] == [0, 1, 2, 3]
    with pytest.raises(AttributeError, match="'SimpleVocab' object has no attribute 'indices'"):
        _ = emb.vocab.indices
    for words in ([*"abca"], [*"ab", "", ""], ["x", *["zürich" * 60] * 2, "y"]):
        path.write_bytes(files.keyed_vectors(words, ROWS))
        with pytest.raises(ffjax.FormatError, match="words: expected each word once, got"):
            ffjax.load(path)
    path.write_bytes(files.keyed_vectors(["a", "a\0", "b", "b\0"], ROWS))  # with equal hashes
    assert ffjax.load(path).vocab.words == ["a", "a\0", "b", "b\0"]


def test_files_next_to_a_descriptor_are_unknown(path: Path) -> None:
    path.write_bytes(files.keyed_vectors(WORDS, ROWS, __numpys=files.texts(["vectors"])))
    with pytest.raises(ffjax.FormatError, match="give the path"):
        ffjax.load(os.open(path, os.O_RDONLY))


@pytest.mark.parametrize("mmap", [False, True])
def test_fasttext_composes_known_and_unknown_words(path: Path, mmap: bool) -> None:
    path.write_bytes(files.fasttext(["tea", "</s>"], ROWS[:2], NGRAMS))
    emb = ffjax.load(path, mmap=mmap)
    for word, word_row in (("tea", ROWS[:1]), ("</s>", ROWS[1:2]), ("teas", ROWS[:0])):
        ids = emb.vocab.subword_indexer.subword_indices(word)
        assert ids  # `</s>` too
        mean = np.concatenate([word_row, NGRAMS[ids]]).mean(axis=0)
        vector, norm = emb.embedding_with_norm(word)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), rtol=1e-5, atol=1e-7)
        if len(word_row):
            np.testing.assert_allclose(norm, np.linalg.norm(mean), rtol=1e-5)


def test_fasttext_with_rows_for_some_buckets(path: Path) -> None:
    pairs = {0: 3, 1: 5, 2: 8}
    numbers = b"".join(files.whole(bucket) + files.whole(row) for row, bucket in pairs.items())
    more = {"bucket": files.whole(9), "hash2index": b"}(" + numbers + b"u"}
    path.write_bytes(files.fasttext(["tea"], ROWS[:1], NGRAMS[:3], **more))
    emb = ffjax.load(path)
    assert emb.vocab.subword_indexer.kept_buckets.tolist() == [3, 5, 8]
    path.write_bytes(files.fasttext(["tea"], ROWS[:1], NGRAMS[:3], bucket=files.whole(9)))
    with pytest.raises(ffjax.FormatError, match="vectors_ngrams: expected 9 rows"):
        ffjax.load(path)


def test_fasttext_without_ngrams_is_a_plain_vocabulary(path: Path) -> None:
    path.write_bytes(files.fasttext(["tea"], ROWS[:1], NGRAMS[:0]))
    emb = ffjax.load(path)
    assert type(emb.vocab) is ffjax.SimpleVocab
    np.testing.assert_array_equal(rows_of(emb), ROWS[:1])


def test_older_names(path: Path) -> None:
    old = {"index2word": files.texts(WORDS), "syn0": files.array(ROWS, "numpy.core.multiarray")}
    state = files.entries({"min_alpha": b"G" + bytes(8), **old})
    path.write_bytes(files.pickled(files.record("gensim.models.word2vec.Word2Vec", state)))
    emb = ffjax.load(path)
    assert emb.vocab.words == WORDS
    np.testing.assert_array_equal(rows_of(emb), ROWS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (files.pickled(files.texts(["tea"])), "object: expected a gensim model .* got `list`"),
        (
            files.pickled(files.record("gensim.models.phrases.Phrases", files.entries({}))),
            r"expected a model with word vectors \(`index_to_key`\), got `gensim.models.phrases",
        ),
        (
            files.pickled(files.record("builtins.object", files.entries({}))),
            "expected a gensim model",
        ),
        (files.keyed_vectors(WORDS, ROWS[:3]), "vectors: expected 4 rows, one for .* got 3"),
        (files.keyed_vectors(WORDS, ROWS[0]), "vectors: expected an array of 2 dimensions"),
        (files.keyed_vectors(WORDS, ROWS.view(np.int32)), "vectors: expected floats of"),
        (files.keyed_vectors(WORDS, ROWS, vectors=b"N"), "vectors: expected an array, got none"),
        (files.keyed_vectors([*"abca"], ROWS), "words: expected each word once"),
        (files.keyed_vectors([*"ab\ud800c"], ROWS), "word 2: expected UTF-8, got"),
        (
            files.keyed_vectors(WORDS, ROWS, index_to_key=b"](NNNNe"),
            "words: expected words that are text, got NoneType as number 0",
        ),
        (
            files.keyed_vectors(WORDS, ROWS, index_to_key=b"N"),
            "index_to_key: expected a list of words",
        ),
        (
            files.fasttext(WORDS, ROWS, NGRAMS, compatible_hash=b"\x89"),
            "compatible_hash: expected True, .* Train it again",
        ),
        (files.fasttext(WORDS, ROWS, NGRAMS, max_n=b"N"), "max_n: expected a whole number"),
        (files.keyed_vectors(WORDS, ROWS) + b"x", "expected the end of the file"),
        (
            files.keyed_vectors(WORDS, ROWS, hashfxn=files.name("__main__.my_hash")),
            "got `__main__.my_hash`. Pickles are read as data.*`model.wv.save",
        ),
    ],
)
def test_errors_say_where_and_what(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    with pytest.raises(ffjax.FormatError, match=message) as info:
        ffjax.load(path)
    assert info.value.offset is not None
    assert info.value.file == path


def test_lossy_replaces_lone_surrogates(path: Path) -> None:
    path.write_bytes(files.keyed_vectors([*"ab\ud800c"], ROWS))
    assert ffjax.load(path, lossy=True).vocab.words[2].startswith("\ufffd")


def test_every_truncation_is_an_error(path: Path) -> None:
    data = files.fasttext(["tea", "é"], ROWS[:2, :1], NGRAMS[:, :1])
    for size in range(2, len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ffjax.FormatError, match="words.kv: byte"):
            ffjax.load_gensim(path)


def test_changed_bytes_are_an_error_or_other_embeddings(path: Path) -> None:
    data = files.keyed_vectors(["tea", "é"], ROWS[:2, :1])
    for position in range(2, len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            emb = ffjax.load_gensim(path)
        except ffjax.FormatError:
            continue
        assert emb.storage.shape[0] == len(emb.vocab) == 2


def test_changed_files_next_to_it(path: Path) -> None:
    path.write_bytes(files.keyed_vectors(WORDS, ROWS, __numpys=files.texts(["vectors"])))
    array = path.with_name("words.kv.vectors.npy")
    for rows in (ROWS[0], ROWS.astype(int), ROWS.astype(object)):
        np.save(array, rows)
        with pytest.raises(ffjax.FormatError, match=re.escape(f"{array}: ")):
            ffjax.load(path)
    np.save(array, ROWS)
    array.write_bytes(array.read_bytes()[:-1])
    with pytest.raises(ffjax.FormatError, match="before the end"):
        ffjax.load(path)


def test_readers_of_other_formats_name_this_one(path: Path) -> None:
    path.write_bytes(files.keyed_vectors(WORDS, ROWS))
    with pytest.raises(ffjax.FormatError, match="got a pickle.*`ffjax.load_gensim` reads it"):
        ffjax.load_fasttext(path)
    with pytest.raises(ValueError, match="`format`: expected a format that is written"):
        ffjax.save(ffjax.load(path), path, format="gensim")


def test_convert_keeps_the_rows(path: Path) -> None:
    path.write_bytes(files.keyed_vectors(WORDS, ROWS))
    target = path.with_name("words.w2v")
    assert ffjax.convert(path, target) == ()
    assert target.read_bytes().count(ROWS[2].tobytes()) == 1
    target = path.with_name("words.fifu")
    ffjax.convert(path, target, limit=3)
    np.testing.assert_array_equal(rows_of(ffjax.load(target)), ROWS[:3])


def test_homemade_pickles_say_what_to_make_of_them(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + files.entries({"tea": files.whole(1)}) + b".")
    with pytest.raises(ffjax.FormatError, match=r"`dict`. .*from_vectors\(list\(d\), list"):
        ffjax.load(path)
    path.write_bytes(b"\x80\x02" + files.texts(["tea"]) + files.whole(1) + b"\x86.")
    with pytest.raises(ffjax.FormatError, match=r"`tuple`. .*from_vectors\(words, matrix\)"):
        ffjax.load(path)
    path.write_bytes(b"\x80\x04\x95" + (1000).to_bytes(8, "little") + b"}.")
    with pytest.raises(ffjax.FormatError, match="incomplete: copy or download it again"):
        ffjax.load(path)
