"""Tests of the kernels of a search in NumPy, beside a full sort."""

import numpy as np
import pytest

from ffjax.kernels.top_k.top_k_numpy import best_positions


def sorted_positions(scores, k):
    """The definition: the first of equals before the others, no NaN, no minus infinity."""
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    return [i for i in order.tolist() if scores[i] > -np.inf][:k]


def rounded(n):
    return np.random.default_rng(n).normal(0, 3, n).round().astype(np.float32)


def with_nan(n):
    scores = rounded(n)
    scores[::3], scores[1::7] = np.nan, -np.inf
    return scores


def equal(n):
    return np.full(n, 0.5, np.float32)


def rising(n):
    return np.arange(n, dtype=np.float32)


def in_one_group(n):
    """The best scores lie where one maximum stands for all of them."""
    scores = np.zeros(n, np.float32)
    scores[5 :: max(1, n // 128)] = np.arange(len(scores[5 :: max(1, n // 128)]))
    return scores


@pytest.mark.parametrize("scores_of", [rounded, with_nan, equal, rising, in_one_group])
@pytest.mark.parametrize("n", [1, 127, 128, 129, 1000, 5000])
@pytest.mark.parametrize("k", [1, 2, 7, 39, 40, 1000, 6000])
def test_best_positions_are_those_of_a_full_sort(scores_of, n, k):
    scores = scores_of(n)
    assert best_positions(scores, k).tolist() == sorted_positions(scores, k)
