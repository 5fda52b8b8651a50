"""Training codebooks: product quantization, plain or after a learned rotation."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from ffjax.storage import PQ
from ffjax.transforms.quantize.kmeans import errors, first_centroids, step
from ffjax.transforms.quantize.opq import balanced_rotation, random_rotation, rotated, turn

# Steps of k-means before the first rotation and after the last one.
_BEFORE, _AFTER = 10, 10

_first_centroids = jax.jit(first_centroids, static_argnames="centroids")


class PQSettings(NamedTuple):
    """How codebooks are trained.

    Attributes:
        subquantizers: into how many parts a row is divided.
        centroids: in each codebook, a power of two.
        iterations: steps of k-means, or rotations.
        attempts: how often to begin anew; the best is kept.
    """

    subquantizers: int
    centroids: int
    iterations: int
    attempts: int


def train_pq(rows: Float32[np.ndarray, "rows dims"], plan: PQSettings, key: Array, told: Callable[[int, int], None]) -> PQ:
    """Codebooks for parts of rows; of several attempts each part keeps its best.

    Args:
        rows: training rows, in random order.
        plan: sizes and numbers.
        key: for what is drawn.
        told: called with steps done and steps to do.
    """
    points = _columns(rows).reshape(plan.subquantizers, -1, rows.shape[0])
    best = None
    for attempt in range(plan.attempts):
        books = _first_centroids(points, plan.centroids, jax.random.fold_in(key, attempt))
        for number in range(plan.iterations):
            books = jax.block_until_ready(step(points, books))
            told(attempt * plan.iterations + number + 1, plan.attempts * plan.iterations)
        if plan.attempts == 1:
            return PQ(books)
        lost = errors(points, books)
        if best is not None:
            better = lost < best[0]
            books = jnp.where(better[:, None, None], books, best[1])
            lost = jnp.where(better, lost, best[0])
        best = lost, books
    assert best is not None  # for the type checker: there is an attempt
    return PQ(best[1])


def train_opq(rows: Float32[np.ndarray, "rows dims"], plan: PQSettings, key: Array, told: Callable[[int, int], None]) -> PQ:
    """Codebooks and the rotation before them; the best of several attempts.

    The first begins with principal axes that are dealt out to the parts, the others with random rotations. To begin
    with the rows as they are would be bad where the first numbers vary more than the last: no step leads away from it.

    Args:
        rows: training rows, in random order.
        plan: sizes and numbers.
        key: for what is drawn.
        told: called with steps done and steps to do.
    """
    columns = _columns(rows)
    dims = columns.shape[0]
    shape = (plan.subquantizers, plan.centroids, dims // plan.subquantizers)
    each, best = _BEFORE + plan.iterations + _AFTER, None
    for attempt in range(plan.attempts):
        for_turn, for_first = jax.random.split(jax.random.fold_in(key, attempt))
        rotation = random_rotation(dims, for_turn) if attempt else balanced_rotation(columns, plan.subquantizers)
        points = rotated(columns, rotation, jnp.zeros(shape, jnp.float32))
        books = _first_centroids(points, plan.centroids, for_first)
        for number in range(each):
            if _BEFORE <= number < _BEFORE + plan.iterations:
                rotation, books = turn(columns, rotation, books)
            else:
                if number == _BEFORE + plan.iterations:
                    points = rotated(columns, rotation, books)
                books = step(points, books)
            jax.block_until_ready(books)
            told(attempt * each + number + 1, plan.attempts * each)
        lost = float(errors(points, books).sum()) if plan.attempts > 1 else 0.0
        if best is None or lost < best[0]:
            best = lost, PQ(books, rotation)
    assert best is not None  # for the type checker: there is an attempt
    return best[1]


def _columns(rows: Float32[np.ndarray, "rows dims"]) -> Float32[Array, "dims rows"]:
    return jnp.array(np.ascontiguousarray(rows.T))
