"""`top_k` over embeddings and storages, beside NumPy: a stable argsort of exact scores.

Vectors are small integers where ties matter: their products are exact in float32 in any order of summation.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import embeddings


def integers(seed, *shape, largest=2):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float32)


def reference(matrix, queries, k, allowed=None):
    scores = np.asarray(queries, np.float64) @ np.asarray(matrix, np.float64).T
    if allowed is not None:
        scores[:, ~np.isin(np.arange(len(matrix)), allowed)] = -np.inf
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, rows, axis=1)
    return best, np.where(best == -np.inf, -1, rows)


def agree(found, expected):
    assert found.rows.tolist() == expected[1].tolist()
    np.testing.assert_array_equal(found.scores, expected[0])


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
    expected = reference(matrix, queries, 9, np.asarray(allowed, int))
    agree(ffjax.top_k(storage, queries, 9, rows=rows), expected)
    if not isinstance(rows, slice | range | list):
        agree(jax.jit(lambda s, q, r: ffjax.top_k(s, q, 9, rows=r))(storage, queries, rows), expected)


def test_a_slice_whose_ends_are_traced():
    matrix, queries = integers(0, 1000, 5), integers(1, 4, 5)
    search = jax.jit(lambda a, b: ffjax.top_k(ffjax.NdArray(matrix), queries, 9, rows=slice(a, b)))
    agree(search(jnp.int32(10), jnp.int32(60)), reference(matrix, queries, 9, range(10, 60)))


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rows": np.ones(3, bool)}, ValueError, r"`rows`: expected a mask of shape \(10,\), .* got \(3,\)"),
        ({"rows": np.ones((2, 2), int)}, ValueError, r"`rows`: expected one dimension .* got shape \(2, 2\)"),
        ({"rows": np.ones(2)}, TypeError, r"`rows`: expected a slice, .* got ndarray of float64"),
        ({"rows": "ab"}, ValueError, r"`rows`: expected one dimension of row numbers"),
        ({"rows": [10]}, IndexError, "`rows`: expected 0 to 9, got 10 to 10"),
        ({"rows": range(5, 12)}, IndexError, r"`rows`: expected rows from 0 to 9, got range\(5, 12\)"),
        ({"rows": slice(jnp.int32(0), 9, 2)}, ValueError, "`rows`: expected a step of 1 .* got 2"),
        ({"approximate": 0.0}, ValueError, "`approximate`: expected a recall above 0 and up to 1, or None, got 0.0"),
    ],
)
def test_errors(change, error, message):
    with pytest.raises(error, match=message):
        ffjax.top_k(embeddings(), jnp.ones(6), 1, **change)
