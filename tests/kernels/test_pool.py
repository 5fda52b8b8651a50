"""Pooling of words to lines, compared with its definition in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.kernels.pool import (
    line_totals,
    pool_blocks,
    pool_rows,
    pool_rows_numpy,
    pool_tiles,
    totals_by_scatter,
    totals_by_tiles,
)

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


_by_tiles = jax.jit(totals_by_tiles, static_argnums=(2, 3))
_by_scatter = jax.jit(totals_by_scatter, static_argnums=(2, 3))


def cut_into_lines(n_words, n_lines, longest):
    """Ascending lines, some empty, of up to `longest` words; -1 and `n_lines` around them."""
    rng = np.random.default_rng(longest)
    sizes = rng.integers(0, longest + 1, n_lines) * (rng.random(n_lines) > 0.2)
    lines = np.repeat(np.arange(-1, n_lines), [3, *sizes])[:n_words]
    return np.pad(lines, (0, n_words - len(lines)), constant_values=n_lines).astype(np.int32)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("longest", [1, 9, 40, 600])
def test_totals_without_a_scatter(longest, largest):
    values = np.random.default_rng(1).standard_normal((700, 3)).astype(np.float32)
    values[100:103] = np.nan  # a line does not change others
    lines = cut_into_lines(700, 60, longest)
    ours, expected = (f(values, lines, 60, largest) for f in (_by_tiles, _by_scatter))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 17, 40])
def test_totals_without_a_scatter_of_whole_numbers_are_exact(n):
    values, lines = np.arange(n, dtype=np.int32), cut_into_lines(n, 12, 9)
    ours, expected = (f(values, lines, 12, False) for f in (_by_tiles, _by_scatter))
    np.testing.assert_array_equal(ours, expected)


def test_no_digits_are_lost_in_long_texts_and_lines():
    n = 1 << 18
    values = np.random.default_rng(0).uniform(0.5, 1.5, (n, 1)).astype(np.float32)
    starts = np.array([0, n // 2, n - 40, n - 30])
    lines = np.repeat(np.arange(4, dtype=np.int32), np.diff([*starts, n]))
    expected = np.add.reduceat(values.astype(np.float64), starts)
    np.testing.assert_allclose(_by_tiles(values, lines, 4, False), expected, rtol=3e-7)


@pytest.mark.parametrize("largest", [False, True])
def test_derivatives_of_totals(largest):
    values = np.random.default_rng(1).standard_normal((40, 2)).astype(np.float32)
    values[20] = values[21]
    lines = cut_into_lines(40, 12, 9)

    def number(totals):
        return lambda values: jnp.where(jnp.isfinite(t := totals(values, lines, 12, largest)), t, 0)

    expected = jax.jit(jax.jacfwd(number(totals_by_scatter)))(values)
    for derivative in (jax.jacrev, jax.jacfwd):
        ours = jax.jit(derivative(number(line_totals)))(values)
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("largest", [False, True])
def test_rows_of_a_table_on_every_platform(largest):
    rng = np.random.default_rng(0)
    table = rng.standard_normal((20, 3)).astype(np.float32)
    ids, lines = rng.integers(-1, 20, 40, dtype=np.int32), np.sort(rng.integers(0, 13, 40))
    lines = lines.astype(np.int32)
    expected = pool_rows_numpy(table, ids, lines, 12, largest)
    for pool in (pool_blocks, pool_tiles):
        arrays = map(jnp.asarray, (table, ids, lines))
        ours = jax.jit(partial(pool, n_lines=12, largest=largest))(*arrays)
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_gpus_get_no_scatter(pooling):
    vectors, lines = jnp.ones((40, 3)), jnp.zeros(40, jnp.int32)
    gradient = jax.grad(lambda v: ffjax.pool(v, lines, 4, pooling=pooling)[0].sum())
    of_rows = partial(pool_rows, n_lines=4, largest=pooling == "max")
    programs = [jax.jit(gradient).trace(vectors), jax.jit(of_rows).trace(vectors, lines, lines)]
    for program in programs:
        text = program.lower(lowering_platforms=("cuda",)).as_text()
        assert "stablehlo.gather" in text and "stablehlo.scatter" not in text


def test_an_unknown_pooling_is_an_error():
    with pytest.raises(ValueError, match="`pooling`: expected one of 'mean', 'sum', 'max'"):
        ffjax.pool(jnp.ones((1, 2)), jnp.zeros(1, int), 1, pooling="median")
