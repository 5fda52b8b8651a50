"""Layers beside NumPy, and the modules of Equinox and Flax NNX beside the functions."""

from importlib import import_module

import jax
import numpy as np
import pytest

import ffjax
from ffjax import layers
from tests.layers import reference

DOCUMENTS = [["a", "pot", "of", "tea"], [], ["tea", "\n\n", "X", "na\u00efve", "a"]]
BATCH = layers.pack_documents(DOCUMENTS)
WORDS = ["tea", "pot", "a"]
EMB = ffjax.from_vectors(WORDS, np.random.default_rng(0).standard_normal((3, 5)))
tok2vec = jax.jit(layers.tok2vec)

# Values of thinc 8.3: id, seed, hash.
HASHES = [
    (0, 9, [1862229173, 1175497701, 2029532547, 1365388714]),
    (1, 9, [2205482518, 2060344464, 1125017477, 2005428196]),
    (3197928453018144401, 9, [3581658541, 416209217, 2576290491, 1186911353]),
    (2**64 - 1, 9, [1280338815, 3260680329, 3463791303, 2886450919]),
    (0, 8, [0, 0, 0, 0]),
]


@pytest.fixture(scope="module")
def weights():
    return layers.init_tok2vec(jax.random.key(0), [50, 30, 30, 30], width=8, depth=2, dims=5)


def test_ids_have_the_rows_of_thinc():
    ids = np.array([number for number, _, _ in HASHES], "<u8").view("<u4").reshape(-1, 2)
    for seed, n_rows in ((9, 1000), (8, 2**31 - 1)):
        rows = layers.hash_rows(ids, seed=seed, n_rows=n_rows)
        for row, (_, seed_of_row, hashes) in zip(rows.tolist(), HASHES, strict=True):
            assert seed_of_row != seed or row == [number % n_rows for number in hashes]


def test_layers_are_those_of_numpy(weights):
    actual = tok2vec(weights, BATCH, EMB)
    assert actual.shape == (3, 8, 8)
    for words, vectors in zip(DOCUMENTS, actual, strict=True):
        expected = reference.tok2vec(weights, words, EMB)
        np.testing.assert_allclose(vectors[: len(words)], expected, atol=1e-5)
        assert not vectors[len(words) :].any()


def test_vectors_that_are_known_get_no_gradient(weights):
    def total(weights, emb):
        return layers.tok2vec(weights, BATCH, emb).sum()

    by_weights, by_emb = jax.jit(jax.grad(total, (0, 1), allow_int=True))(weights, EMB)
    assert not np.any(by_emb.storage.matrix)
    assert all(np.abs(gradient).max() > 0 for gradient in jax.tree.leaves(by_weights))


@pytest.mark.parametrize(("name", "library"), [("equinox", "equinox"), ("nnx", "flax.nnx")])
def test_modules_are_the_functions(weights, name, library):
    pytest.importorskip(library)
    modules = import_module(f"ffjax.layers.{name}")
    assert modules.Tok2Vec(weights).weights == weights

    @jax.jit
    def both(weights, batch, emb):
        tokens = batch.tokens
        first = modules.HashEmbed(weights.tables[1], seed=9)(batch.features[:, 1])
        vectors = modules.StaticVectors(weights.static)(emb, batch.strings)
        embed = modules.MultiHashEmbed(weights.tables, weights.mixer)
        encode = modules.MaxoutWindowEncoder(weights.layers, window=weights.window)
        by_layer = encode(embed(batch.features, vectors)[jax.numpy.maximum(tokens, 0)], tokens >= 0)
        expected = layers.hash_embed(weights.tables[1], batch.features[:, 1], seed=9)
        return first, expected, by_layer, modules.Tok2Vec(weights)(batch, emb)

    first, expected, by_layer, at_once = both(weights, BATCH, EMB)
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_allclose(by_layer, tok2vec(weights, BATCH, EMB), atol=1e-5)
    np.testing.assert_allclose(at_once, by_layer, atol=1e-5)


@pytest.mark.usefixtures("as_users_see")
def test_bad_arguments(weights):
    table = weights.tables[0]
    ids = BATCH.features
    with pytest.raises(TypeError, match="`seed`: expected a whole number, got None"):
        layers.hash_rows(ids[:, 0], seed=None, n_rows=5)
    with pytest.raises(ValueError, match=r"`seed`: expected less than 2\*\*32"):
        layers.hash_embed(table, ids[:, 0], seed=1 << 32)
    with pytest.raises(ValueError, match="`tables`: expected 4, one per attribute, got 1"):
        layers.multi_hash_embed(ids, [table], weights.mixer)
    with pytest.raises(ValueError, match="`embeddings`: expected those of the pipeline"):
        layers.tok2vec(weights, BATCH)
