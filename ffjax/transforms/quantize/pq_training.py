"""Training codebooks: product quantization, plain or after a learned rotation."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax.storage import PQ
from ffjax.transforms.quantize.kmeans import errors, first_centroids, step
from ffjax.transforms.quantize.opq import alternate, balanced_rotation, random_rotation, rotated
from ffjax.transforms.quantize.settings import PQSettings, Progress

# Steps of k-means before the first rotation and after the last one.
_FIRST_STEPS, _LAST_STEPS = 10, 10

_first_centroids = jax.jit(first_centroids, static_argnames="centroids")


def train_pq(rows: np.ndarray, settings: PQSettings, key: Array, progress: Progress) -> PQ:
    """Codebooks for rows in random order; of several attempts each subquantizer keeps its best."""
    points = _columns(rows).reshape(settings.subquantizers, -1, rows.shape[0])
    n_steps = settings.attempts * settings.iterations
    best_errors, best = jnp.float32(jnp.inf), None
    for attempt in range(settings.attempts):
        attempt_key = jax.random.fold_in(key, attempt)
        codebooks = _first_centroids(points, settings.centroids, attempt_key)
        for number in range(settings.iterations):
            codebooks = jax.block_until_ready(step(points, codebooks))
            progress(attempt * settings.iterations + number + 1, n_steps)
        if settings.attempts == 1:
            return PQ(codebooks)
        attempt_errors = errors(points, codebooks)
        if best is not None:
            better = attempt_errors < best_errors
            codebooks = jnp.where(better[:, None, None], codebooks, best)
        best_errors, best = jnp.minimum(attempt_errors, best_errors), codebooks
    return PQ(best)


def train_opq(rows: np.ndarray, settings: PQSettings, key: Array, progress: Progress) -> PQ:
    """Codebooks and a rotation for rows in random order; the best of several attempts.

    The first attempt starts with principal axes that are dealt out to the subquantizers, the others
    with random rotations. Starting with the rows as they are would be bad where the first numbers
    vary more than the last: no step leads away from it.
    """
    columns = _columns(rows)
    dims, attempts = columns.shape[0], settings.attempts
    shape = settings.subquantizers, settings.centroids, dims // settings.subquantizers
    rotating = range(_FIRST_STEPS, _FIRST_STEPS + settings.iterations)
    n_steps = rotating.stop + _LAST_STEPS
    results: list[tuple[float, PQ]] = []
    for attempt in range(attempts):
        rotation_key, centroid_key = jax.random.split(jax.random.fold_in(key, attempt))
        if attempt:
            rotation = random_rotation(dims, rotation_key)
        else:
            rotation = balanced_rotation(columns, settings.subquantizers)
        points = rotated(columns, rotation, jnp.zeros(shape, jnp.float32))
        codebooks = _first_centroids(points, settings.centroids, centroid_key)
        for number in range(n_steps):
            if number in rotating:
                rotation, codebooks = alternate(columns, rotation, codebooks)
            else:
                if number == rotating.stop:
                    points = rotated(columns, rotation, codebooks)
                codebooks = step(points, codebooks)
            jax.block_until_ready(codebooks)
            progress(attempt * n_steps + number + 1, attempts * n_steps)
        error = float(errors(points, codebooks).sum()) if attempts > 1 else 0.0
        results.append((error, PQ(codebooks, rotation)))
    return min(results, key=lambda result: result[0])[1]


def _columns(rows: np.ndarray) -> Array:
    return jnp.array(np.ascontiguousarray(rows.T))
