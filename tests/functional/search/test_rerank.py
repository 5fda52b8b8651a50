"""The best rows of a search on codes, ranked anew by the rows that the codes stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import ffjax
from ffjax.functional.search import api
from tests.builders import embeddings, vocab
from tests.functional.search.reference import agree, integers, normals, reference


def rough(matrix):
    """Codes of one subquantizer for each dimension, which keep little more than signs."""
    books = np.tile(np.array([[-1.0], [0.0], [1.0]], np.float32), (matrix.shape[1], 1, 1))
    return ffjax.QuantizedArray(ffjax.PQ(books), (np.sign(matrix) + 1).astype(np.uint8))


def expected(stored, matrix, queries, k, factor, metric="dot"):
    first = reference(np.asarray(stored), queries, k * factor, metric=metric)[1]
    lines = [
        reference(matrix, query[None], k, allowed=rows, metric=metric)
        for query, rows in zip(queries, first, strict=True)
    ]
    return tuple(np.concatenate(both) for both in zip(*lines, strict=True))


@pytest.mark.parametrize(
    ("metric", "k"),
    [
        ("dot", 10),
        ("cosine", 1),
        pytest.param("dot", 1, marks=pytest.mark.exhaustive),
        pytest.param("cosine", 10, marks=pytest.mark.exhaustive),
    ],
)
def test_the_best_of_more_candidates(metric, k):
    matrix, queries = normals(0, 1003, 8), normals(1, 5, 8)
    stored = rough(matrix)
    answer = expected(stored, matrix, queries, k, 4, metric)
    exact = ffjax.NdArray(matrix)
    # Codes tie here, and their cosines are equal up to rounding alone, so they are compared by the
    # dot product.
    if metric == "dot":
        agree(ffjax.top_k(stored, queries, k, rerank=exact), answer, atol=1e-5)
        search = jax.jit(lambda s, e, q: ffjax.top_k(s, q, k, rerank=e))
        agree(search(stored, exact, queries), answer, atol=1e-5)
        single = ffjax.top_k(stored, queries[2], k, rerank=exact)
        agree(single, (answer[0][2], answer[1][2]), atol=1e-5)
    best = ffjax.top_k(stored, queries, k, rerank=exact, rerank_factor=2000, metric=metric)
    agree(best, reference(matrix, queries, k, metric=metric), atol=1e-5)


def test_recall_does_not_compile_it_again():
    matrix, queries = normals(0, 1003, 8), normals(1, 5, 8)
    stored, exact = rough(matrix), ffjax.NdArray(matrix)
    n_programs = api._rerank_rows._cache_size()
    for recall in (0.9, 0.95, 0.99):
        ffjax.top_k(stored, queries, 3, approximate=recall, rerank=exact)
    assert api._rerank_rows._cache_size() <= n_programs + 1


def test_ties_come_in_the_order_of_rows_and_missing_rows_stay_missing():
    matrix, queries = integers(0, 300, 3), integers(1, 6, 3)
    stored, exact = rough(matrix), ffjax.NdArray(matrix)
    for k in (5, 200):
        found = ffjax.top_k(stored, queries, k, rerank=exact, rerank_factor=300)
        agree(found, reference(matrix, queries, k))
    few = ffjax.top_k(stored, queries, 5, candidates=[7, 2], rerank=exact)
    agree(few, reference(matrix, queries, 5, allowed=[2, 7]))
    none = ffjax.top_k(stored, queries, 5, candidates=[], rerank=exact)
    assert (none.rows == -1).all() and (none.scores == -jnp.inf).all()
    for k, batch in ((0, 6), (3, 0)):
        best = ffjax.top_k(stored, queries[:batch], k, rerank=exact)
        assert best.rows.shape == (batch, k)


def test_nan_in_the_exact_rows_is_no_answer():
    matrix, queries = normals(0, 300, 8), normals(1, 4, 8)
    stored = rough(matrix)
    best = np.asarray(ffjax.top_k(stored, queries, 1, rerank=ffjax.NdArray(matrix)).rows)[:, 0]
    matrix[best] = np.nan
    found = ffjax.top_k(stored, queries, 5, rerank=ffjax.NdArray(matrix))
    assert not np.isin(found.rows, best).any()


def test_of_a_map_only_the_candidates_are_read(tmp_path, monkeypatch):
    matrix, queries = normals(0, 1003, 8), normals(1, 5, 8)
    stored, held = rough(matrix), ffjax.NdArray(matrix)
    held.write(tmp_path / "rows.fifu")
    mapped = ffjax.load_storage(tmp_path / "rows.fifu", mmap=True)
    assert isinstance(mapped.matrix, np.memmap)
    read = []
    whole = type(mapped).embedding
    monkeypatch.setattr(
        type(mapped), "embedding", lambda self, key: read.append(key) or whole(self, key)
    )
    agree(
        ffjax.top_k(stored, queries, 3, rerank=mapped),
        expected(stored, matrix, queries, 3, 4),
        atol=1e-5,
    )
    assert len(read) == 1 and len(np.unique(read[0])) <= 5 * 12
    none = ffjax.top_k(stored, queries, 3, rerank=mapped, candidates=[])
    assert (none.rows == -1).all()
    assert ffjax.top_k(stored, queries[:0], 3, rerank=mapped).rows.shape == (0, 3)


@pytest.mark.devices
def test_other_storages_and_embeddings():
    matrix, queries = normals(0, 10, 6), normals(1, 3, 6)
    words = vocab("simple")
    coarse, exact = (
        ffjax.Embeddings(rough(matrix), words),
        ffjax.Embeddings(ffjax.NdArray(matrix), words),
    )
    answer = expected(coarse.storage, matrix, queries, 2, 4)
    mesh = jax.make_mesh((8,), ("rows",))
    divided = ffjax.ShardedArray(matrix, NamedSharding(mesh, PartitionSpec("rows")))
    for rerank in (exact, exact.storage, divided):
        agree(ffjax.top_k(coarse, queries, 2, rerank=rerank), answer, atol=1e-5)
    subwords = embeddings("buckets")
    found = ffjax.top_k(subwords, queries, 2, rerank=subwords)
    agree(found, reference(np.asarray(subwords.storage)[:10], queries, 2), atol=1e-5)


def test_gradients_reach_the_exact_rows():
    matrix, queries = normals(0, 100, 8), jnp.asarray(normals(1, 3, 8))
    stored = rough(matrix)
    rows = ffjax.top_k(stored, queries, 2, rerank=ffjax.NdArray(matrix)).rows

    def total(matrix):
        return ffjax.top_k(stored, queries, 2, rerank=ffjax.NdArray(matrix)).scores.sum()

    picked = np.zeros_like(matrix)
    np.add.at(picked, np.asarray(rows), np.asarray(queries)[:, None, :])
    np.testing.assert_allclose(jax.grad(total)(jnp.asarray(matrix)), picked, atol=1e-5)


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"rerank": normals(0, 10, 6)},
            TypeError,
            "`rerank`: expected embeddings or a storage, got ndarray",
        ),
        (
            {"rerank": ffjax.NdArray(normals(0, 9, 6))},
            ValueError,
            r"`rerank`: .* 10 of 6 .* got NdArray\(9 x 6\)",
        ),
        (
            {"rerank": ffjax.NdArray(normals(0, 10, 5))},
            ValueError,
            r"`rerank`: .* got NdArray\(10 x 5\)",
        ),
        ({"rerank_factor": 0}, ValueError, "`rerank_factor`: expected 1 or more, got 0"),
        (
            {"rerank_factor": 1.5},
            TypeError,
            "`rerank_factor`: expected a whole number, got float 1.5",
        ),
    ],
)
def test_errors(change, error, message):
    with pytest.raises(error, match=message):
        ffjax.top_k(ffjax.NdArray(normals(0, 10, 6)), np.ones(6, np.float32), 1, **change)
