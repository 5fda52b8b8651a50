"""Adding words."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import WORDS, embeddings
from tests.transforms.test_transforms import divided, same_ngrams


@pytest.mark.parametrize("kind", ["simple", "buckets", "explicit"])
@pytest.mark.parametrize("norms", [True, False])
def test_added_words(kind, norms):
    emb = embeddings(kind, norms=norms)
    vectors = np.random.default_rng(1).standard_normal((2, 6)).astype(np.float32)
    vectors[1] = 0
    new = ffjax.add_words(emb, ["coffee", "кофе"], vectors)
    assert new.vocab.words == [*WORDS, "coffee", "кофе"] and emb.vocab.words == WORDS
    if norms:
        vector, length = new.embedding_with_norm("coffee")
        np.testing.assert_allclose(vector * length, vectors[0], rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-6)
    else:
        np.testing.assert_array_equal(new["coffee"], vectors[0])
    assert not new["кофе"].any()
    for word in WORDS:
        np.testing.assert_array_equal(new[word], emb[word])
    same_ngrams(new, emb)
    assert new.word_similarity("teapot", k=20) is not None


@pytest.mark.parametrize("storage", ["dense", "int8"])
@pytest.mark.parametrize("vectors", [[], np.ones((0, 6), np.float32)], ids=["list", "array"])
def test_nothing_is_added(storage, vectors):
    emb = embeddings("buckets", storage, metadata={"a": 1})
    assert ffjax.add_words(emb, [], vectors) == emb


@pytest.mark.devices
@pytest.mark.parametrize("storage", ["dense", "int8"])
def test_words_are_added_to_divided_rows_as_to_those_of_one_device(storage):
    emb = embeddings("buckets", storage)
    vectors = np.random.default_rng(1).standard_normal((2, 6)).astype(np.float32)
    new = ffjax.add_words(divided(emb), ["coffee", "tea"], vectors)
    assert new == ffjax.add_words(emb, ["coffee", "tea"], vectors)
    assert type(new.storage) is type(emb.storage)


@pytest.mark.parametrize(
    ("dtype", "most", "too_large"),
    [
        ("float16", "65504", 1e6),
        ("bfloat16", "3.38953e+38", 3.4e38),
        ("float32", "3.40282e+38", 1e300),
    ],
)
def test_numbers_that_rows_cannot_hold_are_refused(dtype, most, too_large):
    emb = embeddings(norms=False)
    emb = emb.replace(storage=ffjax.NdArray(np.asarray(emb.storage).astype(jnp.dtype(dtype))))
    vectors = np.full((1, 6), 2.0)
    new = ffjax.add_words(emb, ["x"], vectors)
    assert new.storage.dtype == dtype and new["x"].astype(np.float32).tolist() == [2] * 6
    vectors[0, 2] = -too_large
    message = (
        f"`vectors`: expected numbers of at most {most}, the largest that {dtype} holds, "
        f"got {too_large:g}. Scale"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        ffjax.add_words(emb, ["x"], vectors)


def test_lengths_that_become_norms_neither_overflow_nor_vanish():
    emb = embeddings()
    new = ffjax.add_words(emb, ["long", "short"], [[1e30] * 6, [1e-30] * 6])
    for word, size in (("long", 1e30), ("short", 1e-30)):
        vector, length = new.embedding_with_norm(word)
        np.testing.assert_allclose(vector, np.full(6, 6**-0.5), rtol=1e-6)
        np.testing.assert_allclose(length, size * 6**0.5, rtol=1e-6)
    with pytest.raises(
        ValueError,
        match=r"`vectors`: expected norms of at most 3\.40282e\+38, .* got 7\.34847e\+38",
    ):
        ffjax.add_words(emb, ["x"], np.full((1, 6), 3e38))


def test_words_are_added_to_words_that_share_rows():
    new, _ = ffjax.prune(embeddings(), 4)
    more = ffjax.add_words(new, ["coffee"], np.ones((1, 6), np.float32))
    assert more.vocab["coffee"] == 4 and more.vocab.n_word_rows == 5
    np.testing.assert_array_equal(more["teapot"], new["teapot"])
