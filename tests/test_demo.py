"""The embeddings inside the package."""

import runpy
import time
from importlib.resources import files

import numpy as np
import pytest

import ffjax

FILE = files("ffjax") / "data" / "demo.fifu"
UNKNOWN = ["microbiologists", "berlinish", "skateboarders", "blorp"]


@pytest.fixture(scope="module")
def demo():
    return ffjax.demo()


@pytest.fixture(scope="module")
def tool(root):
    """The names of the script that makes the file."""
    return runpy.run_path(str(root / "tools" / "make_demo.py"))


@pytest.fixture(scope="module")
def glove(real_file, tool):
    return ffjax.load(real_file("glove.100d.txt"), limit=tool["LINES"])


def recall_at_10(rows, originals, words):
    """The share of the ten nearest rows by the cosine that stay, with NumPy alone."""

    def nearest(matrix, queries):
        unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        scores = queries @ unit.T
        scores[np.arange(len(words)), words] = -np.inf
        return np.argpartition(scores, -10, axis=1)[:, -10:]

    before, after = nearest(originals, originals[words]), nearest(rows, originals[words])
    return np.mean(
        [len(set(a) & set(b)) / 10 for a, b in zip(before.tolist(), after.tolist(), strict=True)]
    )


def test_the_demo_fits_its_metadata(demo):
    assert (demo.n_words, demo.dims) == (40_000, 100)
    assert demo.metadata["licence"] == "PDDL-1.0" and demo.metadata["dims"] == 100
    assert isinstance(demo.storage, ffjax.QuantizedArray) and demo.storage.projection is not None
    rows = np.asarray(demo.storage)[: demo.n_words]
    # Codes change lengths a little: measured 0.930 to 1.040, on average 0.997.
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=0.08)
    assert lengths.mean() == pytest.approx(0.997, abs=1e-3)


def test_it_is_small():
    assert len(FILE.read_bytes()) < 3_000_000


def test_words_are_ordered_by_frequency(demo):
    assert demo.vocab.words[:5] == ["the", ",", ".", "of", "to"]
    assert demo.vocab.idx("berlin") < demo.vocab.idx("frankfurt")


def test_rows_times_norms_are_near_the_vectors_of_glove(demo):
    """The start of the line `the` in glove.6B.100d.txt. The norm is 5.8; the error was 0.068."""
    vector, norm = demo.embedding_with_norm("the")
    np.testing.assert_allclose(
        vector[:4] * norm, [-0.038194, -0.24487, 0.72812, -0.39961], atol=0.08
    )


def test_unknown_words_have_vectors_if_an_ngram_is_known(demo):
    assert not any(word in demo for word in [*UNKNOWN, "12345"])
    best = {word: [result.word for result in demo.word_similarity(word, k=5)] for word in UNKNOWN}
    assert "biologists" in best["microbiologists"] and "skaters" in best["skateboarders"]
    assert demo.embedding("12345") is None


def test_every_call_opens_it_again(demo):
    again = ffjax.demo()
    assert again == demo and again is not demo


def test_opening_it_is_quick(demo):
    """Far above what it takes (a few milliseconds), far below what parsing text would."""
    begin = time.process_time()
    ffjax.demo()
    assert time.process_time() - begin < 1


def test_finalfusion_python_reads_the_same(demo):
    peer = pytest.importorskip("finalfusion")
    theirs = peer.load_finalfusion(str(FILE))
    assert theirs.vocab.words == demo.vocab.words and dict(theirs.metadata) == dict(demo.metadata)
    np.testing.assert_allclose(theirs.storage[:], np.asarray(demo.storage), atol=1e-6)
    np.testing.assert_array_equal(theirs.norms, np.asarray(demo.norms))
    for word in ("berlin", *UNKNOWN):
        np.testing.assert_allclose(theirs[word], demo[word], atol=2e-6, err_msg=word)
    assert theirs.embedding("12345") is None


def test_the_licence_comes_with_it():
    assert "Public Domain Dedication and License" in (
        files("ffjax") / "data" / "LICENSE-GloVe.md"
    ).read_text("utf-8")


@pytest.mark.exhaustive
def test_its_quality_is_what_the_metadata_says(demo, glove, tool):
    """Once more, against GloVe's own vectors."""
    n, quality = demo.n_words, demo.metadata["quality"]
    assert demo.vocab.words == glove.vocab.words[:n]
    np.testing.assert_array_equal(np.asarray(demo.norms), np.asarray(glove.norms)[:n])
    originals, rows = np.asarray(glove.storage), np.asarray(demo.storage)[:n]
    recall = recall_at_10(rows, originals[:n], np.arange(0, n, tool["QUERY_INTERVAL"]))
    assert recall == pytest.approx(quality["recall_at_10"], abs=1e-3) and recall > 0.9
    lengths = np.linalg.norm(rows, axis=1)
    cosine = ((rows * originals[:n]).sum(1) / lengths).mean()
    assert cosine == pytest.approx(quality["mean_cosine"], abs=1e-4)
    unknown = np.arange(n, len(originals), tool["TEST_INTERVAL"])
    vectors, found = demo.embedding_batch([glove.vocab.words[row] for row in unknown])
    assert found.mean() > 0.95  # a word without a known n-gram gets zeros, and so counts as 0
    cosine = (vectors * originals[unknown]).sum(1).mean()
    assert cosine == pytest.approx(quality["unknown_mean_cosine"], abs=1e-3)


@pytest.mark.exhaustive
def test_the_script_makes_a_file_as_good(demo, real_file, tool):
    """With a fifth of the steps. Codebooks may differ by JAX release and machine."""
    again = tool["make"](real_file("glove.100d.txt"), iterations=10)
    assert again.vocab.words == demo.vocab.words
    both = {*again.vocab.subword_indexer.ngrams} & {*demo.vocab.subword_indexer.ngrams}
    assert len(both) > 0.99 * tool["NGRAMS"]
    for name, value in demo.metadata["quality"].items():
        assert again.metadata["quality"][name] == pytest.approx(value, abs=0.02)
