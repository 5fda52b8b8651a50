"""The embeddings inside the package."""

import runpy
import time

import numpy as np
import pytest

import ffjax


@pytest.fixture(scope="module")
def demo():
    return ffjax.demo()


def test_the_demo_is_what_it_says(demo):
    assert (demo.n_words, demo.dims) == (10_000, 100)
    assert demo.metadata["licence"] == "PDDL-1.0" and demo.metadata["dims"] == 100
    np.testing.assert_allclose(np.linalg.norm(np.asarray(demo.storage), axis=1), 1, rtol=1e-6)


def test_words_stand_in_the_order_of_their_frequency(demo):
    assert demo.vocab.words[:5] == ["the", ",", ".", "of", "to"]
    assert demo.vocab.idx("berlin") < demo.vocab.idx("frankfurt")


def test_rows_times_norms_are_the_vectors_of_glove(demo):
    """The beginning of the line `the` in glove.6B.100d.txt."""
    vector, norm = demo.embedding_with_norm("the")
    np.testing.assert_allclose(vector[:4] * norm, [-0.038194, -0.24487, 0.72812, -0.39961], rtol=1e-6)


def test_every_call_opens_it_anew(demo):
    again = ffjax.demo()
    assert again == demo and again is not demo


def test_opening_it_is_quick(demo):
    """Far above what it takes (a few milliseconds), far below what parsing text would."""
    begin = time.perf_counter()
    ffjax.demo()
    assert time.perf_counter() - begin < 1


def test_finalfusion_python_reads_the_same(demo):
    peer = pytest.importorskip("finalfusion")
    from importlib.resources import files

    theirs = peer.load_finalfusion(str(files("ffjax") / "data" / "demo.fifu"))
    assert theirs.vocab.words == demo.vocab.words and dict(theirs.metadata) == dict(demo.metadata)
    np.testing.assert_array_equal(theirs.storage, np.asarray(demo.storage))
    np.testing.assert_array_equal(theirs.norms, np.asarray(demo.norms))


def test_the_licence_comes_with_it():
    from importlib.resources import files

    assert "Public Domain Dedication and License" in (files("ffjax") / "data" / "LICENSE-GloVe.md").read_text("utf-8")


def test_the_file_is_made_from_glove_byte_for_byte(root, real_file, tmp_path):
    make = runpy.run_path(str(root / "tools" / "make_demo.py"))["make"]
    make(real_file("glove.100d.txt"), 10_000).write(tmp_path / "demo.fifu")
    assert (tmp_path / "demo.fifu").read_bytes() == (root / "ffjax" / "data" / "demo.fifu").read_bytes()
