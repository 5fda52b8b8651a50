"""Codes: gradients to what they stand for, and vectors on the host."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import ffjax
from tests.builders import WORDS, cases, embeddings, pq

KNOWN, UNKNOWN = ["Paris", "a", "крот", "Paris"], ["Pariser", "teapots"]


def rebuilt(emb, books, projection, norms):
    """Embeddings with other arrays, which may be traced."""
    arrays = {"codebooks": books, "projection": projection, "norms": norms}
    paths, tree = jax.tree_util.tree_flatten_with_path(emb)
    return jax.tree.unflatten(tree, [arrays.get(path[-1].name, leaf) for path, leaf in paths])


def losses(kind, unnormalize):
    """Losses of the quantizer's arrays, through `embed` and through `lookup`, and those arrays."""
    emb = embeddings("buckets", kind, norms=False)
    storage, strings = emb.storage, ffjax.pack(KNOWN + UNKNOWN)
    arrays = {
        "books": storage.codebooks,
        "projection": storage.projection,
        "norms": storage.norms,
    }
    learned = {name: jnp.asarray(array) for name, array in arrays.items() if array is not None}
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.standard_normal((len(strings), 6)), jnp.float32)
    rows = ffjax.encode(emb.vocab, strings)

    def embedded(learned):
        changed = rebuilt(emb, **{**arrays, **learned})
        return (ffjax.embed(changed, strings, unnormalize=unnormalize)[0] * weights).sum()

    def looked_up(learned):
        changed = rebuilt(emb, **{**arrays, **learned})
        return (ffjax.lookup(changed, rows, unnormalize=unnormalize) * weights).sum()

    return {"embed": embedded, "lookup": looked_up}, learned


@pytest.mark.parametrize(
    "case",
    cases(
        ["pq lookup", "opq lookup", "opq embed", "pq_norms lookup"],
        exhaustive=["pq embed", "pq_norms embed"],
    ),
)
def test_gradients_are_finite_differences(case):
    kind, name = case.split()
    functions, learned = losses(kind, unnormalize=kind == "pq")
    function = jax.jit(functions[name])
    check_grads(function, (learned,), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)
    for gradient in jax.grad(function)(learned).values():
        assert np.abs(gradient).max() > 0.1


@pytest.mark.parametrize("name", ["embed", "lookup"])
def test_gradients_in_jit(name):
    functions, learned = losses("opq", unnormalize=False)
    function = functions[name]
    eager, jitted = jax.grad(function)(learned), jax.jit(jax.grad(function))(learned)
    for array, gradient in eager.items():
        np.testing.assert_allclose(jitted[array], gradient, atol=1e-5)


@pytest.mark.parametrize("kind", cases(["opq"], exhaustive=["pq_norms"]))
def test_gradients_under_vmap(kind):
    emb = embeddings("buckets", kind, norms=False)
    strings = ffjax.pack(KNOWN + UNKNOWN, count=8)

    def total(books, word, length):
        changed = rebuilt(emb, books, emb.storage.projection, emb.storage.norms)
        return ffjax.embed(changed, ffjax.Strings(word[None], length[None]))[0].sum()

    gradient = jax.jit(jax.grad(total))
    books, words, lengths = (
        jnp.asarray(emb.storage.codebooks),
        np.asarray(strings.bytes),
        np.asarray(strings.lengths),
    )
    together = np.asarray(jax.vmap(gradient, in_axes=(None, 0, 0))(books, words, lengths))
    alone = np.stack(
        [gradient(books, word, length) for word, length in zip(words, lengths, strict=True)]
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together[: len(KNOWN + UNKNOWN)]).max(axis=(1, 2, 3)).min() > 0


@pytest.mark.parametrize(
    "kinds",
    cases(
        [("simple", "pq_norms"), ("buckets", "opq")],
        exhaustive=product(["simple", "buckets"], ["pq", "opq", "pq_norms"]),
    ),
    ids="-".join,
)
def test_many_words_on_the_host_are_those_of_compiled_code(kinds):
    emb = embeddings(*kinds)
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
    books = np.asarray(quantizer.codebooks)[np.arange(3), codes].reshape(-1, 6)
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


def test_a_code_without_a_centroid_is_found_among_many_words():
    emb = ffjax.Embeddings(
        ffjax.QuantizedArray(pq(6), np.array([[0, 9, 1]], np.uint8)), ffjax.SimpleVocab(["tea"])
    )
    with pytest.raises(IndexError, match="expected codes from 0 to 7, got 0 to 9"):
        emb.embedding_batch(["tea"])


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
@pytest.mark.parametrize("projection", [False, True])
def test_codes_are_whole_numbers_of_any_type(shape, projection):
    quantizer = ffjax.PQ(pq(6).codebooks, np.eye(6, dtype=np.float32) if projection else None)
    codes = np.arange(np.prod(shape)).reshape(shape)
    for dtype in (np.uint8, np.int16, np.uint64):
        np.testing.assert_array_equal(
            quantizer.reconstruct(codes.astype(dtype)), quantizer.reconstruct(codes)
        )
    with pytest.raises(TypeError, match="`quantized`: expected whole numbers, got float32"):
        quantizer.reconstruct(codes.astype(np.float32))


def test_more_codes_than_16_bits_can_tell_apart():
    books = np.random.default_rng(0).standard_normal((300, 256, 1)).astype(np.float32)
    codes = np.random.default_rng(1).integers(0, 256, (2, 300))
    expected = books[np.arange(300), codes, 0]
    for dtype in (np.uint8, np.uint64):
        np.testing.assert_array_equal(ffjax.PQ(books).reconstruct(codes.astype(dtype)), expected)
        np.testing.assert_array_equal(
            ffjax.PQ(books).reconstruct(codes[0].astype(dtype)), expected[0]
        )


@pytest.mark.usefixtures("as_users_see")
def test_where_vectors_are_written():
    quantizer, codes = pq(6), np.zeros(3, np.uint8)
    fixed = np.zeros(6, np.float32)
    fixed.flags.writeable = False
    for out, error, message in (
        (
            np.zeros(6, int),
            ValueError,
            r"`out`: expected shape \(6,\) of floats, got \(6,\) of int64",
        ),
        (fixed, ValueError, "`out`: expected an array that can be written to"),
        ([0] * 6, TypeError, "`out`: expected a NumPy array to write to, got list"),
    ):
        with pytest.raises(error, match=message):
            quantizer.reconstruct(codes, out=out)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (2, 4, 0)])
def test_quantizers_of_nothing(shape):
    quantizer = ffjax.PQ(np.zeros(shape, np.float32))
    assert quantizer.reconstruct(np.zeros((0, shape[0]), np.uint8)).shape == (
        0,
        shape[0] * shape[2],
    )
