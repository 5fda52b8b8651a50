"""Packing to the left: the n-grams of words, and ids under any mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffjax.kernels.compaction import move_left, n_slots
from tests.vocab.ngrams.reference import stretches


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 0), (2, 0), (3, 1), (5, 6), (6, 10), (18, 58)]
)
def test_number_of_slots(length, expected):
    assert n_slots(length, 3, 6) == len(stretches(range(length), 3, 6)) == expected


def compacted(ids, mask):
    """The same with NumPy, row by row."""
    packed = np.zeros_like(ids)
    for row, (values, keep) in enumerate(zip(ids, mask, strict=True)):
        packed[row, : keep.sum()] = values[keep]
    return packed, mask.sum(1)


@jax.jit
def compiled_compact(ids, mask):
    return move_left(ids.T, mask.T).T, mask.sum(1, dtype=jnp.int32)


@given(
    st.sampled_from([(0, 3), (2, 0), (3, 1), (3, 2), (5, 58)]),
    st.integers(0, 10),
    st.integers(0, 2**32 - 1),
)
def test_compact_keeps_the_order(shape, tenths, seed):
    batch, slots = shape
    rng = np.random.default_rng(seed)
    ids = rng.integers(-(2**31), 2**31, (batch, slots)).astype(np.int32)
    mask = rng.random((batch, slots)) < tenths / 10
    for got, expected in zip(compiled_compact(ids, mask), compacted(ids, mask), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_compact_of_many_slots_compiled_and_vmapped():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 1000, (3, 4, 700)).astype(np.int32)
    mask = rng.random(ids.shape) < 0.5
    mapped = jax.jit(jax.vmap(compiled_compact))(ids, mask)
    for i in range(3):
        packed, counts = compacted(ids[i], mask[i])
        np.testing.assert_array_equal(mapped[0][i], packed)
        np.testing.assert_array_equal(mapped[1][i], counts)
