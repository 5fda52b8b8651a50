"""One very long word takes little memory, and has the vector that all of its n-grams give."""

import tracemalloc

import numpy as np
import pytest

import ffjax
from tests import builders

SUBWORDS = [kind for kind in builders.VOCABS if kind != "simple"]


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize("length", [255, 256, 257, 20_000])
def test_the_vector_is_that_of_all_ngrams(kind, length):
    emb = builders.embeddings(kind)
    word = ("Berlin and Zürich " * (length // 18 + 1))[:length]
    total = emb.storage.embedding(emb.vocab.subword_rows(word)).sum(0, dtype=np.float64)
    np.testing.assert_allclose(emb[word], total / np.linalg.norm(total), atol=1e-5)
    np.testing.assert_array_equal(emb.embedding(word), emb[word])


def test_a_long_word_without_ngrams_has_no_vector():
    emb = builders.embeddings("simple")
    with pytest.raises(KeyError, match="has no n-grams with rows"):
        emb["x" * 1000]
    assert emb.embedding("x" * 1000) is None


def test_memory_of_a_word_of_a_megabyte():
    vocab = ffjax.FinalfusionBucketVocab(["tea"], ffjax.FinalfusionHashIndexer(6))
    emb = ffjax.Embeddings(builders.storage(vocab.upper_bound, 64), vocab)
    word = "abcdefgh" * (1 << 17)
    _ = emb["tea"], emb["coffee"]
    tracemalloc.start()
    vector = emb[word]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-5)
    # Four million rows of 256 bytes would be a gigabyte, their ids alone 32 MB.
    assert most < 16 << 20
