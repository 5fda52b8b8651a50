"""Positions of the largest numbers, against a sort by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from ffjax.kernels.top_k.threshold_select import capacity_for, largest

found_by = jax.jit(largest, static_argnums=(1, 2))


def positions_of(numbers: np.ndarray, n: int) -> list[set[int]]:
    """The `n` best positions of each column: larger numbers first, then lower positions."""
    order = np.lexsort(
        (np.broadcast_to(np.arange(len(numbers))[:, None], numbers.shape), -numbers), axis=0
    )
    return [set(column.tolist()) for column in order[:n].T]


def numbers(kind: str, count: int, batch: int = 5) -> np.ndarray:
    rng = np.random.default_rng(count)
    values = rng.standard_normal((count, batch)).astype(np.float32)
    if kind == "ties":
        return np.round(values)
    if kind == "equal":
        return np.zeros_like(values)
    if kind == "zeros of both signs":
        return np.where(values > 1, values, np.where(values > 0, 0.0, -0.0)).astype(np.float32)
    if kind == "infinite":
        return np.where(values > 0.5, values, -np.inf).astype(np.float32)
    if kind == "far apart":
        return (np.sign(values) * np.exp(20 * values)).astype(np.float32)
    if kind == "next to each other":
        return (
            1 + np.arange(count, dtype=np.float32)[rng.permutation(count)][:, None] * 2.0**-23
        ).repeat(batch, 1)
    return values


KINDS = [
    "normal",
    "ties",
    "equal",
    "zeros of both signs",
    "infinite",
    "far apart",
    "next to each other",
]


SIZES = [
    (1, 1, False),
    (31, 31, True),
    (33, 2, False),
    (64, 64, True),
    (1000, 1, True),
    (1000, 100, False),
    (5000, 999, True),
]
MORE_SIZES = [
    pytest.param(count, n, not spare, marks=pytest.mark.exhaustive) for count, n, spare in SIZES
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "n", "spare"), [*SIZES, *MORE_SIZES])
def test_finds_the_largest_lower_positions_first(kind, count, n, spare):
    values = numbers(kind, count)
    capacity = capacity_for(n) if spare else n
    found = np.asarray(found_by(values, n, capacity))
    assert found.shape == (capacity, values.shape[1])
    for column, expected in zip(found.T, positions_of(values, n), strict=True):
        valid = column[column >= 0]
        assert (np.diff(valid) > 0).all() and (column[len(valid) :] == -1).all()
        assert expected <= set(valid.tolist())
        if not spare:
            assert expected == set(valid.tolist())


def test_extremes_of_float32():
    largest_number, smallest = np.finfo(np.float32).max, np.finfo(np.float32).tiny
    values = np.array(
        [[-largest_number, largest_number, -np.inf, np.inf, 0, smallest, -smallest, 1]], np.float32
    ).T
    for n in (1, 2, 5, 7):
        assert set(np.asarray(found_by(values, n, n))[:, 0].tolist()) == positions_of(values, n)[0]


@pytest.mark.devices
def test_under_vmap_and_shard_map():
    values = jnp.asarray(np.stack([numbers("ties", 300), numbers("normal", 300)]))
    each = np.stack([found_by(v, 20, 20) for v in values])
    np.testing.assert_array_equal(jax.jit(jax.vmap(lambda v: largest(v, 20, 20)))(values), each)
    mesh = Mesh(np.array(jax.devices()[:5]), ("columns",))
    spec = PartitionSpec(None, "columns")
    mapped = jax.shard_map(lambda v: largest(v, 20, 20), mesh=mesh, in_specs=spec, out_specs=spec)
    np.testing.assert_array_equal(jax.jit(mapped)(values[0]), each[0])


def test_no_gradient_goes_through_the_choice():
    values = jnp.asarray(numbers("normal", 100))

    def best(values):
        positions = largest(values, 3, 3)
        return jnp.take_along_axis(values, positions, axis=0).sum()

    gradient = np.asarray(jax.jit(jax.grad(best))(values))
    assert gradient.sum() == 3 * values.shape[1] and set(np.unique(gradient)) == {0.0, 1.0}
