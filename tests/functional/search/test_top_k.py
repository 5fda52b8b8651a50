"""`top_k` over embeddings and storages, beside NumPy.

Most tests search 1,003 rows of 8 dimensions for the 9 best, so that they share programs.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.pytree import replace
from ffjax.functional.search import top_products
from tests.builders import ALL_STORAGES, embeddings, storage
from tests.functional.search.reference import agree, integers, normals, reference

ROWS, DIMS, K = 1003, 8, 9
exhaustive = pytest.mark.exhaustive


@partial(jax.jit, static_argnames="metric")
def compiled(stored, queries, candidates=None, exclude=None, *, metric="dot"):
    """`top_k` inside a caller's program."""
    options = {"candidates": candidates, "exclude": exclude, "metric": metric}
    return ffjax.top_k(stored, queries, K, **options)


@pytest.fixture(scope="module")
def work():
    """A matrix, its storage, and queries."""
    matrix = integers(0, ROWS, DIMS)
    return matrix, ffjax.NdArray(matrix), integers(1, 7, DIMS)


# Candidates


@pytest.mark.parametrize(
    ("candidates", "allowed"),
    [
        (slice(None), range(ROWS)),
        (slice(20), range(20)),
        (slice(-30, None), range(ROWS - 30, ROWS)),
        (slice(900, 100, -7), range(900, 100, -7)),
        (range(5, 5), []),
        (range(3, 999, 100), range(3, 999, 100)),
        (np.arange(ROWS) % 3 == 0, range(0, ROWS, 3)),
        (np.array([7, 900, 7, 3, 501, 20]), [7, 900, 3, 501, 20]),
        ([4], [4]),
        ([], []),
    ],
)
def test_only_some_rows(work, candidates, allowed):
    matrix, stored, queries = work
    expected = reference(matrix, queries, K, allowed=np.asarray(allowed, int))
    agree(ffjax.top_k(stored, queries, K, candidates=candidates), expected)
    if isinstance(candidates, np.ndarray):
        agree(compiled(stored, queries, candidates), expected)


def test_a_slice_whose_ends_are_traced(work):
    matrix, stored, queries = work
    search = jax.jit(lambda a, b: ffjax.top_k(stored, queries, K, candidates=slice(a, b)))
    agree(
        search(jnp.int32(10), jnp.int32(60)), reference(matrix, queries, K, allowed=range(10, 60))
    )
    # Negative ends count from the last row, as those of Python's slices do.
    allowed = range(ROWS - 90, ROWS - 2)
    agree(search(jnp.int32(-90), jnp.int32(-2)), reference(matrix, queries, K, allowed=allowed))


def test_a_list_of_rows_with_excluded_rows(work):
    matrix, stored, queries = work
    rows = np.random.default_rng(2).integers(0, ROWS, 300).astype(np.int32)
    exclude = np.concatenate([rows[:70].reshape(7, 10), np.full((7, 2), -1)], axis=1)
    exclude = exclude.astype(np.int32)
    expected = reference(matrix, queries, K, allowed=rows, exclude=exclude)
    agree(ffjax.top_k(stored, queries, K, candidates=rows, exclude=exclude), expected)
    agree(compiled(stored, queries, rows, exclude), expected)
    nothing = reference(matrix, queries, K, allowed=[], exclude=exclude)
    agree(ffjax.top_k(stored, queries, K, candidates=[], exclude=exclude), nothing)


def test_traced_numbers_out_of_range_are_ignored(work):
    matrix, stored, queries = work
    candidates = jnp.array([7, -1, ROWS, 3, -9, 7])
    agree(compiled(stored, queries, candidates), reference(matrix, queries, K, allowed=[3, 7]))


# Storages, metrics, batches

LISTED = np.unique(np.random.default_rng(2).integers(0, ROWS, 300)).astype(np.int32)
FILTERS = {
    "all": (None, np.arange(ROWS)),
    "listed": (LISTED, LISTED),
    "range": (slice(40, 777), np.arange(40, 777)),
}
PAIRS = [
    ("dense", "dot", "all"),
    ("dense", "cosine", "listed"),
    ("pq", "dot", "range"),
    ("pq", "cosine", "all"),
    ("opq", "dot", "listed"),
    ("opq", "cosine", "range"),
    ("pq_norms", "dot", "all"),
    ("pq_norms", "cosine", "listed"),
    ("int8", "dot", "range"),
    ("int8", "cosine", "all"),
]
MORE = [
    pytest.param(kind, metric, name, marks=exhaustive)
    for kind in ALL_STORAGES
    for metric in ("dot", "cosine")
    for name in FILTERS
    if (kind, metric, name) not in PAIRS
]


