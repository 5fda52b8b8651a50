"""The approximate search, which only TPUs use: on CPUs `approx_max_k` finds all."""

from functools import partial

import jax
import numpy as np
import pytest

from ffjax.kernels.top_k.rows import RowFilter, Scorer, of_matrix
from ffjax.kernels.top_k.search import approximate_search
from ffjax.kernels.top_k.tiling import ACCELERATOR
from tests.functional.search.reference import normals, reference

# Many chunks and several blocks of queries.
NO_FILTER = RowFilter()
TINY = ACCELERATOR._replace(chunk_numbers=1 << 11, queries=5)


@partial(jax.jit, static_argnames=("k", "recall", "tiling"))
def search(matrix, queries, row_filter=NO_FILTER, *, k=9, recall=0.95, tiling=TINY):
    scorer = Scorer(of_matrix(matrix), "dot", tiling)
    return approximate_search(scorer, queries, k, row_filter, recall)


@pytest.mark.parametrize("tiling", [TINY, ACCELERATOR], ids=["tiny", "accelerator"])
@pytest.mark.parametrize("restricted", [False, True])
def test_the_best_rows_are_found(tiling, restricted):
    matrix, queries = normals(0, 3001, 8), normals(1, 12, 8)
    row_filter, expected = NO_FILTER, reference(matrix, queries, 9)
    if restricted:
        mask = np.random.default_rng(2).random(3001) < 0.5
        exclude = np.tile(np.arange(100, 110, dtype=np.int32), (12, 1))
        row_filter = RowFilter(np.int32(50), np.int32(2900), mask=mask, exclude=exclude)
        allowed = np.flatnonzero(mask)
        allowed = allowed[(allowed >= 50) & (allowed < 2900)]
        expected = reference(matrix, queries, 9, allowed=allowed, exclude=exclude)
    scores, rows = search(matrix, queries, row_filter, tiling=tiling)
    pairs = zip(rows.tolist(), expected[1].tolist(), strict=True)
    assert np.mean([len(set(found) & set(best)) / 9 for found, best in pairs]) >= 0.95
    own_scores = np.einsum("bd,bkd->bk", queries, matrix[np.asarray(rows)])
    np.testing.assert_allclose(scores, own_scores, atol=1e-4)
    assert (np.diff(np.asarray(scores), axis=1) <= 0).all()


def test_more_answers_than_rows_and_nan():
    matrix = np.ones((20, 3), np.float32)
    matrix[4] = np.nan
    scores, rows = search(matrix, np.ones((2, 3), np.float32), k=25, recall=0.9)
    assert sorted(rows[0].tolist()) == sorted([*[-1] * 6, *set(range(20)) - {4}])
    assert (np.asarray(scores)[:, 19:] == -np.inf).all()
