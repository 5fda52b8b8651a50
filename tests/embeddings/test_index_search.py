"""Approximate search through indexes of faiss and usearch, beside the exact search."""

import re

import jax
import numpy as np
import pytest

import ffjax
from tests.builders import embeddings, storage

N, DIMS, K = 2000, 16, 10
ROWS = storage(N, DIMS)
QUERIES = np.random.default_rng(5).standard_normal((3, 7, DIMS)).astype(np.float32)


class Proposes:
    """An index that proposes certain rows."""

    def __init__(self, rows):
        self.rows = rows

    def search(self, queries, k):
        return np.tile(self.rows, (len(queries), 1))

    def save(self, path):
        np.array(self.rows).tofile(path)


def faiss_index():
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(DIMS, "IVF16,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(ROWS[:].read(slice(None)))
    index.add(ROWS[:].read(slice(None)))
    index.nprobe = 12
    return ffjax.FaissIndex(index)


def usearch_index():
    usearch = pytest.importorskip("usearch.index")
    index = usearch.Index(ndim=DIMS, metric="ip", dtype="f32", expansion_search=200)
    index.add(np.arange(N), ROWS[:].read(slice(None)))
    return ffjax.UsearchIndex(index)


def recall(rows, exact):
    shared = (rows[..., :, None] == np.asarray(exact)[..., None, :]).any(-1)
    return shared.mean()


@pytest.mark.parametrize("make", [faiss_index, usearch_index])
def test_an_index_finds_the_best_rows_and_scores_are_exact(make, tmp_path):
    index, exact = make(), ffjax.top_k(ROWS, QUERIES, K)
    best = ffjax.search_index(index, ROWS, QUERIES, K, candidates=30)
    assert recall(best.rows, exact.rows) >= 0.95 and best.recall is None
    assert re.fullmatch(rf"{type(index).__name__}\(Index\w* of {N} rows\)", repr(index))
    assert repr(best).endswith("recall=None)") and jax.tree.map(np.copy, best).recall is None
    products = np.einsum("...kd,...d->...k", ROWS.read(best.rows), QUERIES)
    np.testing.assert_allclose(best.scores, products, atol=1e-5)
    one = ffjax.search_index(index, ROWS, QUERIES[0, 0], K)
    np.testing.assert_array_equal(one.rows[:3], best.rows[0, 0, :3])

    for _ in range(2):  # the second time it is replaced
        ffjax.save_index(index, tmp_path / "rows.index", ROWS)
    opened = ffjax.load_index(tmp_path / "rows.index", ROWS, type(index).load)
    again = ffjax.search_index(opened, ROWS, QUERIES, K, candidates=30)
    assert recall(again.rows, exact.rows) >= 0.95
    with pytest.raises(ValueError, match="`embeddings`: expected the rows that .* made of"):
        ffjax.load_index(tmp_path / "rows.index", storage(N, DIMS, seed=1), type(index).load)


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean", "angular"])
def test_an_index_that_proposes_all_rows_gives_the_exact_answer(metric):
    emb = embeddings("buckets")
    n_words = emb.n_words
    queries = QUERIES[0, :, :6]
    all_rows = Proposes([*range(n_words), 3, -1])  # a row twice, and none
    best = ffjax.search_index(all_rows, emb, queries, n_words, metric=metric)
    exact = ffjax.top_k(emb, queries, n_words, metric=metric)
    np.testing.assert_array_equal(best.rows, exact.rows)
    np.testing.assert_allclose(best.scores, exact.scores, atol=1e-5)


def test_few_proposals_and_ties():
    rows = ffjax.NdArray(np.ones((5, 2), np.float32))
    best = ffjax.search_index(Proposes([4, -1, 2]), rows, np.ones((1, 2), np.float32), 3)
    assert best.rows.tolist() == [[2, 4, -1]] and best.scores.tolist() == [[2, 2, -np.inf]]
    empty = ffjax.search_index(Proposes([0]), rows, np.ones((0, 2), np.float32), 3)
    assert empty.rows.shape == (0, 3)


def test_bad_arguments():
    queries = QUERIES[0]
    for index, k, options, error, expected in [
        (Proposes([N]), 1, {}, ValueError, f"`index`: expected rows below {N}, .* got {N}"),
        (Proposes([0]), 5, {"candidates": 4}, ValueError, "`candidates`: expected 5 or more"),
        (Proposes([0]), 5, {"metric": "l2"}, ValueError, "`metric`: expected one of"),
    ]:
        with pytest.raises(error, match=expected):
            ffjax.search_index(index, ROWS, queries, k, **options)
    with pytest.raises(ValueError, match="`queries`: expected 16 dimensions"):
        ffjax.search_index(Proposes([0]), ROWS, queries[:, :3])
