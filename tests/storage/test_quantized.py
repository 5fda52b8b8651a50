"""Codes: gradients to what they stand for, and vectors on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import ffjax
from tests.builders import WORDS, embeddings, pq

KNOWN, UNKNOWN = ["Paris", "a", "крот", "Paris"], ["Pariser", "teapots"]


def rebuilt(emb, books, projection, norms):
    """Embeddings with other numbers in their places, without a copy, so that they may be traced."""
    arrays = {"subquantizers": books, "projection": projection, "norms": norms}
    paths, tree = jax.tree_util.tree_flatten_with_path(emb)
    return jax.tree.unflatten(tree, [arrays.get(path[-1].name, leaf) for path, leaf in paths])


@pytest.mark.parametrize(("kind", "unnormalize"), [("pq", True), ("opq", False), ("pq_norms", False)])
def test_gradients_are_finite_differences(kind, unnormalize):
    emb = embeddings("buckets", kind, norms=False)
    storage, strings = emb.storage, ffjax.pack(KNOWN + UNKNOWN)
    arrays = {"books": storage.codebooks, "projection": storage.projection, "norms": storage.norms}
    given = {name: jnp.asarray(array) for name, array in arrays.items() if array is not None}
    weights = jnp.asarray(np.random.default_rng(0).standard_normal((len(strings), 6)), jnp.float32)
    rows = ffjax.encode(emb.vocab, strings)

    def embedded(given):
        changed = rebuilt(emb, **{**arrays, **given})
        return (ffjax.embed(changed, strings, unnormalize=unnormalize)[0] * weights).sum()

    def looked_up(given):
        changed = rebuilt(emb, **{**arrays, **given})
        return (ffjax.lookup(changed, rows, unnormalize=unnormalize) * weights).sum()

    for function in (embedded, looked_up):
        check_grads(function, (given,), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)
        eager, jitted = jax.grad(function)(given), jax.jit(jax.grad(function))(given)
        for name, gradient in eager.items():
            assert np.abs(gradient).max() > 0.1
            np.testing.assert_allclose(jitted[name], gradient, atol=1e-5)


@pytest.mark.parametrize("kind", ["opq", "pq_norms"])
def test_gradients_under_vmap(kind):
    emb = embeddings("buckets", kind, norms=False)
    strings = ffjax.pack(KNOWN + UNKNOWN, count=8)

    def total(books, word, length):
        changed = rebuilt(emb, books, emb.storage.projection, emb.storage.norms)
        return ffjax.embed(changed, ffjax.Strings(word[None], length[None]))[0].sum()

    gradient = jax.grad(total)
    books, words, lengths = jnp.asarray(emb.storage.codebooks), jnp.asarray(strings.bytes), jnp.asarray(strings.lengths)
    together = jax.vmap(gradient, in_axes=(None, 0, 0))(books, words, lengths)
    alone = jnp.stack([gradient(books, word, length) for word, length in zip(words, lengths, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together[: len(KNOWN + UNKNOWN)]).max(axis=(1, 2, 3)).min() > 0


@pytest.mark.parametrize("kind", ["simple", "buckets"])
@pytest.mark.parametrize("storage", ["pq", "opq", "pq_norms"])
def test_many_words_on_the_host_are_those_of_compiled_code(kind, storage):
    emb = embeddings(kind, storage)
    words = [*WORDS, "blorp", "Paris"]
    expected, found = ffjax.embed(emb, ffjax.pack(words))
    vectors, also = emb.embedding_batch(words)
    np.testing.assert_allclose(vectors, expected[: len(words)], atol=1e-6)
    np.testing.assert_array_equal(also, found[: len(words)])


@pytest.mark.parametrize("projection", [False, True])
def test_many_codes_are_decoded_as_few_are(projection):
    quantizer = pq(6, projection=projection)
    codes = np.random.default_rng(0).integers(0, 8, (100_003, 3)).astype(np.uint8)
    whole = quantizer.reconstruct(codes)
    books = np.asarray(quantizer.subquantizers)[np.arange(3), codes].reshape(-1, 6)
    expected = books if quantizer.projection is None else books @ np.asarray(quantizer.projection).T
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    out = np.zeros((6, 100_003), np.float32).T  # rows are not contiguous
    assert quantizer.reconstruct(codes, out=out) is out
    np.testing.assert_array_equal(out, whole)


def test_fewer_dimensions_than_the_centroids_have():
    books = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    quantizer = ffjax.PQ(books, dims=5)
    codes = np.array([[0, 1], [1, 0]], np.uint8)
    assert quantizer.reconstruct(codes).tolist() == [[0, 1, 2, 9, 10], [3, 4, 5, 6, 7]]
    assert quantizer.reconstruct(codes[0]).tolist() == [0, 1, 2, 9, 10]
    stored = ffjax.QuantizedArray(quantizer, codes)
    found = ffjax.top_k(stored, np.ones((1, 5), np.float32), 2)
    assert (found.rows.tolist(), found.scores.tolist()) == ([[1, 0]], [[25, 22]])


@pytest.mark.parametrize("code", [8, -1])
def test_a_code_without_a_centroid(code):
    with pytest.raises(IndexError, match="`quantized`: expected codes from 0 to 7, got"):
        pq(6).reconstruct(np.array([0, code, 1]))
