"""3CosMul beside NumPy: every score in float64, and a stable sort."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.kernels.top_k import cos_mul
from ffjax.kernels.top_k.cos_mul import cos_mul_top_k


def reference(matrix, queries, k, exclude=None, allowed=None):
    def unit(x):
        lengths = np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
        return x / np.where(lengths > 0, lengths, 1)

    a, b, c = ((1 + unit(terms) @ unit(matrix).T) / 2 for terms in queries)
    scores = b * c / (a + 1e-6)
    if allowed is not None:
        scores[:, ~np.asarray(allowed)] = -np.inf
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
    return rng.standard_normal((1000, 12)).astype(np.float32), rng.standard_normal((3, 70, 12)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 10, 999, 1000, 1001])
def test_answers_are_those_of_a_full_sort(work, k, monkeypatch):
    monkeypatch.setattr(cos_mul, "_CHUNK", 1 << 15)  # several chunks and a rest
    matrix, queries = work
    agree(cos_mul_top_k.__wrapped__(matrix, jnp.asarray(queries), k), reference(matrix, queries, k))


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 500])
def test_any_number_of_rows(work, rows):
    matrix, queries = work
    agree(cos_mul_top_k(matrix[:rows], queries[:, :3], 5), reference(matrix[:rows], queries[:, :3], 5))
    agree(cos_mul_top_k(matrix, queries[:, :3], 5, n_rows=rows), reference(matrix[:rows], queries[:, :3], 5))


def test_rows_can_be_left_out(work):
    matrix, queries = work
    exclude = np.random.default_rng(1).integers(-1, 1000, (70, 4)).astype(np.int32)
    exclude[:, 0] = reference(matrix, queries, 1)[1][:, 0]
    agree(cos_mul_top_k(matrix, queries, 5, exclude=exclude), reference(matrix, queries, 5, exclude=exclude))


@pytest.mark.parametrize("share", [0.5, 0.004, 0.0])
def test_only_some_rows_may_be_answers(work, share):
    matrix, queries = work
    allowed = np.random.default_rng(2).random(1000) < share
    agree(cos_mul_top_k(matrix, queries, 5, allowed=allowed), reference(matrix, queries, 5, allowed=allowed))


def test_equal_rows_come_in_order():
    matrix = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)[np.random.default_rng(0).permutation(200)]
    queries = np.eye(4, dtype=np.float32)[:3, None]
    agree(cos_mul_top_k(matrix, queries, 120), reference(matrix, queries, 120))


def test_lengths_do_not_matter_and_zero_vectors_have_a_cosine_of_zero(work):
    matrix, queries = work[0][:100].copy(), work[1][:, :5].copy()
    matrix[3] = 0
    queries[0, 1] = 0
    expected = reference(matrix, queries, 100)
    scaled = matrix * np.linspace(0.1, 10, 100, dtype=np.float32)[:, None]
    agree(cos_mul_top_k(scaled, queries * 7, 100), expected)


def test_no_queries_no_answers_no_rows(work):
    matrix, queries = work
    assert cos_mul_top_k(matrix, queries[:, :0], 3)[1].shape == (0, 3)
    assert cos_mul_top_k(matrix, queries, 0)[1].shape == (70, 0)
    assert (cos_mul_top_k(matrix[:0], queries, 2)[1] == -1).all()


def test_narrow_floats_are_searched_as_they_are(work):
    matrix, queries = work
    narrow = jnp.asarray(matrix).astype(jnp.bfloat16)
    agree(cos_mul_top_k(narrow, queries, 5), reference(np.asarray(narrow.astype(jnp.float32)), queries, 5))


def test_inside_jit_and_vmap(work):
    matrix, queries = work
    eager = cos_mul_top_k(matrix, queries, 5)
    jitted = jax.jit(lambda m, q: cos_mul_top_k(m, q, 5))(matrix, queries)
    assert jitted[1].tolist() == eager[1].tolist()
    mapped = jax.vmap(lambda q: cos_mul_top_k(matrix, q, 5), in_axes=1)(queries.reshape(3, 7, 10, 12))
    assert mapped[1].reshape(70, 5).tolist() == eager[1].tolist()
