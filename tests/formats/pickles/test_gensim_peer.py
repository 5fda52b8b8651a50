"""gensim's own test files of all generations, and files that gensim writes, beside gensim."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffjax

gensim = pytest.importorskip("gensim")
DATA = Path(gensim.__file__).parent / "test" / "test_data"
OLD = ["word2vec_old", "word2vec_old_sep", "word2vec_3.3", "old_keyedvectors_320.dat"]
OLD += ["w2v-lee-v0.12.0", "model-from-gensim-3.8.0.w2v"]
OLD += [f"word2vec_pre_kv_{name}" for name in ("py2", "py3", "py3_4", "sep_py2", "sep_py3")]
OLD += sorted(f"old_w2v_models/{path.name}" for path in (DATA / "old_w2v_models").iterdir())
# gensim itself no longer opens these.
DOC2VEC = ["d2v-lee-v0.13.0", "doc2vec_old", "doc2vec_old_sep", "small_tag_doc_5_iter50"]
DOC2VEC += sorted(f"old_d2v_models/{path.name}" for path in (DATA / "old_d2v_models").iterdir())
REFUSED = ["fasttext_old", "ft_kv_3.6.0.model.gz", "ft_model_2.3.0", "lee_fasttext"]
SENTENCES = [["tea", "coffee", "zürich", "</s>", "日本語", "a"], ["tea", "pot", "naïve"]] * 20
UNKNOWN = ["teas", "zür", "日本", "x", "</s"]


def sized(names: list[str]) -> list[Any]:
    """Large models run with the exhaustive tests."""
    large = [name for name in names if (DATA / name).stat().st_size > 1 << 17]
    small = [name for name in names if name not in large]
    return small + [pytest.param(name, marks=pytest.mark.exhaustive) for name in large]


def words_and_rows(path: Path) -> tuple[list[str], np.ndarray]:
    """What gensim reads, before it is brought up to date."""
    model = gensim.utils.unpickle(str(path))
    state = vars(getattr(model, "wv", model))
    words = state.get("index_to_key", state.get("index2word"))
    rows = state.get("vectors", state.get("syn0"))
    return words, np.load(f"{path}.syn0.npy") if rows is None else rows


@pytest.mark.parametrize("name", sized(OLD))
def test_models_of_all_generations(name: str) -> None:
    words, rows = words_and_rows(DATA / name)
    for mmap in (False, True):
        emb = ffjax.load(DATA / name, mmap=mmap)
        assert emb.vocab.words == words
        np.testing.assert_array_equal(np.asarray(emb.storage), rows)


@pytest.mark.parametrize("name", sized(DOC2VEC))
def test_word_vectors_of_doc2vec(name: str, monkeypatch) -> None:
    monkeypatch.setattr("gensim.models.doc2vec.DocvecsArray", type("A", (), {}), raising=False)
    words, rows = words_and_rows(DATA / name)
    emb = ffjax.load(DATA / name)
    assert emb.vocab.words == words
    np.testing.assert_array_equal(np.asarray(emb.storage), rows)


@pytest.mark.parametrize("name", sized(REFUSED))
def test_fasttext_models_with_other_hashes_are_refused(name: str) -> None:
    with pytest.raises(ffjax.FormatError, match="compatible_hash: expected True, as from gensim 3"):
        ffjax.load(DATA / name)


def test_a_fasttext_model_with_rows_for_some_buckets() -> None:
    theirs = gensim.models.FastText.load(str(DATA / "compatible-hash-true.model")).wv
    for mmap in (False, True):
        emb = ffjax.load(DATA / "compatible-hash-true.model", mmap=mmap)
        same_vectors(emb, theirs, theirs.index_to_key)


@pytest.fixture(scope="module")
def fasttext(tmp_path_factory) -> tuple[Path, Any]:
    settings = {"vector_size": 8, "min_count": 1, "bucket": 50, "min_n": 1, "max_n": 4}
    model = gensim.models.FastText(SENTENCES, epochs=1, **settings)
    path = tmp_path_factory.mktemp("fasttext") / "ft.model"
    model.save(str(path))
    model.save(f"{path}.apart", sep_limit=20)
    model.save(f"{path}.gz", sep_limit=20)
    model.wv.save(f"{path}.kv")
    return path, model.wv


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("ending", ["", ".apart", ".gz", ".kv"])
def test_fasttext_answers_for_known_and_unknown_words(fasttext, ending: str, mmap: bool) -> None:
    path, theirs = fasttext
    emb = ffjax.load(f"{path}{ending}", mmap=mmap)
    assert emb.vocab.words == theirs.index_to_key
    same_vectors(emb, theirs, theirs.index_to_key + UNKNOWN)


def same_vectors(emb: ffjax.Embeddings, theirs: Any, words: list[str]) -> None:
    for word in words:
        vector, norm = emb.embedding_with_norm(word)
        expected = theirs[word]
        if word not in theirs.key_to_index:
            norm = np.linalg.norm(expected)  # ours are sums at unit length
        np.testing.assert_allclose(vector * norm, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    words = [f"word {i} \u350c{'x' * (i % 300)}" for i in range(2500)]
    vectors = gensim.models.KeyedVectors(3)
    vectors.add_vectors(words, np.random.default_rng(0).random((2500, 3), np.float32))
    vectors.save(str(tmp_path / "words.kv"), pickle_protocol=protocol)
    for mmap in (False, True):
        emb = ffjax.load(tmp_path / "words.kv", mmap=mmap)
        assert emb.vocab.words == words
        for word in words[::100]:
            np.testing.assert_array_equal(emb[word], vectors[word])


def test_no_pickle_of_gensims_raises_anything_else() -> None:
    for folder, _, names in os.walk(DATA):
        for name in names:
            path = Path(folder, name)
            if path.read_bytes()[:1] == b"\x80" and path.stat().st_size < 1 << 14:
                try:
                    ffjax.load(path)
                except ffjax.FormatError as error:
                    assert error.offset is not None
