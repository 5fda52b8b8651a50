"""Searches in NumPy and in compiled code give the same answers, for every storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.functional import tier
from ffjax.functional.search import in_numpy, nearest_rows
from ffjax.kernels.top_k.rows import COS_MUL, METRICS
from tests.functional.search.reference import agree, integers, normals, reference
from tests.storage.test_contract import DIMS, IN_ARRAYS, ROWS, STORAGES, definition, mapped
from tests.toy import ToyArray

QUERIES = normals(1, 3, DIMS)
EXCLUDE = np.array([[0, -1], [7, 3], [-1, -1]], np.int32)
MASK = np.arange(ROWS) % 3 > 0
FILTERS = {
    "all": {},
    "exclude": {"exclude": EXCLUDE},
    "slice": {"candidates": slice(5, 40), "exclude": EXCLUDE},
    "mask": {"candidates": MASK, "exclude": EXCLUDE},
    "listed": {"candidates": [40, 3, 8, 7, 22, 3], "exclude": EXCLUDE},
}


@pytest.fixture(scope="module", params=list(STORAGES))
def stored(request) -> ffjax.Storage:
    return STORAGES[request.param]()


def pair(best):
    return best.scores, best.rows


def same(best, expected, rtol=1e-6, atol=2e-6):
    """The same scores to rounding, and the same rows where scores differ by more."""
    expected = pair(expected) if isinstance(expected, ffjax.TopK) else expected
    scores, rows = np.asarray(expected[0], np.float64), np.asarray(expected[1])
    np.testing.assert_allclose(best.scores, scores, rtol=rtol, atol=atol)
    with np.errstate(invalid="ignore"):  # of minus infinity
        gaps = np.abs(np.diff(scores, axis=1, prepend=np.inf, append=np.nan))
    clear = (gaps[:, :-1] > 4 * atol) & (gaps[:, 1:] > 4 * atol) | (scores == -np.inf)
    np.testing.assert_array_equal(best.rows[clear], rows[clear])
    assert clear.mean() > 0.4


@pytest.mark.parametrize("metric", ["dot", "cosine", COS_MUL])
def test_tiers_agree(stored, metric, in_both):
    queries = np.stack([QUERIES, -QUERIES, QUERIES[::-1]], 1) if metric == COS_MUL else QUERIES
    host, device = in_both(lambda: nearest_rows(stored, queries, 10, metric=metric))
    # Where the cosine with a is nearly -1, 3CosMul divides by little but rounding.
    same(host, device, rtol=1e-5 if metric == COS_MUL else 1e-6)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_numpy_answers_as_defined(stored, metric, name, monkeypatch):
    monkeypatch.setenv("FFJAX_COMPILE", "never")
    options = FILTERS[name]
    allowed = {"slice": np.arange(5, 40), "mask": MASK, "listed": [3, 7, 8, 22, 40]}.get(name)
    best = nearest_rows(stored, QUERIES, ROWS + 3, metric=metric, **options)
    expected = reference(
        definition(stored),
        QUERIES,
        ROWS + 3,
        metric=metric,
        allowed=allowed,
        exclude=options.get("exclude"),
    )
    same(best, expected, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_agree(metric, in_both):
    stored = STORAGES["dense"]()
    same(*in_both(lambda: nearest_rows(stored, QUERIES, 10, metric=metric)))


@pytest.mark.parametrize("name", FILTERS)
def test_filters_agree(name, in_both):
    stored = STORAGES["opq"]()
    same(*in_both(lambda: nearest_rows(stored, QUERIES, 7, **FILTERS[name])))


@pytest.mark.parametrize("kind", IN_ARRAYS)
def test_maps_are_searched_in_place(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("FFJAX_COMPILE", "never")
    stored = STORAGES[kind]()
    expected = nearest_rows(stored, QUERIES, 10, metric="cosine")
    best = nearest_rows(mapped(stored, tmp_path), QUERIES, 10, metric="cosine")
    agree(best, pair(expected))


def test_the_lower_row_wins_ties_across_blocks(monkeypatch, in_both):
    """Equal rows have equal scores wherever they stand, and however many threads score them."""
    monkeypatch.setattr(in_numpy, "_TASK_NUMBERS", 64)
    monkeypatch.setattr(in_numpy, "_GROUP_SCORES", 1000)
    matrix = integers(2, 700, DIMS)
    rows = normals(3, 5, DIMS)[np.arange(700) % 5]
    for values, queries, metric in (
        (matrix, integers(4, 3, DIMS), "dot"),
        (rows, QUERIES, "dot"),
        (rows, QUERIES, "cosine"),
    ):
        storage = ffjax.NdArray(values)
        host, device = in_both(lambda: nearest_rows(storage, queries, 40, metric=metric))  # noqa: B023
        np.testing.assert_array_equal(host.rows, device.rows)
        if values is matrix:
            agree(host, reference(matrix, queries, 40))


def test_numbers_that_are_not_finite(in_both):
    matrix = normals(5, 40, DIMS)
    matrix[3, 0], matrix[7] = np.nan, 0
    matrix[9] *= 1e-30
    matrix[11] *= 1e30
    queries = np.concatenate([QUERIES, np.full((1, DIMS), np.nan, np.float32)])
    queries[1] = 0
    storage = ffjax.NdArray(matrix)
    for metric in METRICS:
        host, device = in_both(lambda: nearest_rows(storage, queries, 40, metric=metric))  # noqa: B023
        assert host.rows[3].tolist() == [-1] * 40 and 3 not in host.rows
        np.testing.assert_allclose(host.scores, device.scores, rtol=1e-5, atol=5e-6)
        np.testing.assert_array_equal(np.sort(host.rows, 1), np.sort(device.rows, 1))


def test_edges(in_both):
    storage = STORAGES["dense"]()
    for queries, k, options in (
        (QUERIES[:0], 3, {}),
        (QUERIES, 0, {}),
        (QUERIES, 4, {"candidates": []}),
        (QUERIES, 4, {"candidates": slice(3, 3), "exclude": EXCLUDE}),
        (QUERIES, 4, {"candidates": np.zeros(ROWS, bool)}),
        (QUERIES, 2 * ROWS, {"candidates": slice(2)}),
    ):
        host, device = in_both(lambda: nearest_rows(storage, queries, k, **options))  # noqa: B023
        assert host.rows.shape == (len(queries), k)
        np.testing.assert_array_equal(host.rows, device.rows)
        assert host.scores.dtype == np.float32 and host.rows.dtype == np.int32
    with pytest.raises(ValueError, match="`metric`: expected one of 'dot', 'cosine'"):
        nearest_rows(storage, QUERIES, 1, metric="manhattan")
    with pytest.raises(ValueError, match="`queries`: expected 6 dimensions"):
        nearest_rows(storage, QUERIES[:, :5], 1)


def test_compiled_code_pads_to_a_few_sizes(monkeypatch, programs):
    monkeypatch.setenv("FFJAX_COMPILE", "always")
    storage = ffjax.NdArray(normals(0, 300, DIMS))
    queries = normals(1, 60, DIMS)
    expected = reference(storage.matrix, queries, 200)
    nearest_rows(storage, queries[:2], 1)
    programs.clear()
    for n in (1, 3, 16):
        for k in (2, 7, 10):
            best = nearest_rows(storage, queries[:n], k)
            np.testing.assert_array_equal(best.rows, expected[1][:n, :k])
    assert programs == []


def test_the_work_decides(monkeypatch):
    monkeypatch.delenv("FFJAX_COMPILE", raising=False)
    storage = ToyArray(jnp.zeros((10, DIMS), jnp.float16), jnp.ones(1, jnp.float32))
    assert tier.in_numpy(10, 10, storage) and not tier.in_numpy(11, 10, storage)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not tier.in_numpy(1, 10, storage)
    monkeypatch.setenv("FFJAX_COMPILE", "never")
    assert tier.in_numpy(11, 10, storage)
