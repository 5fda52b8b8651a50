"""Top-k among some rows: those to leave out, masks, ranges and the first ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.kernels.top_k.block_max import search
from ffjax.kernels.top_k.metrics import top_k
from ffjax.kernels.top_k.row_source import CPU, RowFilter, of_matrix
from tests.functional.search.reference import agree, integers, reference
from tests.kernels.top_k.plans import TINY, with_plan


@partial(jax.jit, static_argnums=0)
def search_range(plan, matrix, queries, start, stop):
    return search(of_matrix(matrix), queries, 9, RowFilter(start=start, stop=stop), plan)


@pytest.mark.parametrize("plan", [TINY, CPU], ids=["tiny", "cpu"])
def test_rows_to_leave_out(plan):
    matrix, queries = integers(0, 900, 6), integers(1, 11, 6)
    _, best = reference(matrix, queries, 40)
    exclude = best[:, ::2][:, :15].astype(np.int32)
    exclude[3] = -1
    exclude[4, 5:] = exclude[4, 0]
    expected = reference(matrix, queries, 10, exclude=exclude)
    agree(with_plan(plan, matrix, queries, 10, exclude=jnp.asarray(exclude)), expected)
    agree(top_k(matrix, queries, 10, exclude=exclude), expected)


def test_leaving_out_all_but_one():
    exclude = np.array([[0, 1, 3], [3, 2, 1]], np.int32)
    scores, rows = top_k(np.eye(4, dtype=np.float32), np.ones((2, 4), np.float32), 2, exclude=exclude)
    assert rows.tolist() == [[2, -1], [0, -1]]
    assert scores.tolist() == [[1, -np.inf], [1, -np.inf]]


@pytest.mark.parametrize("batch", [1, 6])
def test_allowed_rows(batch):
    matrix, queries = integers(0, 3100, 6), integers(1, batch, 6)
    for share in (0.0, 0.001, 0.5, 1.0):
        allowed = np.random.default_rng(2).random(3100) < share
        agree(top_k(matrix, queries, 9, allowed=allowed), reference(matrix, queries, 9, allowed=allowed))
    tiny = with_plan(TINY, matrix, queries, 9, allowed=jnp.asarray(allowed))
    agree(tiny, reference(matrix, queries, 9, allowed=allowed))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 3100), (5, 3090), (64, 128), (100, 101), (31, 33), (2000, 2000), (3099, 3100), (7, 9999)]
)
@pytest.mark.parametrize("batch", [1, 6])
def test_a_range_of_rows(batch, start, stop):
    matrix, queries = integers(0, 3100, 6), integers(1, batch, 6)
    mask = (np.arange(3100) >= start) & (np.arange(3100) < stop)
    expected = reference(matrix, queries, 9, allowed=mask)
    agree(top_k(matrix, queries, 9, start=start, stop=stop), expected)
    agree(search_range(TINY, matrix, queries, jnp.int32(start), jnp.int32(stop)), expected)


def test_all_restrictions_at_once():
    matrix, queries = integers(0, 3100, 6), integers(1, 300, 6)
    allowed = np.random.default_rng(2).random(3100) < 0.3
    exclude = np.random.default_rng(3).integers(-1, 2500, (300, 50)).astype(np.int32)
    mask = allowed & (np.arange(3100) >= 100) & (np.arange(3100) < 2500)
    found = top_k(matrix, queries, 30, exclude=exclude, allowed=allowed, start=100, stop=jnp.int32(2500), n_rows=2700)
    agree(found, reference(matrix, queries, 30, exclude=exclude, allowed=mask))


def test_only_the_first_rows():
    matrix, queries = integers(0, 3100, 6), integers(1, 5, 6)
    expected = reference(matrix[:1111], queries, 9)
    agree(top_k(matrix, queries, 9, n_rows=1111), expected)
    agree(top_k(matrix, queries, 9, stop=1111), expected)
    agree(top_k(matrix, queries, 9, n_rows=9999), reference(matrix, queries, 9))


@pytest.mark.parametrize("k", [64, 150, 1400])
def test_many_answers_among_some_rows(k):
    """What is chosen by a threshold, with most scores equal to many others, where few and where most rows are left."""
    matrix, queries = integers(0, 3100, 6), integers(1, 40, 6)
    exclude = np.random.default_rng(3).integers(-1, 2500, (40, 30)).astype(np.int32)
    for share in (0.02, 0.9):
        allowed = np.random.default_rng(2).random(3100) < share
        mask = allowed & (np.arange(3100) >= 77) & (np.arange(3100) < 2900)
        found = top_k(matrix, queries, k, exclude=exclude, allowed=allowed, start=77, stop=2900)
        agree(found, reference(matrix, queries, k, exclude=exclude, allowed=mask))


def test_many_answers_beside_nan_and_infinity():
    matrix, queries = integers(0, 3100, 6), integers(1, 40, 6)
    matrix[::7] = np.nan
    matrix[3::11, 0] = -np.inf
    queries = np.abs(queries) + 1
    agree(top_k(matrix, queries, 100), reference(matrix, queries, 100))
    clean = ~np.isnan(matrix).any(1) & np.isfinite(matrix).all(1)
    _, rows = top_k(matrix[:400], queries, 399)
    assert {row for row in np.asarray(rows).ravel().tolist() if row >= 0} == set(np.flatnonzero(clean[:400]).tolist())
