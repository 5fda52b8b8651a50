"""Top-k beside a NumPy reference: stable argsort of exact scores, so that equal scores come in the order of the rows.

Where ties matter the vectors are small integers: their products are exact in float32 in any order of summation.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.kernels.top_k.metrics import METRICS, top_k
from ffjax.kernels.top_k.row_source import CPU
from tests.functional.search.reference import agree, integers, normals, reference
from tests.kernels.top_k.plans import TINY, with_plan

# The answer


@pytest.mark.parametrize(("batch", "dims"), [(1, 7), (2, 1), (9, 32)])
def test_eager_and_compiled_agree_with_numpy(batch, dims):
    matrix, queries = integers(0, 3001, dims), integers(1, batch, dims)
    expected = reference(matrix, queries, 10)
    agree(top_k(matrix, queries, 10), expected)
    with jax.disable_jit():
        agree(with_plan(CPU, matrix, queries, 10), expected)
    agree(jax.jit(top_k, static_argnums=2)(matrix, queries, 10), expected)


@pytest.mark.parametrize("rows", [1, 2, 5, 31, 32, 33, 64, 65, 127, 129, 1000, 1023, 1024, 1025, 4097])
@pytest.mark.parametrize("plan", [TINY, CPU], ids=["tiny", "cpu"])
def test_around_the_ends_of_blocks_and_chunks(rows, plan):
    matrix, queries = integers(rows, rows, 6), integers(rows + 1, 7, 6)
    agree(with_plan(plan, matrix, queries, 4), reference(matrix, queries, 4))


@pytest.mark.parametrize("k", [1, 2, 10, 57, 100, 299, 300, 301, 1000])
def test_any_k_up_to_the_rows_and_beyond(k):
    matrix, queries = integers(k, 300, 5), integers(k + 1, 6, 5)
    found = with_plan(TINY, matrix, queries, k)
    assert found[0].shape == found[1].shape == (6, k)
    agree(found, reference(matrix, queries, k))


def test_many_answers_of_many_rows():
    """1,000 answers take smaller blocks, and groups of blocks above them."""
    matrix, queries = integers(0, 40_000, 8, largest=9), integers(1, 3, 8, largest=9)
    agree(top_k(matrix, queries, 1000), reference(matrix, queries, 1000))


@pytest.mark.parametrize("batch", [1, 256, 257, 600])
def test_any_batch(batch):
    matrix, queries = integers(0, 2000, 9), integers(1, batch, 9)
    agree(top_k(matrix, queries, 5), reference(matrix, queries, 5))


def test_an_empty_batch_no_answers_and_no_rows():
    matrix = jnp.ones((4, 3))
    for found, shape in (
        (top_k(matrix, jnp.ones((0, 3)), 2), (0, 2)),
        (top_k(matrix, jnp.ones((5, 3)), 0), (5, 0)),
        (top_k(matrix[:0], jnp.ones((5, 3)), 2), (5, 2)),
        (top_k(matrix, jnp.ones((5, 3)), 2, n_rows=0), (5, 2)),
    ):
        assert found[0].shape == found[1].shape == shape
        assert (found[0] == -jnp.inf).all()
        assert (found[1] == -1).all()


def test_real_numbers_agree_up_to_rounding():
    matrix, queries = normals(0, 20_000, 100), normals(1, 40, 100)
    scores, rows = top_k(matrix, queries, 10)
    expected, _ = reference(matrix, queries, 10)
    np.testing.assert_allclose(scores, expected, atol=1e-4)  # 100 products of about 1, in float32
    np.testing.assert_allclose(np.einsum("bd,bkd->bk", queries, matrix[rows]), scores, atol=1e-4)
    assert all(len(set(found)) == 10 for found in rows.tolist())


# Ties


@pytest.mark.parametrize(("batch", "dims"), [(1, 50), (1, 300), (3, 50), (40, 3), (40, 50), (40, 300)])
def test_equal_rows_tie_wherever_they_lie(batch, dims):
    """All rows are one row that no float32 sum holds exactly: whatever is summed how, the first rows must win."""
    matrix, queries = np.repeat(normals(0, 1, dims), 5003, axis=0), normals(1, batch, dims)
    for metric in ("dot", "cosine"):
        scores, rows = top_k(matrix, queries, 12, metric=metric)
        assert rows.tolist() == [list(range(12))] * batch
        assert (scores == scores[:, :1]).all()


def test_duplicates_of_rows_come_in_order():
    matrix = np.tile(normals(0, 700, 20), (4, 1))
    _, rows = top_k(matrix, normals(1, 30, 20), 8)
    copies = np.asarray(rows).reshape(30, 2, 4)
    assert (copies[:, :, 0] < 700).all()
    assert (np.diff(copies, axis=2) == 700).all()


def test_zero_and_negative_zero_tie():
    matrix = np.zeros((400, 2), np.float32)
    matrix[::3] = -0.0
    matrix[5] = [0, 7]
    _, rows = top_k(matrix, np.array([[1, 0], [-1, 0], [-0.0, -0.0]], np.float32), 6)
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5]] * 3


# Metrics


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_metrics(metric, given):
    matrix, queries = normals(0, 500, 16), normals(1, 12, 16)
    matrix[[3, 77]] = 0
    queries[4] = 0
    with np.errstate(divide="ignore"):
        inverse = np.nan_to_num(1 / np.linalg.norm(matrix, axis=1), posinf=0).astype(np.float32)
    norms = {"inverse_norms": inverse} if given and metric != "dot" else {}
    agree(top_k(matrix, queries, 20, metric=metric, **norms), reference(matrix, queries, 20, metric=metric), atol=1e-5)


def test_metrics_are_those_of_finalfusion():
    """finalfusion-rust, `similarity.rs`: angular 1 - acos(c) / pi, Euclidean 1 - sqrt(2 - 2c) / 2, at c = 1, 0, -1."""
    matrix = jnp.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    query = jnp.array([[5.0, 0.0]])
    expected = {
        "dot": [10, 0, -5],
        "cosine": [1, 0, -1],
        "angular": [1, 0.5, 0],
        "euclidean": [1, 1 - np.sqrt(2) / 2, 0],
    }
    for metric in METRICS:
        scores, rows = top_k(matrix, query, 3, metric=metric)
        assert rows.tolist() == [[0, 1, 2]]
        np.testing.assert_allclose(scores[0], expected[metric], atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_is_ever_nan(metric):
    """The cosine of a vector with itself rounds to a little more than 1, whose arc cosine is NaN."""
    matrix = np.concatenate([normals(0, 300, 37), np.zeros((5, 37), np.float32)])
    for queries in (matrix, 1000 * matrix):
        scores, rows = top_k(matrix, queries, 305, metric=metric)
        assert not jnp.isnan(scores).any()
        assert (jnp.sort(rows, axis=1) == jnp.arange(305)[None]).all()
        if metric != "dot":
            assert (rows[:300, 0] == jnp.arange(300)).all()


def test_zero_vectors_score_zero():
    matrix = np.concatenate([np.zeros((1, 4), np.float32), -np.ones((3, 4), np.float32)])
    scores, rows = top_k(matrix, np.stack([np.ones(4), np.zeros(4)]).astype(np.float32), 2, metric="cosine")
    assert scores.tolist() == [[0, -1], [0, 0]]
    assert rows.tolist() == [[0, 1], [0, 1]]


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": -1}, r"`k`: expected 0 or more, got -1"),
        ({"metric": "cos"}, r"`metric`: expected one of dot, cosine, euclidean, angular, got 'cos'"),
        ({"n_rows": -2}, r"`n_rows`: expected 0 or more, got -2"),
        ({"queries": np.ones((2, 4), np.float32)}, r"`queries`: .* matrix of shape \(6, 3\), got \(2, 4\)"),
        ({"inverse_norms": np.ones(6, np.float32)}, r"`inverse_norms`: expected None for the metric 'dot'"),
        (
            {"inverse_norms": np.ones(5, np.float32), "metric": "cosine"},
            r"`inverse_norms`: expected shape \(6,\), one entry a row, got \(5,\)",
        ),
        ({"allowed": np.ones(7, bool)}, r"`allowed`: expected shape \(6,\), one entry a row, got \(7,\)"),
        ({"exclude": np.ones((3, 1), np.int32)}, r"`exclude`: expected 2 rows, one for each query, got \(3, 1\)"),
    ],
)
def test_errors(as_users_see, change, message):
    arguments = {"matrix": np.ones((6, 3), np.float32), "queries": np.ones((2, 3), np.float32), "k": 1}
    with pytest.raises(ValueError, match=message):
        top_k(**arguments | change)
