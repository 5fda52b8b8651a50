"""Packing to the left: the n-grams of words, and ids under any mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffjax.kernels.compaction import compact, drop_edges, left_pack, n_slots
from tests.vocab.ngrams.reference import stretches


@pytest.mark.parametrize("skip_edges", [False, True])
@pytest.mark.parametrize(("min_n", "max_n"), [(3, 6), (1, 1), (1, 2), (1, 7), (4, 5), (2, 12), (12, 12)])
def test_left_pack_is_in_order(min_n, max_n, skip_edges):
    positions = 12
    counts = np.arange(positions + 1, dtype=np.int32)
    n, start = np.meshgrid(np.arange(max_n, min_n - 1, -1), np.arange(positions - min_n + 1), indexing="ij")
    planes = np.broadcast_to((100 * start + n)[..., None], (*n.shape, len(counts))).astype(np.uint32)
    packed, totals = left_pack(jnp.asarray(planes), jnp.asarray(counts), min_n)
    assert packed.shape == (n_slots(positions, min_n, max_n), len(counts))
    if skip_edges and min_n == 1:
        packed, totals = drop_edges(packed, totals, jnp.asarray(counts), max_n)
    for count, column, total in zip(counts, np.asarray(packed).T, totals, strict=True):
        grams = stretches(range(count), min_n, max_n, skip_edges)
        assert column[:total].tolist() == [100 * g[0] + len(g) for g in grams]
        assert not column[total:].any()


@pytest.mark.parametrize(("length", "expected"), [(0, 0), (2, 0), (3, 1), (5, 6), (6, 10), (18, 58)])
def test_number_of_slots(length, expected):
    assert n_slots(length, 3, 6) == len(stretches(range(length), 3, 6)) == expected


def compacted(ids, mask):
    """The same with NumPy, row by row."""
    packed = np.zeros_like(ids)
    for row, (values, keep) in enumerate(zip(ids, mask, strict=True)):
        packed[row, : keep.sum()] = values[keep]
    return packed, mask.sum(1)


compiled_compact = jax.jit(compact)


@given(st.sampled_from([(0, 3), (2, 0), (3, 1), (3, 2), (5, 58)]), st.integers(0, 10), st.integers(0, 2**32 - 1))
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
    mapped = jax.jit(jax.vmap(compact))(ids, mask)
    for i in range(3):
        packed, counts = compacted(ids[i], mask[i])
        np.testing.assert_array_equal(mapped[0][i], packed)
        np.testing.assert_array_equal(mapped[1][i], counts)