@pytest.mark.parametrize(("kind", "metric", "row_filter"), [*PAIRS, *MORE])
def test_every_storage_and_metric(kind, metric, row_filter):
    stored, queries = storage(ROWS, DIMS, kind=kind), normals(1, 7, DIMS)
    candidates, allowed = FILTERS[row_filter]
    matrix = np.asarray(stored)
    expected, _ = reference(matrix, queries, K, metric=metric, allowed=allowed)
    found = ffjax.top_k(stored, queries, K, metric=metric, candidates=candidates)
    np.testing.assert_allclose(found.scores, expected, atol=2e-5)
    assert np.isin(found.rows, allowed).all()
    # Rows of equal codes tie up to rounding, so rows are compared by their scores.
    scores, rows = reference(matrix, queries, ROWS, metric=metric)
    by_row = np.take_along_axis(scores, np.argsort(rows, axis=1), axis=1)
    own_scores = np.take_along_axis(by_row, np.asarray(found.rows), axis=1)
    np.testing.assert_allclose(own_scores, expected, atol=2e-5)


@pytest.mark.parametrize("batch", [(), (7,), (1, 7), (0,), (2, 0, 3)])
def test_any_shape_of_a_batch(work, batch):
    matrix, stored, _ = work
    queries, exclude = integers(1, *batch, DIMS), np.zeros((*batch, 2), np.int32)
    best = ffjax.top_k(stored, queries, K, exclude=exclude)
    assert best.scores.shape == best.rows.shape == (*batch, K)
    expected = reference(matrix, queries.reshape(-1, DIMS), K, exclude=exclude.reshape(-1, 2))
    assert best.rows.reshape(-1, K).tolist() == expected[1].tolist()


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_nan_is_never_an_answer(metric):
    """More rows have NaN than are asked for, in every block: none may hide a number."""
    matrix, queries = normals(0, ROWS, DIMS), normals(1, 7, DIMS)
    bad = np.random.default_rng(2).random(ROWS) < 0.7
    matrix[bad, 3] = np.nan
    queries[5, 2] = np.nan
    scores, rows = reference(matrix, queries, K, metric=metric)
    stored = ffjax.NdArray(matrix)
    found = ffjax.top_k(stored, queries, K, metric=metric)
    agree(found, (scores, rows), atol=1e-5)
    assert (found.rows[5] == -1).all()
    assert (found.scores[5] == -jnp.inf).all()
    agree(ffjax.top_k(stored, queries[0], K, metric=metric), (scores[0], rows[0]), atol=1e-5)


def test_few_rows_without_nan():
    matrix = np.full((ROWS, DIMS), np.nan, np.float32)
    matrix[[5, 1000]] = 1
    found = ffjax.top_k(ffjax.NdArray(matrix), np.ones((7, DIMS), np.float32), K)
    assert found.rows.tolist() == [[5, 1000, *[-1] * 7]] * 7


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_zero_vectors_score_zero(metric):
    matrix, queries = np.full((ROWS, DIMS), -1, np.float32), np.zeros((7, DIMS), np.float32)
    matrix[:2], queries[0] = 0, 1
    best = ffjax.top_k(ffjax.NdArray(matrix), queries, K, metric=metric)
    assert best.rows.tolist() == [list(range(K))] * 7
    assert (best.scores[0, :2] == 0).all()
    assert (best.scores[1:] == 0).all()


def test_vmap_and_gradients_through_any_storage():
    stored, queries = storage(ROWS, DIMS, kind="pq_norms"), jnp.asarray(normals(1, 7, DIMS))
    rows = ffjax.top_k(stored, queries, K).rows
    each = jax.vmap(lambda query: ffjax.top_k(stored, query, K))(queries)
    np.testing.assert_array_equal(each.rows, rows)
    gradient = jax.grad(lambda queries: ffjax.top_k(stored, queries, K).scores.sum())(queries)
    expected = np.asarray(stored)[np.asarray(rows)].sum(1)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_approximate_search_is_exact_where_that_is_faster(work):
    matrix, stored, queries = work
    best = ffjax.top_k(stored, queries, K, approximate=0.9)
    agree(best, reference(matrix, queries, K))
    assert best.recall == 1


