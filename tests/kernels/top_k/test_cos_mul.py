"""3CosMul beside NumPy: every score in float64, and a stable sort."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.kernels.top_k.rows import COS_MUL, RowFilter
from ffjax.kernels.top_k.tiling import CPU
from tests.kernels.top_k.searches import search

cos_mul = partial(search, metric=COS_MUL)
# Several chunks and blocks of queries.
SMALL = CPU._replace(chunk_numbers=1 << 15, queries=30)


def all_scores(matrix, queries):
    def unit(x):
        norms = np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
        return x / np.where(norms > 0, norms, 1)

    a, b, c = ((1 + unit(terms) @ unit(matrix).T) / 2 for terms in np.moveaxis(queries, 1, 0))
    return b * c / (a + 1e-6)


def reference(matrix, queries, k, exclude=None, mask=None):
    scores = all_scores(matrix, queries)
    if mask is not None:
        scores[:, ~np.asarray(mask)] = -np.inf
    if exclude is not None:
        for i, rows in enumerate(exclude):
            scores[i, [row for row in rows if row >= 0]] = -np.inf
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, rows, axis=1)
    missing = ((0, 0), (0, k - rows.shape[1]))
    best = np.pad(best, missing, constant_values=-np.inf)
    return best, np.where(best == -np.inf, -1, np.pad(rows, missing))


def agree(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-5)
    assert np.asarray(found[1]).tolist() == expected[1].tolist()


@pytest.fixture(scope="module")
def work():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((1000, 12)).astype(np.float32)
    return matrix, np.moveaxis(rng.standard_normal((3, 70, 12)).astype(np.float32), 0, 1)


@pytest.mark.parametrize("k", [1, pytest.param(10, marks=pytest.mark.exhaustive)])
def test_answers_are_those_of_a_full_sort(work, k):
    matrix, queries = work
    agree(cos_mul(matrix, queries, k=k, tiling=SMALL), reference(matrix, queries, k))


@pytest.mark.parametrize(
    "k", [1001, *(pytest.param(k, marks=pytest.mark.exhaustive) for k in (999, 1000))]
)
def test_as_many_answers_as_rows(work, k):
    """Some of so many scores differ by rounding alone, so rows are compared by their scores."""
    matrix, queries = work
    scores, rows = cos_mul(matrix, queries, k=k, tiling=SMALL)
    expected, _ = reference(matrix, queries, k)
    np.testing.assert_allclose(scores, expected, rtol=2e-5)
    best = np.asarray(rows)[:, : min(k, 1000)]
    own_scores = np.take_along_axis(all_scores(matrix, queries), best, axis=1)
    np.testing.assert_allclose(own_scores, expected[:, : min(k, 1000)], rtol=2e-5)
    assert all(len(set(found)) == len(found) for found in best.tolist())


@pytest.mark.parametrize(
    "rows", [1, 33, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (31, 32, 500))]
)
def test_any_number_of_rows(work, rows):
    matrix, queries = work[0], work[1][:7]
    expected = reference(matrix[:rows], queries, 9)
    agree(cos_mul(matrix, queries, n_rows=rows), expected)


def test_excluded_rows(work):
    matrix, queries = work
    exclude = np.random.default_rng(1).integers(-1, 1000, (70, 4)).astype(np.int32)
    exclude[:, 0] = reference(matrix, queries, 1)[1][:, 0]
    expected = reference(matrix, queries, 9, exclude=exclude)
    agree(cos_mul(matrix, queries, RowFilter(exclude=exclude)), expected)


@pytest.mark.parametrize("share", [0.5, 0.004, 0.0])
def test_a_mask(work, share):
    matrix, queries = work
    mask = np.random.default_rng(2).random(1000) < share
    expected = reference(matrix, queries, 9, mask=mask)
    agree(cos_mul(matrix, queries, RowFilter(mask=mask)), expected)


def test_equal_rows_come_in_order():
    order = np.random.default_rng(0).permutation(200)
    matrix = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)[order]
    queries = np.eye(4, dtype=np.float32)[None, :3]
    agree(cos_mul(matrix, queries, k=120), reference(matrix, queries, 120))


def test_norms_do_not_matter_and_zero_vectors_have_a_cosine_of_zero(work):
    matrix, queries = work[0].copy(), work[1][:7].copy()
    matrix[3] = 0
    queries[1, 0] = 0
    expected = reference(matrix, queries, 9)
    scaled = matrix * np.linspace(0.1, 10, 1000, dtype=np.float32)[:, None]
    agree(cos_mul(scaled, queries * 7), expected)


def test_nothing_to_search(work):
    matrix, queries = work
    assert cos_mul(matrix, queries[:0])[1].shape == (0, 9)
    assert cos_mul(matrix, queries, k=0)[1].shape == (70, 0)
    assert (np.asarray(cos_mul(matrix[:0], queries)[1]) == -1).all()


def test_narrow_floats_are_searched_as_they_are(work):
    narrow, queries = jnp.asarray(work[0]).astype(jnp.bfloat16), work[1][:7]
    agree(cos_mul(narrow, queries), reference(np.asarray(narrow.astype(jnp.float32)), queries, 9))


def test_vmap(work):
    matrix, queries = work[0], work[1].reshape(10, 7, 3, 12)
    mapped = jax.vmap(partial(cos_mul, matrix))(queries)
    assert mapped[1].reshape(70, 9).tolist() == reference(matrix, work[1], 9)[1].tolist()
