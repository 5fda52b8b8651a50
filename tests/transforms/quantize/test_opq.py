"""The rotation of optimized product quantization."""

import jax
import jax.numpy as jnp
import numpy as np

from ffjax.transforms.kmeans import decoded, errors, moved, step
from ffjax.transforms.pq_training import (
    alternate,
    balanced_rotation,
    random_rotation,
    rotated,
)


def test_a_turn_is_the_best_rotation_for_its_codes():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8, 300)).astype(np.float32)
    books = rng.standard_normal((4, 16, 2)).astype(np.float32)
    before = random_rotation(8, jax.random.key(1))
    after, new = alternate(jnp.array(rows), before, jnp.array(books))
    points = rotated(jnp.array(rows), before, jnp.array(books))
    expected, codes = moved(points, jnp.array(books))
    np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)
    stand_for = np.asarray(decoded(expected, codes)).reshape(8, 300)
    left, _, right = np.linalg.svd(rows.astype(np.float64) @ stand_for.T)
    np.testing.assert_allclose(after, left @ right, atol=1e-4)
    np.testing.assert_allclose(after @ after.T, np.eye(8), atol=1e-5)


def test_principal_axes_are_dealt_out_to_parts_that_vary_alike():
    """Variances 16, 8, 2 and 1, as exact as 5,000 rows are: 16 and 1 go together, and 8 with 2."""
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    rows = turned @ (rng.standard_normal((4, 5000)) * np.sqrt([[16], [8], [2], [1]]))
    rotation = np.asarray(balanced_rotation(jnp.array(rows, jnp.float32) + 5, 2))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(4), atol=1e-5)
    along = np.abs(turned.T @ rotation)
    assert along.argmax(0).tolist() == [0, 3, 1, 2] and (along.max(0) > 0.99).all()


def test_a_random_rotation_is_orthonormal():
    rotation = random_rotation(20, jax.random.key(0))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(20), atol=1e-5)


def test_turns_lose_less_and_less():
    """Unrotated, the first subquantizers vary most, and the codes of the others are wasted."""
    rng = np.random.default_rng(0)
    rows = jnp.array(
        (rng.standard_normal((8, 600)) * np.array([4, 4, 3, 3, 0.1, 0.1, 0.1, 0.1])[:, None]),
        jnp.float32,
    )
    rotation, books = (
        random_rotation(8, jax.random.key(2)),
        jnp.array(rng.standard_normal((4, 16, 2)), jnp.float32),
    )
    points, plain, lost = rows.reshape(4, 2, -1), books + 0, []
    for _ in range(25):
        rotation, books = alternate(rows, rotation, books)
        lost.append(float(errors(rotated(rows, rotation, books), books).sum()))
        plain = step(points, plain)
    assert (np.diff(lost) < 1e-4).all() and lost[-1] < 0.8 * float(errors(points, plain).sum())
