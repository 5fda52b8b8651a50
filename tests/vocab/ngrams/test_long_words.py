"""Long words on the host: their n-grams in chunks are those of the word, in bounded memory."""

import tracemalloc

import numpy as np
import pytest

import ffjax
from ffjax.kernels import ngrams_numpy
from ffjax.strings.codec import decode_word
from tests import builders
from tests.vocab.ngrams.words import INVALID, SPECIAL

INDEXERS = [
    ffjax.FinalfusionHashIndexer(21, 3, 6),
    ffjax.FinalfusionHashIndexer(40, 1, 1),
    ffjax.FastTextIndexer(1000, 1, 5, skip_edge_unigrams=True),
    ffjax.FastTextIndexer(1000, 7, 7, bare_eos=True),
    ffjax.FastTextIndexer(1000, 1, 1, skip_edge_unigrams=True),
    ffjax.FastTextIndexer(1000, 20, 21),
    ffjax.FastTextIndexer(
        1000, 1, 200, skip_edge_unigrams=True
    ),  # longer than pieces: those are lengthened
    ffjax.FloretIndexer(999_983, 1, 4, 3),
    ffjax.FloretIndexer(1000, 3, 6, 2),
    ffjax.PrunedIndexer(
        ffjax.FastTextIndexer(37, 1, 4, skip_edge_unigrams=True), list(range(0, 37, 2))
    ),
    builders.vocab("explicit").subword_indexer,
]
# Valid and invalid text; signs that are no words inside of a longer one; n-grams that tables hold.
PARTS = [
    *(word.encode() for word in SPECIAL),
    *INVALID,
    b"<</s>>",
    *(f"<{w}>".encode() for w in builders.WORDS),
]


# Checks of annotations would take most of the time; the next test makes the same calls.
@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize("indexer", INDEXERS, ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_the_whole(monkeypatch, indexer, seed):
    rng = np.random.default_rng(seed)
    text = decode_word(b"<" + b"".join(PARTS[i] for i in rng.integers(0, len(PARTS), 60)) + b">")
    expected = indexer.marked_ids(text)
    monkeypatch.setattr(ngrams_numpy, "CHUNK", 16)
    found = list(indexer.marked_id_chunks(text))
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert len(found) > (5 if indexer.max_n < 100 else 1)


@pytest.mark.parametrize("length", range(28, 36))
@pytest.mark.parametrize("indexer", INDEXERS, ids=repr)
def test_words_of_about_two_pieces(monkeypatch, indexer, length):
    text = "<" + "teapoté"[:6] * 6 + ">"
    text = text[:length]
    expected = indexer.marked_ids(text)
    monkeypatch.setattr(ngrams_numpy, "CHUNK", 16)
    monkeypatch.setattr(ngrams_numpy, "_SHORT", 0)
    np.testing.assert_array_equal(np.concatenate(list(indexer.marked_id_chunks(text))), expected)


def traced_peak(run):
    tracemalloc.start()
    try:
        return run(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Measured: 3.1, 11.1, 7.6 and 16 MB. Lists of all n-grams would take 100 MB and more for the long
# words, and 50 MB for those of 200 kB.
@pytest.mark.parametrize(
    ("kind", "size", "most"),
    [
        ("buckets", 10**6, 4.2e6),
        ("fasttext", 10**6, 15e6),
        ("explicit", 2e5, 10e6),
        ("floret", 2e5, 21e6),
    ],
)
def test_ngrams_of_a_long_word_take_bounded_memory(kind, size, most):
    emb = builders.embeddings(kind)
    word = "teapot Berlin " * int(size / 14)
    count, peak = traced_peak(lambda: sum(len(rows) for rows in emb.vocab.subword_row_chunks(word)))
    assert count > size
    assert peak < most


def test_one_word_of_a_megabyte_in_a_list_takes_bounded_memory():
    emb = builders.embeddings("fasttext")
    words = ["Paris", "Berlin"] * 50_000
    words[77_777] = "teapot berlin " * 75_000
    emb.embedding_batch(words)  # what compiling takes is no part of it
    (vectors, found), peak = traced_peak(lambda: emb.embedding_batch(words))
    assert found.all()
    np.testing.assert_allclose(np.linalg.norm(vectors[77_777]), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[:2], emb.storage.matrix[:2])
    assert peak < 32e6  # measured: 24 MB, of which the vectors of 100,000 words are 2.4
