"""The approximate search, which only TPUs use: on the CPU `approx_max_k` finds all."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.kernels.top_k.approximate import approximate_search
from ffjax.kernels.top_k.row_source import ACCELERATOR, RowFilter, of_matrix
from tests.functional.search.reference import normals, reference

TINY = ACCELERATOR._replace(chunk=1 << 11, queries=5)  # many chunks, several blocks of queries


@pytest.mark.parametrize("plan", [TINY, ACCELERATOR], ids=["tiny", "accelerator"])
@pytest.mark.parametrize("restricted", [False, True])
def test_the_best_rows_are_found(plan, restricted):
    matrix, queries = normals(0, 3001, 8), normals(1, 12, 8)
    mask = np.random.default_rng(2).random(3001) < 0.5
    exclude = np.tile(np.arange(100, 110, dtype=np.int32), (12, 1))
    restriction, expected = RowFilter(), reference(matrix, queries, 9)
    if restricted:
        ends = {"start": jnp.int32(50), "stop": jnp.int32(2900)}
        restriction = RowFilter(allowed=jnp.asarray(mask), exclude=jnp.asarray(exclude), **ends)
        inside = np.flatnonzero(mask)
        inside = inside[(inside >= 50) & (inside < 2900)]
        expected = reference(matrix, queries, 9, allowed=inside, exclude=exclude)

    @partial(jax.jit, static_argnums=2)
    def search(matrix, queries, recall):
        return approximate_search(of_matrix(matrix), queries, 9, restriction, recall, plan)

    scores, rows = search(matrix, queries, 0.95)
    found = np.mean([len(set(a) & set(b)) / 9 for a, b in zip(rows.tolist(), expected[1].tolist(), strict=True)])
    assert found >= 0.95
    own = np.einsum("bd,bkd->bk", queries, matrix[np.asarray(rows)])
    np.testing.assert_allclose(scores, own, atol=1e-4)
    assert (np.diff(np.asarray(scores), axis=1) <= 0).all()


def test_more_than_there_are_and_nan():
    matrix = np.ones((20, 3), np.float32)
    matrix[4] = np.nan
    search = jax.jit(lambda m, q: approximate_search(of_matrix(m), q, 25, RowFilter(), 0.9, TINY))
    scores, rows = search(matrix, np.ones((2, 3), np.float32))
    assert sorted(rows[0].tolist()) == sorted([*[-1] * 6, *set(range(20)) - {4}])
    assert (np.asarray(scores)[:, 19:] == -np.inf).all()
