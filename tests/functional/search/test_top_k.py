"""`top_k` over embeddings and storages, beside NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.pytree import replace
from ffjax.functional.analogy import answer
from tests.builders import ALL_STORAGES, embeddings, storage
from tests.functional.search.reference import agree, integers, normals, reference


@pytest.mark.parametrize(
    ("rows", "allowed"),
    [
        (slice(None), range(1000)),
        (slice(20), range(20)),
        (slice(-30, None), range(970, 1000)),
        (slice(900, 100, -7), range(900, 100, -7)),
        (range(5, 5), []),
        (range(3, 999, 100), range(3, 999, 100)),
        (np.arange(1000) % 3 == 0, range(0, 1000, 3)),
        (np.array([7, 900, 7, 3, 501, 20]), [7, 900, 3, 501, 20]),
        ([4], [4]),
        ([], []),
    ],
)
def test_only_some_rows(rows, allowed):
    matrix, queries = integers(0, 1000, 5), integers(1, 4, 5)
    storage = ffjax.NdArray(matrix)
    expected = reference(matrix, queries, 9, allowed=np.asarray(allowed, int))
    agree(ffjax.top_k(storage, queries, 9, candidates=rows), expected)
    if not isinstance(rows, slice | range | list):
        agree(jax.jit(lambda s, q, r: ffjax.top_k(s, q, 9, candidates=r))(storage, queries, rows), expected)


def test_a_slice_whose_ends_are_traced():
    matrix, queries = integers(0, 1000, 5), integers(1, 4, 5)
    search = jax.jit(lambda a, b: ffjax.top_k(ffjax.NdArray(matrix), queries, 9, candidates=slice(a, b)))
    agree(search(jnp.int32(10), jnp.int32(60)), reference(matrix, queries, 9, allowed=range(10, 60)))


def test_a_list_of_rows_with_rows_to_leave_out():
    matrix, queries = integers(0, 1000, 5), integers(1, 6, 5)
    rows = np.random.default_rng(2).integers(0, 1000, 300).astype(np.int32)
    exclude = np.concatenate([rows[:60].reshape(6, 10), np.full((6, 2), -1)], axis=1).astype(np.int32)
    expected = reference(matrix, queries, 20, allowed=rows, exclude=exclude)
    agree(ffjax.top_k(ffjax.NdArray(matrix), queries, 20, candidates=rows, exclude=exclude), expected)
    jitted = jax.jit(lambda m, q, r, e: ffjax.top_k(ffjax.NdArray(m), q, 20, candidates=r, exclude=e))
    agree(jitted(matrix, queries, rows, exclude), expected)


def test_traced_numbers_that_are_none_of_the_rows_are_passed_over():
    matrix, queries = integers(0, 50, 5), integers(1, 3, 5)
    search = jax.jit(lambda ids: ffjax.top_k(ffjax.NdArray(matrix), queries, 4, candidates=ids))
    agree(search(jnp.array([7, -1, 50, 3, -9, 7])), reference(matrix, queries, 4, allowed=[3, 7]))


@pytest.mark.parametrize("kind", ALL_STORAGES)
@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_every_storage_and_metric(kind, metric):
    stored, queries = storage(3000, kind=kind), normals(1, 5, 6)
    matrix = np.asarray(stored)
    some = np.unique(np.random.default_rng(2).integers(0, 3000, 500)).astype(np.int32)
    for rows, allowed in ((None, range(3000)), (some, some), (slice(40, 1999), range(40, 1999))):
        expected, _ = reference(matrix, queries, 7, metric=metric, allowed=allowed)
        search = jax.jit(lambda s, q, rows=rows: ffjax.top_k(s, q, 7, metric=metric, candidates=rows))
        for found in (search(stored, queries), ffjax.top_k(stored, queries, 7, metric=metric, candidates=rows)):
            np.testing.assert_allclose(found.scores, expected, atol=2e-5)
            assert np.isin(found.rows, allowed).all()
            own = reference(matrix, queries, 3000, metric=metric)
            scores = np.take_along_axis(own[0], np.argsort(own[1], axis=1), axis=1)  # by row
            np.testing.assert_allclose(np.take_along_axis(scores, np.asarray(found.rows), axis=1), expected, atol=2e-5)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,), (2, 0, 3)])
def test_any_shape_of_a_batch(batch):
    matrix, queries = integers(0, 300, 5), integers(1, *batch, 5)
    exclude = np.zeros((*batch, 2), np.int32)
    best = ffjax.top_k(ffjax.NdArray(matrix), queries, 4, exclude=exclude)
    assert best.scores.shape == best.rows.shape == (*batch, 4)
    expected = reference(matrix, queries.reshape(-1, 5), 4, exclude=exclude.reshape(-1, 2))
    assert best.rows.reshape(-1, 4).tolist() == expected[1].tolist()


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_nan_is_never_an_answer(metric):
    """More rows with NaN than are asked for, in every block: none of them may hide a number."""
    matrix, queries = normals(0, 5000, 6), normals(1, 40, 6)
    bad = np.random.default_rng(2).random(5000) < 0.7
    matrix[bad, 3] = np.nan
    queries[7, 2] = np.nan
    expected = reference(matrix, queries, 12, metric=metric)
    for few in (slice(0, 1), slice(0, 40)):
        found = ffjax.top_k(ffjax.NdArray(matrix), queries[few], 12, metric=metric)
        agree(found, [x[few] for x in expected], atol=1e-5)
    assert (found.rows[7] == -1).all()
    assert (found.scores[7] == -jnp.inf).all()
    few_numbers = np.full((400, 6), np.nan, np.float32)
    few_numbers[[5, 399]] = 1
    assert ffjax.top_k(ffjax.NdArray(few_numbers), np.ones(6, np.float32), 3).rows.tolist() == [5, 399, -1]


def test_zero_vectors_score_zero():
    matrix = np.concatenate([np.zeros((2, 4)), -np.ones((3, 4))]).astype(np.float32)
    for metric in ("dot", "cosine"):
        best = ffjax.top_k(
            ffjax.NdArray(matrix), np.stack([np.ones(4), np.zeros(4)]).astype(np.float32), 3, metric=metric
        )
        assert best.rows.tolist() == [[0, 1, 2], [0, 1, 2]]
        assert best.scores[1].tolist() == [0, 0, 0]


def test_vmap_and_gradients_through_any_storage():
    stored, queries = storage(60, kind="pq_norms"), jnp.asarray(normals(1, 4, 6))
    each = jax.vmap(lambda query: ffjax.top_k(stored, query, 3))(queries)
    np.testing.assert_array_equal(each.rows, ffjax.top_k(stored, queries, 3).rows)
    gradient = jax.grad(lambda queries: ffjax.top_k(stored, queries, 3).scores.sum())(queries)
    np.testing.assert_allclose(gradient, np.asarray(stored)[np.asarray(each.rows)].sum(1), atol=1e-5)


def test_a_share_of_the_best_rows_is_exact_where_that_is_faster():
    matrix, queries = integers(0, 300, 5), integers(1, 3, 5)
    best = ffjax.top_k(ffjax.NdArray(matrix), queries, 4, approximate=0.9)
    agree(best, reference(matrix, queries, 4))
    assert best.recall == 1


@pytest.mark.parametrize("kind", ["dense", "pq", "pq_norms", "opq"])
@pytest.mark.parametrize("batch", [1, 600])
def test_nothing_is_ever_whole(kind, batch):
    """What a program allocates for 200,000 rows of 32: the rows are 26 MB, the scores of 600 queries 480 MB."""
    small = storage(8, 32, kind=kind)
    rows = {8: 200_000}

    def large(leaf):
        return jax.ShapeDtypeStruct((rows.get(leaf.shape[0], leaf.shape[0]), *leaf.shape[1:]), leaf.dtype)

    if kind == "dense":
        stored = jax.tree.map(large, small)
    else:
        stored = jax.tree.map(lambda leaf: leaf, small)
        quantizer = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), small.quantizer)
        norms = None if small.norms is None else large(small.norms)
        stored = replace(small, quantizer=quantizer, codes=large(small.codes), norms=norms)
    queries = jax.ShapeDtypeStruct((batch, 32), jnp.float32)
    compiled = jax.jit(lambda s, q: ffjax.top_k(s, q, 10, metric="cosine")).lower(stored, queries).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 24e6
    sorts = [line for line in compiled.as_text().splitlines() if " sort(" in line or "topk(" in line.lower()]
    assert sorts
    assert not any(f"[{n}" in line or f",{n}]" in line for n in (200_000,) for line in sorts)


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"candidates": np.ones(3, bool)}, ValueError, r"`candidates`: expected a mask of shape \(10,\), .* got \(3,\)"),
        ({"candidates": np.ones((2, 2), int)}, ValueError, r"`candidates`: expected one dimension .* got shape \(2, 2\)"),
        ({"candidates": np.ones(2)}, TypeError, r"`candidates`: expected a slice, .* got ndarray of float64"),
        ({"candidates": "ab"}, TypeError, r"`candidates`: expected a slice, .* got str of"),
        ({"candidates": [10]}, IndexError, "`candidates`: expected 0 to 9, got 10 to 10"),
        ({"candidates": range(5, 12)}, IndexError, r"`candidates`: expected rows from 0 to 9, got range\(5, 12\)"),
        ({"candidates": slice(jnp.int32(0), 9, 2)}, ValueError, "`candidates`: expected a step of 1 .* got 2"),
        ({"metric": "far"}, ValueError, "`metric`: expected one of dot, cosine, euclidean, angular, got 'far'"),
        ({"exclude": np.ones((2, 1), np.int32)}, ValueError, r"`exclude`: expected shape \(\) and .* got \(2, 1\)"),
        ({"approximate": 0.0}, ValueError, "`approximate`: expected a recall above 0 and up to 1, or None, got 0.0"),
    ],
)
def test_errors(change, error, message):
    with pytest.raises(error, match=message):
        ffjax.top_k(embeddings(), jnp.ones(6), 1, **change)


@pytest.mark.parametrize("metric", ["cosine", "angular", "euclidean"])
def test_gradients_are_finite_where_a_query_is_a_row(metric):
    matrix = jnp.asarray(np.random.default_rng(0).standard_normal((7, 4)), jnp.float32)

    def total(matrix, queries):
        return ffjax.top_k(ffjax.NdArray(matrix), queries, 3, metric=metric).scores.sum()

    for gradient in jax.grad(total, argnums=(0, 1))(matrix, matrix[:4]):
        assert jnp.isfinite(gradient).all()
        assert gradient.any()


def test_ends_of_slices_that_are_arrays_count_from_the_last_row_too():
    storage = ffjax.NdArray(np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32))
    query = jnp.ones((1, 4))
    expected = ffjax.top_k(storage, query, 3, candidates=slice(-9, -2)).rows
    traced = jax.jit(lambda a, b: ffjax.top_k(storage, query, 3, candidates=slice(a, b)).rows)
    np.testing.assert_array_equal(traced(jnp.int32(-9), jnp.int32(-2)), expected)


# Lengths beyond the range in which squares are float32


@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1e-18, 1.0, 1e18, 1e24, 1e30])
@pytest.mark.parametrize("metric", ["cosine", "angular", "euclidean"])
def test_rows_of_any_length_have_a_cosine(scale, metric):
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((300, 20)).astype(np.float32)
    queries = rng.standard_normal((3, 20)).astype(np.float32)
    usual = ffjax.top_k(ffjax.NdArray(matrix), queries, 5, metric=metric)
    lengths = np.where(np.arange(300) % 3 == 0, np.float32(scale), np.float32(1))  # beside usual ones
    for rows in (matrix * np.float32(scale), matrix * lengths[:, None]):
        for asked in (queries, queries * np.float32(scale)):
            best = ffjax.top_k(ffjax.NdArray(rows), asked, 5, metric=metric)
            assert best.rows.tolist() == usual.rows.tolist()
            np.testing.assert_allclose(best.scores, usual.scores, rtol=0, atol=2e-6)


def test_zero_rows_among_very_long_and_very_short_ones():
    matrix = np.array([[0.0, 0.0], [3e30, 4e30], [0.0, 1e-30], [1.0, 0.0]], np.float32)
    best = ffjax.top_k(ffjax.NdArray(matrix), np.array([0.0, 1e30], np.float32), 4, metric="cosine")
    assert best.rows.tolist() == [2, 1, 0, 3]
    np.testing.assert_allclose(best.scores, [1, 0.8, 0, 0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_products_of_cosines_of_any_length(scale):
    matrix = np.random.default_rng(6).standard_normal((100, 8)).astype(np.float32)
    vectors = matrix[:6].reshape(3, 2, 8)
    usual = answer(ffjax.NdArray(matrix), vectors, 3, method="3cosmul")
    best = answer(ffjax.NdArray(matrix * np.float32(scale)), vectors, 3, method="3cosmul")
    assert best.rows.tolist() == usual.rows.tolist()
    np.testing.assert_allclose(best.scores, usual.scores, rtol=1e-5)


def test_gradients_of_cosines_of_any_length():
    def best(matrix, query):
        return ffjax.top_k(ffjax.NdArray(matrix), query, 2, metric="cosine").scores.sum()

    matrix = jnp.asarray(np.random.default_rng(7).standard_normal((40, 4)).astype(np.float32))
    query = jnp.array([0.5, -1.0, 2.0, 0.1])
    usual = jax.grad(best)(matrix, query)
    scaled = jax.grad(best)(matrix * jnp.float32(1e24), query)
    np.testing.assert_allclose(scaled * 1e24, usual, rtol=1e-4, atol=1e-6)


def test_rows_without_dimensions_are_refused():
    with pytest.raises(ValueError, match="`embeddings`: expected rows of at least one dimension"):
        ffjax.top_k(ffjax.NdArray(np.zeros((3, 0), np.float32)), np.zeros((4, 0), np.float32), 1)