# 200,000 rows of 32 take 26 MB, and the scores of 600 queries 480 MB.
@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        ("dense", 600),
        ("pq", 1),
        ("pq_norms", 600),
        ("opq", 1),
        *(pytest.param(kind, 1, marks=exhaustive) for kind in ("dense", "pq_norms")),
        *(pytest.param(kind, 600, marks=exhaustive) for kind in ("pq", "opq")),
    ],
)
def test_a_program_never_holds_all_rows_or_scores(kind, batch):
    small, n = storage(8, 32, kind=kind), 200_000

    def large(leaf):
        return jax.ShapeDtypeStruct((n, *leaf.shape[1:]), leaf.dtype)

    fields = {name: jax.tree.map(large, getattr(small, name)) for name in small.row_arrays}
    queries = jax.ShapeDtypeStruct((batch, 32), jnp.float32)
    lowered = compiled.lower(replace(small, **fields), queries, metric="cosine")
    program = lowered.compile()
    assert program.memory_analysis().temp_size_in_bytes < 24e6
    lines = program.as_text().splitlines()
    sorts = [line for line in lines if " sort(" in line or "topk(" in line.lower()]
    assert sorts
    assert not any(f"[{n}" in line or f",{n}]" in line for line in sorts)


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"candidates": np.ones(3, bool)},
            ValueError,
            r"`candidates`: expected a mask of shape \(10,\), .* got \(3,\)",
        ),
        (
            {"candidates": np.ones((2, 2), int)},
            ValueError,
            r"`candidates`: expected one dimension .* got shape \(2, 2\)",
        ),
        (
            {"candidates": np.ones(2)},
            TypeError,
            r"`candidates`: expected a slice, .* got ndarray of float64",
        ),
        ({"candidates": "ab"}, TypeError, r"`candidates`: expected a slice, .* got str of"),
        ({"candidates": [10]}, IndexError, "`candidates`: expected 0 to 9, got 10 to 10"),
        (
            {"candidates": range(5, 12)},
            IndexError,
            r"`candidates`: expected rows from 0 to 9, got range\(5, 12\)",
        ),
        (
            {"candidates": slice(jnp.int32(0), 9, 2)},
            ValueError,
            "`candidates`: expected a step of 1 .* got 2",
        ),
        (
            {"metric": "far"},
            ValueError,
            "`metric`: expected one of 'dot', 'cosine', 'euclidean', 'angular', got 'far'",
        ),
        (
            {"exclude": np.ones((2, 1), np.int32)},
            ValueError,
            r"`exclude`: expected shape \(\) and .* got \(2, 1\)",
        ),
        (
            {"approximate": 0.0},
            ValueError,
            "`approximate`: expected a recall above 0 and up to 1, or None, got 0.0",
        ),
    ],
)
def test_errors(change, error, message):
    with pytest.raises(error, match=message):
        ffjax.top_k(embeddings(), jnp.ones(6), 1, **change)


def test_rows_without_dimensions_are_an_error():
    with pytest.raises(ValueError, match="`embeddings`: expected rows of at least one dimension"):
        ffjax.top_k(ffjax.NdArray(np.zeros((3, 0), np.float32)), np.zeros((4, 0), np.float32), 1)


# Gradients and extreme norms


@pytest.mark.parametrize(
    "metric", ["angular", "euclidean", pytest.param("cosine", marks=exhaustive)]
)
def test_gradients_are_finite_where_a_query_is_a_row(metric):
    matrix = jnp.asarray(normals(0, 7, 4))

    def total(matrix, queries):
        return ffjax.top_k(ffjax.NdArray(matrix), queries, 3, metric=metric).scores.sum()

    for gradient in jax.grad(total, argnums=(0, 1))(matrix, matrix[:4]):
        assert jnp.isfinite(gradient).all()
        assert gradient.any()


@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1e-18, 1.0, 1e18, 1e24, 1e30])
@pytest.mark.parametrize("metric", ["cosine", "angular", "euclidean"])
def test_rows_of_any_norm_have_a_cosine(scale, metric):
    matrix, queries = normals(5, ROWS, DIMS), normals(6, 7, DIMS)
    usual = ffjax.top_k(ffjax.NdArray(matrix), queries, K, metric=metric)
    some = np.where(np.arange(ROWS) % 3 == 0, np.float32(scale), np.float32(1))
    for rows in (matrix * np.float32(scale), matrix * some[:, None]):
        for scaled in (queries, queries * np.float32(scale)):
            best = ffjax.top_k(ffjax.NdArray(rows), scaled, K, metric=metric)
            assert best.rows.tolist() == usual.rows.tolist()
            np.testing.assert_allclose(best.scores, usual.scores, rtol=0, atol=2e-6)


def test_zero_rows_among_very_long_and_very_short_ones():
    matrix = np.array([[0.0, 0.0], [3e30, 4e30], [0.0, 1e-30], [1.0, 0.0]], np.float32)
    query = np.array([0.0, 1e30], np.float32)
    best = ffjax.top_k(ffjax.NdArray(matrix), query, 4, metric="cosine")
    assert best.rows.tolist() == [2, 1, 0, 3]
    np.testing.assert_allclose(best.scores, [1, 0.8, 0, 0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_products_of_cosines_of_any_norm(scale):
    matrix = normals(6, 100, 8)
    vectors = matrix[:6].reshape(3, 2, 8)
    usual = top_products(ffjax.NdArray(matrix), vectors, 3)
    best = top_products(ffjax.NdArray(matrix * np.float32(scale)), vectors, 3)
    assert best.rows.tolist() == usual.rows.tolist()
    np.testing.assert_allclose(best.scores, usual.scores, rtol=1e-5)


def test_gradients_of_cosines_of_any_norm():
    def best(matrix, query):
        return ffjax.top_k(ffjax.NdArray(matrix), query, 2, metric="cosine").scores.sum()

    gradient = jax.jit(jax.grad(best))
    matrix, query = jnp.asarray(normals(7, 40, 4)), jnp.array([0.5, -1.0, 2.0, 0.1])
    scaled = gradient(matrix * jnp.float32(1e24), query)
    np.testing.assert_allclose(scaled * 1e24, gradient(matrix, query), rtol=1e-4, atol=1e-6)
