"""Search among some rows: excluded ones, masks, ranges and the first ones."""

import numpy as np
import pytest

from ffjax.kernels.top_k.rows import RowFilter
from tests.functional.search.reference import agree, integers, reference
from tests.kernels.top_k.searches import TILINGS, TINY, search


def only(n, share):
    return np.random.default_rng(2).random(n) < share


def between(start, stop):
    return RowFilter(np.int32(start), np.int32(stop))


@pytest.mark.parametrize("tiling", TILINGS)
def test_excluded_rows(tiling):
    matrix, queries = integers(0, 1003, 8), integers(1, 7, 8)
    _, best = reference(matrix, queries, 40)
    exclude = best[:, ::2][:, :15].astype(np.int32)
    exclude[3] = -1
    exclude[4, 5:] = exclude[4, 0]
    found = search(matrix, queries, RowFilter(exclude=exclude), tiling=TILINGS[tiling])
    agree(found, reference(matrix, queries, 9, exclude=exclude))


def test_excluding_all_rows_but_one():
    exclude = np.array([[0, 1, 3], [3, 2, 1]], np.int32)
    matrix, queries = np.eye(4, dtype=np.float32), np.ones((2, 4), np.float32)
    scores, rows = search(matrix, queries, RowFilter(exclude=exclude), k=2)
    assert rows.tolist() == [[2, -1], [0, -1]]
    assert scores.tolist() == [[1, -np.inf], [1, -np.inf]]


@pytest.mark.parametrize("batch", [1, 7])
def test_a_mask(batch):
    matrix, queries = integers(0, 3100, 8), integers(1, batch, 8)
    for share in (0.0, 0.001, 0.5, 1.0):
        mask = only(3100, share)
        expected = reference(matrix, queries, 9, allowed=mask)
        agree(search(matrix, queries, RowFilter(mask=mask)), expected)
    agree(search(matrix, queries, RowFilter(mask=mask), tiling=TINY), expected)


RANGES = [
    (0, 3100),
    (5, 3090),
    (64, 128),
    (100, 101),
    (31, 33),
    (2000, 2000),
    (3099, 3100),
    (7, 9999),
]


@pytest.mark.parametrize(("start", "stop"), RANGES)
@pytest.mark.parametrize(("batch", "tiling"), [(1, "tiny"), (1, "cpu"), (7, "tiny"), (7, "cpu")])
def test_a_range_of_rows(batch, tiling, start, stop):
    matrix, queries = integers(0, 3100, 8), integers(1, batch, 8)
    mask = (np.arange(3100) >= start) & (np.arange(3100) < stop)
    found = search(matrix, queries, between(start, stop), tiling=TILINGS[tiling])
    agree(found, reference(matrix, queries, 9, allowed=mask))


def test_a_list_of_rows_with_duplicates_and_numbers_out_of_range():
    matrix, queries = integers(0, 1003, 8), integers(1, 7, 8)
    ids = np.sort(np.random.default_rng(2).integers(0, 1003, 300)).astype(np.int32)
    exclude = np.repeat(ids[::60][None], 7, axis=0)
    listed = np.concatenate([[-3, -1], ids, [1003, 5000]]).astype(np.int32)
    found = search(matrix, queries, RowFilter(ids=listed, exclude=exclude))
    agree(found, reference(matrix, queries, 9, allowed=ids, exclude=exclude))


def test_all_restrictions_at_once():
    matrix, queries = integers(0, 3100, 8), integers(1, 300, 8)
    mask = only(3100, 0.3)
    exclude = np.random.default_rng(3).integers(-1, 2500, (300, 50)).astype(np.int32)
    row_filter = between(100, 2500)._replace(mask=mask, exclude=exclude)
    allowed = mask & (np.arange(3100) >= 100) & (np.arange(3100) < 2500)
    found = search(matrix, queries, row_filter, k=30, n_rows=2700)
    agree(found, reference(matrix, queries, 30, exclude=exclude, allowed=allowed))


def test_only_the_first_rows():
    matrix, queries = integers(0, 3100, 8), integers(1, 7, 8)
    agree(search(matrix, queries, n_rows=1111), reference(matrix[:1111], queries, 9))


@pytest.mark.parametrize("k", [64, 1400, pytest.param(150, marks=pytest.mark.exhaustive)])
def test_many_answers_among_some_rows(k):
    """Selection by a threshold, where most scores are equal to many others."""
    matrix, queries = integers(0, 3100, 8), integers(1, 40, 8)
    exclude = np.random.default_rng(3).integers(-1, 2500, (40, 30)).astype(np.int32)
    for share in (0.02, 0.9):
        mask = only(3100, share)
        allowed = mask & (np.arange(3100) >= 77) & (np.arange(3100) < 2900)
        row_filter = between(77, 2900)._replace(mask=mask, exclude=exclude)
        expected = reference(matrix, queries, k, exclude=exclude, allowed=allowed)
        agree(search(matrix, queries, row_filter, k=k), expected)


def test_many_answers_among_nan_and_infinity():
    matrix, queries = integers(0, 3100, 8), integers(1, 40, 8)
    matrix[::7] = np.nan
    matrix[3::11, 0] = -np.inf
    queries = np.abs(queries) + 1
    agree(search(matrix, queries, k=100), reference(matrix, queries, 100))
    finite = np.isfinite(matrix[:400]).all(1)
    _, rows = search(matrix[:400], queries, k=399)
    assert set(np.unique(rows).tolist()) - {-1} == set(np.flatnonzero(finite).tolist())
