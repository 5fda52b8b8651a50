"""Exact search beside a NumPy reference: a stable argsort of exact scores.

Where ties matter the vectors are small integers: their products are exact in float32 in any order
of summation.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.kernels.top_k.rows import METRICS, from_cosine
from tests.functional.search.reference import agree, integers, normals, reference
from tests.kernels.top_k.searches import TILINGS, TINY, search

exhaustive = pytest.mark.exhaustive

# The answer


@pytest.mark.parametrize(
    ("batch", "dims"),
    [(7, 8), *(pytest.param(*x, marks=exhaustive) for x in ((1, 7), (2, 1), (9, 32)))],
)
def test_eager_and_compiled_searches_agree_with_numpy(batch, dims):
    matrix, queries = integers(0, 1003, dims), integers(1, batch, dims)
    expected = reference(matrix, queries, 9)
    agree(search(matrix, queries), expected)
    with jax.disable_jit():
        agree(search(matrix, queries), expected)


SIZES = (1, 31, 33, 1023, 4097)
MORE_SIZES = (2, 5, 32, 64, 65, 127, 129, 1000, 1024, 1025)


@pytest.mark.parametrize("rows", [*SIZES, *(pytest.param(n, marks=exhaustive) for n in MORE_SIZES)])
@pytest.mark.parametrize("tiling", TILINGS)
def test_ends_of_blocks_and_chunks(rows, tiling):
    matrix, queries = integers(rows, rows, 8), integers(rows + 1, 7, 8)
    found = search(matrix, queries, k=4, tiling=TILINGS[tiling])
    agree(found, reference(matrix, queries, 4))


MORE_K = (2, 10, 100, 299, 301)


@pytest.mark.parametrize(
    "k", [1, 57, 300, 1000, *(pytest.param(k, marks=exhaustive) for k in MORE_K)]
)
def test_any_k_up_to_the_number_of_rows_and_beyond(k):
    matrix, queries = integers(k, 300, 8), integers(k + 1, 7, 8)
    found = search(matrix, queries, k=k, tiling=TINY)
    assert found[0].shape == found[1].shape == (7, k)
    agree(found, reference(matrix, queries, k))


def test_many_answers_from_many_rows():
    """1,000 answers take smaller blocks, and groups of blocks above them."""
    matrix, queries = integers(0, 40_000, 8, largest=9), integers(1, 3, 8, largest=9)
    agree(search(matrix, queries, k=1000), reference(matrix, queries, 1000))


@pytest.mark.parametrize(
    "batch", [256, 257, *(pytest.param(n, marks=exhaustive) for n in (1, 600))]
)
def test_any_batch(batch):
    matrix, queries = integers(0, 1003, 8), integers(1, batch, 8)
    agree(search(matrix, queries), reference(matrix, queries, 9))


@pytest.mark.parametrize(
    ("rows", "batch", "k"), [(4, 0, 2), (4, 5, 0), (0, 5, 2)], ids=["batch", "k", "rows"]
)
def test_nothing_to_search(rows, batch, k):
    scores, best = search(np.ones((rows, 3), np.float32), np.ones((batch, 3), np.float32), k=k)
    assert scores.shape == best.shape == (batch, k)
    assert (np.asarray(scores) == -np.inf).all()
    assert (np.asarray(best) == -1).all()


def test_real_numbers_agree_up_to_rounding():
    matrix, queries = normals(0, 20_000, 100), normals(1, 40, 100)
    scores, rows = search(matrix, queries)
    expected, _ = reference(matrix, queries, 9)
    np.testing.assert_allclose(scores, expected, atol=1e-4)  # 100 products of about 1, in float32
    own_scores = np.einsum("bd,bkd->bk", queries, matrix[np.asarray(rows)])
    np.testing.assert_allclose(own_scores, scores, atol=1e-4)
    assert all(len(set(found)) == 9 for found in rows.tolist())


# Ties

TIES = [
    (1, 50, "dot"),
    (1, 300, "cosine"),
    (3, 50, "cosine"),
    (40, 3, "dot"),
    (40, 50, "cosine"),
    (40, 300, "dot"),
]
MORE_TIES = [
    (batch, dims, metric)
    for batch, dims in [(1, 50), (1, 300), (3, 50), (40, 3), (40, 50), (40, 300)]
    for metric in ("dot", "cosine")
    if (batch, dims, metric) not in TIES
]


@pytest.mark.parametrize(
    ("batch", "dims", "metric"),
    [*TIES, *(pytest.param(*values, marks=exhaustive) for values in MORE_TIES)],
)
def test_equal_rows_tie_wherever_they_are(batch, dims, metric):
    """All rows are one row whose products float32 cannot hold: the first rows must still win."""
    matrix, queries = np.repeat(normals(0, 1, dims), 5003, axis=0), normals(1, batch, dims)
    scores, rows = search(matrix, queries, k=12, metric=metric)
    assert rows.tolist() == [list(range(12))] * batch
    assert (scores == scores[:, :1]).all()


def test_duplicate_rows_come_in_order():
    matrix = np.tile(normals(0, 700, 8), (4, 1))
    _, rows = search(matrix, normals(1, 7, 8), k=8)
    copies = np.asarray(rows).reshape(7, 2, 4)
    assert (copies[:, :, 0] < 700).all()
    assert (np.diff(copies, axis=2) == 700).all()


def test_zero_and_negative_zero_tie():
    matrix = np.zeros((1003, 8), np.float32)
    matrix[::3] = -0.0
    matrix[5, 1] = 7
    queries = np.zeros((7, 8), np.float32)
    queries[:3, 0] = [1, -1, -0.0]
    _, rows = search(matrix, queries)
    assert rows.tolist() == [list(range(9))] * 7


# Metrics


@pytest.mark.parametrize("metric", METRICS)
def test_metrics(metric):
    matrix, queries = normals(0, 1003, 8), normals(1, 7, 8)
    matrix[[3, 77]] = 0
    queries[4] = 0
    expected = reference(matrix, queries, 9, metric=metric)
    agree(search(matrix, queries, metric=metric), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("cosine", [1, 0, -1]),
        ("angular", [1, 0.5, 0]),
        ("euclidean", [1, 1 - np.sqrt(2) / 2, 0]),
    ],
)
def test_metrics_are_those_of_finalfusion(metric, expected):
    """From finalfusion-rust, `similarity.rs`: 1 - acos(c) / pi, and 1 - sqrt(2 - 2c) / 2."""
    scores = jax.jit(from_cosine, static_argnums=1)(jnp.array([1.0, 0.0, -1.0]), metric)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize(
    "metric",
    ["angular", "euclidean", *(pytest.param(m, marks=exhaustive) for m in ("dot", "cosine"))],
)
def test_scores_are_never_nan(metric):
    """The cosine of a vector with itself rounds to more than 1, whose arc cosine is NaN."""
    matrix = np.concatenate([normals(0, 300, 37), np.zeros((5, 37), np.float32)])
    for queries in (matrix, 1000 * matrix):
        scores, rows = search(matrix, queries, k=305, metric=metric)
        rows = np.asarray(rows)
        assert not np.isnan(scores).any()
        assert (np.sort(rows, axis=1) == np.arange(305)[None]).all()
        if metric != "dot":
            assert (rows[:300, 0] == np.arange(300)).all()


def test_zero_vectors_score_zero():
    matrix = np.full((1003, 8), -1, np.float32)
    matrix[0] = 0
    queries = np.zeros((7, 8), np.float32)
    queries[0] = 1
    scores, rows = search(matrix, queries, metric="cosine")
    np.testing.assert_allclose(scores[0], [0, *[-1] * 8], atol=1e-6)
    assert (np.asarray(scores)[1:] == 0).all()
    assert rows.tolist() == [list(range(9))] * 7
