"""One very long word takes little memory, and has the vector that all of its n-grams give."""

import tracemalloc

import numpy as np
import pytest

import ffjax
from ffjax.embeddings import batch_lookup
from ffjax.strings.codec import decode_word
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


@pytest.fixture
def programs(monkeypatch):
    """The shapes of batches that go through compiled code."""
    shapes = []
    embed = batch_lookup.oov_vectors

    def spied(storage, vocab, strings, unnormalize):
        shapes.append(strings.bytes.shape)
        return embed(storage, vocab, strings, unnormalize)

    monkeypatch.setenv("FFJAX_COMPILE", "always")
    monkeypatch.setattr(batch_lookup, "oov_vectors", spied)
    return shapes


def words_of(length, number):
    return [f"{i} Zürich{'tea' * 400}".encode()[: length - 1] + b"x" for i in range(number)]


@pytest.mark.parametrize(("kind", "unnormalize"), [("buckets", False), ("floret", True)])
def test_unknown_words_share_blocks_with_those_of_like_lengths(kind, unnormalize, programs):
    emb = builders.embeddings(kind)
    words = [b"unknowable", b"b" * 64]
    words += words_of(300, 3) + words_of(70, 300) + words_of(1024, 1) + words_of(1500, 2)
    vectors, found = batch_lookup.embed_words(emb, words, unnormalize=unnormalize)
    # A batch for each width of short words, two of 300 words of 70 bytes, none of six long words.
    assert programs == [(1024, 16), (1024, 64), (256, 256), (256, 256)]
    assert found.all()
    for i in [*range(8), 200, 304, 305, 306, 307]:
        rows = emb.storage.embedding(emb.vocab.subword_rows(decode_word(words[i])))
        total = rows.sum(0, dtype=np.float64)
        expected = total / (len(rows) if unnormalize else np.linalg.norm(total))
        np.testing.assert_allclose(vectors[i], expected, atol=1e-6)


def test_a_long_word_leaves_the_others_of_its_batch_as_they_are(programs):
    emb = builders.embeddings("buckets")
    short = [f"unknown{i}" for i in range(900)]
    alone, _ = emb.embedding_batch(short)
    vectors, found = emb.embedding_batch([*short, "x" * 70])
    np.testing.assert_allclose(vectors[:-1], alone, atol=1e-6)
    np.testing.assert_allclose(vectors[-1], emb["x" * 70], atol=1e-6)
    assert found.all() and programs == [(1024, 16), (1024, 16)]


def test_many_words_of_a_kilobyte_go_through_compiled_code(programs):
    emb = builders.embeddings("buckets")
    words = words_of(1024, 256)
    vectors, found = emb.embedding_batch(words)
    assert found.all() and programs == [(256, 1024)]
    np.testing.assert_allclose(vectors[77], emb[decode_word(words[77])], atol=2e-6)


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


def test_unknown_words_take_little_memory_besides_their_vectors(monkeypatch):
    monkeypatch.setenv("FFJAX_COMPILE", "never")
    vocab = builders.vocab("buckets")
    emb = ffjax.Embeddings(builders.storage(vocab.upper_bound, 256), vocab)
    words = [f"word{i}" for i in range(16_000)]
    for unnormalize in (False, True):
        batch_lookup.embed_words(emb, words[:10], unnormalize=unnormalize)
        tracemalloc.start()
        vectors, found = batch_lookup.embed_words(emb, words, unnormalize=unnormalize)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.all() and peak < vectors.nbytes + 16e6
