"""k-means against NumPy references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax.transforms import kmeans
from ffjax.transforms.kmeans import decoded, errors, nearest, step
from tests.builders import cases

first_centroids = jax.jit(kmeans.first_centroids, static_argnames="centroids")
moved = jax.jit(kmeans.moved)


def problem(spaces=3, each=2, rows=200, centroids=16, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((spaces, each, rows)).astype(np.float32)
    books = rng.standard_normal((spaces, centroids, each)).astype(np.float32)
    return points, books


def squared(points, books):
    """All squared distances, `[spaces, rows, centroids]`."""
    return ((points.transpose(0, 2, 1)[:, :, None] - books[:, None]) ** 2).sum(-1, dtype=np.float64)


# Numbers of coordinates on both sides of where the matrix product takes over, and odd row counts.
@pytest.mark.parametrize(
    "shape",
    cases(
        [(1, 203, 16), (2, 200, 2), (5, 77, 256), (16, 1, 32), (33, 77, 64)],
        exhaustive=[(17, 30, 32), (32, 9, 16)],
    ),
)
def test_the_nearest_centroid(shape):
    each, rows, centroids = shape
    points, books = problem(each=each, rows=rows, centroids=centroids)
    distances = squared(points, books)
    found = jax.jit(nearest)(jnp.array(points), jnp.array(books))
    assert found.shape == (3, rows) and found.dtype == jnp.int32
    taken = np.take_along_axis(distances, np.asarray(found)[..., None], 2)[..., 0]
    np.testing.assert_allclose(taken, distances.min(2), rtol=1e-4, atol=1e-5)
    if each == 2:
        np.testing.assert_array_equal(nearest(jnp.array(points), jnp.array(books)), found)


def test_a_point_on_a_centroid_is_nearest_to_it_even_far_from_zero():
    """Distances are sums of squares and not differences of large products."""
    books = 1000 + np.arange(64, dtype=np.float32)[None, :, None] / 64 * np.ones(
        (1, 1, 3), np.float32
    )
    found = nearest(jnp.array(books.transpose(0, 2, 1)), jnp.array(books))
    np.testing.assert_array_equal(found[0], np.arange(64))


def test_a_step_moves_centroids_to_means():
    points, books = problem(rows=500)
    codes = squared(points, books).argmin(2)
    expected = np.array(
        [
            [
                points[m][:, codes[m] == k].mean(1) if (codes[m] == k).any() else np.nan
                for k in range(16)
            ]
            for m in range(3)
        ]
    ).reshape(3, 16, 2)
    full = (
        ~np.isnan(expected).any(-1) & (np.array([(~np.isnan(e)).all() for e in expected])[:, None])
    )
    assert full.any()
    found, of = moved(jnp.array(points), jnp.array(books))
    np.testing.assert_array_equal(of, codes)
    np.testing.assert_allclose(np.asarray(found)[full], expected[full], rtol=1e-4, atol=1e-5)


def test_the_error_never_grows():
    points, books = (jnp.array(x) for x in problem(rows=1000))
    lost = [errors(points, books)]
    for _ in range(8):
        books = step(points, books)
        lost.append(errors(points, books))
    lost = np.stack(lost)
    assert (np.diff(lost, axis=0) <= 1e-6).all() and (lost[-1] < 0.6 * lost[0]).all()


def test_an_empty_cluster_goes_beside_the_largest():
    """Centroids far from all points share the points of large clusters in the next step."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0.5, 1.5, (1, 2, 100)).astype(np.float32)
    points[:, :, :10] += 10  # a small cluster
    books = np.array([[[11, 11], [1, 1], [99, 99], [-99, 99]]], np.float32)
    after, codes = moved(jnp.array(points), jnp.array(books))
    assert set(np.asarray(codes)[0]) == {0, 1}
    small, large = points[0, :, :10].mean(1), points[0, :, 10:].mean(1)
    apart = 1 + np.array([1, -1], np.float32) / 512
    expected = [small, large, large * apart, small * apart]
    np.testing.assert_allclose(after[0], expected, rtol=1e-5)
    again = moved(jnp.array(points), after)[1]
    assert set(np.asarray(again)[0]) == {0, 1, 2, 3}


def test_first_centroids_are_different_points():
    points, _ = problem(rows=300)
    books = np.asarray(first_centroids(jnp.array(points), 64, jax.random.key(0)))
    for space in range(3):
        rows = points[space].T
        places = [np.flatnonzero((rows == centroid).all(1)) for centroid in books[space]]
        assert (
            all(len(place) == 1 for place in places)
            and len({int(place[0]) for place in places}) == 64
        )


def test_first_centroids_reach_far_clusters():
    """Sixteen tight clusters, the last ones small: random points alone would miss some."""
    rng = np.random.default_rng(0)
    of = np.concatenate([np.zeros(185, int), np.arange(1, 16)])
    points = (100 * of + rng.uniform(0, 1, 200)).astype(np.float32)[
        None, None, rng.permutation(200)
    ]
    books = np.asarray(first_centroids(jnp.array(points), 16, jax.random.key(3)))
    assert len(set((books[0, :, 0] // 100).astype(int))) == 16


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_fewer_points_than_centroids_repeat(rows):
    points = np.arange(rows, dtype=np.float32)[None, None]
    books = np.asarray(first_centroids(jnp.array(points), 4, jax.random.key(0)))
    assert set(books.ravel()) == set(points.ravel())


def test_decoded():
    points, books = problem()
    codes = squared(points, books).argmin(2).astype(np.int32)
    expected = np.stack([books[m][codes[m]].T for m in range(3)])
    np.testing.assert_array_equal(decoded(jnp.array(books), jnp.array(codes)), expected)


def test_equal_points_leave_nothing_to_learn():
    points = jnp.ones((2, 3, 40))
    books = step(points, first_centroids(points, 8, jax.random.key(0)))
    assert np.isfinite(books).all()
    np.testing.assert_allclose(errors(points, books), 0, atol=1e-10)
