"""Pooling of words to lines, compared with its definition in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax

POOLINGS = ["mean", "sum", "max", "fasttext"]

_pool = jax.jit(ffjax.pool, static_argnames=("n_lines", "pooling"))


def pooled(vectors, lines, n_lines, pooling, weights, found):
    """The definition."""
    out, counts = np.zeros((n_lines, vectors.shape[1])), np.zeros(n_lines, int)
    for line in range(n_lines):
        ids = [i for i in range(len(lines)) if lines[i] == line and found[i]]
        if pooling == "fasttext":
            ids = [i for i in ids if vectors[i].any()]
        counts[line] = len(ids)
        if not ids:
            continue
        rows = vectors[ids].astype(float)
        factors = np.ones(len(ids)) if weights is None else weights[ids].astype(float)
        if pooling == "fasttext":
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if pooling == "max":
            out[line] = rows.max(0)
            continue
        out[line] = (rows * factors[:, None]).sum(0)
        if pooling != "sum" and np.abs(factors).sum():
            out[line] /= np.abs(factors).sum()
    return out, counts


@pytest.fixture(scope="module")
def words():
    """Vectors (some zeros), lines, weights, and which words count."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 5)).astype(np.float32)
    vectors[[3, 20]] = 0
    lines = np.sort(rng.integers(-1, 14, 40)).astype(np.int32)
    weights = rng.uniform(-1, 2, 40).astype(np.float32)
    return vectors, lines, weights, rng.random(40) > 0.2


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_pool_is_its_definition(words, pooling, weighted):
    vectors, lines, weights, found = words
    if weighted and pooling == "max":
        weighted = False
    weights = weights if weighted else None
    expected, counts = pooled(vectors, lines, 12, pooling, weights, found)
    ours, n = _pool(vectors, lines, n_lines=12, pooling=pooling, weights=weights, found=found)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert n.tolist() == counts.tolist()


def test_eager_and_mapped_calls_are_those_of_compiled_code(words):
    vectors, lines, weights, found = words
    options = {"n_lines": 12, "pooling": "fasttext", "weights": weights, "found": found}
    expected, _ = _pool(vectors, lines, **options)
    np.testing.assert_allclose(ffjax.pool(vectors, lines, **options)[0], expected, atol=1e-6)
    several = jax.vmap(lambda v: _pool(v, lines, **options)[0])(jnp.stack([vectors, vectors]))
    np.testing.assert_allclose(several[1], expected, atol=1e-6)


def test_gradients_and_no_words():
    vectors, lines = jnp.ones((3, 2)), jnp.array([0, 0, 2])
    gradient = jax.grad(lambda v: _pool(v, lines, n_lines=3)[0].sum())(vectors)
    np.testing.assert_allclose(gradient, [[0.5, 0.5], [0.5, 0.5], [1, 1]])
    zeros, counts = _pool(jnp.zeros((0, 2)), jnp.zeros(0, jnp.int32), n_lines=2)
    assert zeros.tolist() == [[0, 0], [0, 0]] and counts.tolist() == [0, 0]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_words_that_do_not_count_may_be_nan(pooling):
    vectors = np.array([[1, 0], [np.nan, np.nan], [3, 4]], np.float32)
    found = np.array([True, False, True])
    lines = np.zeros(3, np.int32)
    with_nan, count = _pool(vectors, lines, n_lines=1, pooling=pooling, found=found)
    vectors[1] = 1
    without, _ = _pool(vectors, lines, n_lines=1, pooling=pooling, found=found)
    np.testing.assert_array_equal(with_nan, without)
    expected, _ = pooled(vectors, lines, 1, pooling, None, found)
    np.testing.assert_allclose(with_nan, expected, atol=1e-6)
    assert count.tolist() == [2]


def test_an_unknown_pooling_is_an_error():
    with pytest.raises(ValueError, match="`pooling`: expected one of mean, sum, max"):
        ffjax.pool(jnp.ones((1, 2)), jnp.zeros(1, int), 1, pooling="median")
