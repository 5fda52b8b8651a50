"""k-means in many small spaces at once, in compiled code.

Points are held as `[spaces, dims_each, rows]`: the rows are in the lanes of a vector unit, and a
centroid's coordinate is one number for all of them. Distances to 32 centroids at a time are
compared while they are in registers; a matrix of all distances never exists, so memory is that of a
few copies of the points.
"""

from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float32, Int32

Points: TypeAlias = Float32[Array, "spaces dims_each rows"]
Codebooks: TypeAlias = Float32[Array, "spaces centroids dims_each"]
Codes: TypeAlias = Int32[Array, "spaces rows"]

# Centroids whose distances are compared in one pass, and into how many lines the rows are broken:
# XLA divides work among threads by the first axis.
_CENTROIDS = 32
_LINES = 8
# Rows are padded to a multiple of this. Compiling for lines of a single row takes XLA gigabytes
# (JAX 0.10).
_MULTIPLE = 512
# From so many coordinates on half as many centroids fill the registers, and then the matrix product
# is faster than sums of squares that are written out.
_HALF_FROM = 17
_PRODUCT_FROM = 33
# Rows that the first centroids are chosen from, for each centroid.
_CANDIDATES = 16
# How far the second centroid of a cluster that is split is from the first, relative to that.
_APART = 1 / 512


def nearest(points: Points, codebooks: Codebooks) -> Codes:
    """The nearest centroid of each point, in each space; the number of centroids is a power of two.

    Distances are compared up to a relative 3e-5 (2^-15), and of centroids that near to each other
    either may be the answer: all that it changes is that share of the squared error of a few
    points.
    """
    rows = points.shape[-1]
    padded = jnp.pad(points, ((0, 0), (0, 0), (0, -rows % _MULTIPLE)))
    return jax.vmap(_nearest_in)(padded, codebooks)[:, :rows]


def first_centroids(points: Points, centroids: int, key: Array) -> Codebooks:
    """Points to start with, far from each other: each drawn by its squared distance to the others.

    That is k-means++ (Arthur and Vassilvitskii, 2007) among the first rows, 16 for each centroid,
    which should be in random order. Where all points are centroids already, the rest repeats some.
    """
    spaces, dims_each, rows = points.shape
    rows = min(rows, _CANDIDATES * centroids)
    # Drawn in two steps, a block and a point of it, so that running sums are short.
    side = max(1, int(rows**0.5))
    blocks = -(-rows // side)
    candidates = jnp.pad(points[..., :rows], ((0, 0), (0, 0), (0, blocks * side - rows)))
    candidates = candidates.reshape(spaces, dims_each, blocks, side)
    valid = (jnp.arange(blocks * side, dtype=jnp.int32) < rows).reshape(blocks, side)
    draws = jax.random.uniform(key, (centroids, 3, spaces), jnp.float32)
    space = jnp.arange(spaces, dtype=jnp.int32)

    def pick(weights: Array, draw: Array) -> Array:
        """Where the running sum passes the drawn share of the total: not at a weight of zero."""
        running = jnp.cumsum(weights, axis=1)
        return jnp.argmax(running > (draw * running[:, -1])[:, None], axis=1).astype(jnp.int32)

    def add(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        codebooks, distances = state
        block = pick(distances.sum(-1), draws[i, 0])
        column = pick(distances[space, block], draws[i, 1])
        # All distances are zero where every candidate is a centroid: then any of them.
        differs = distances.max((1, 2)) > 0
        any_row = jnp.minimum((draws[i, 2] * rows).astype(jnp.int32), rows - 1)
        block = jnp.where(differs, block, any_row // side)
        column = jnp.where(differs, column, any_row % side)
        chosen = candidates[space, :, block, column]
        distance = ((candidates - chosen[:, :, None, None]) ** 2).sum(1)
        nearer = jnp.where(i == 0, distance, jnp.minimum(distances, distance))
        return codebooks.at[:, i].set(chosen), jnp.where(valid, nearer, jnp.float32(0))

    weights = jnp.where(valid, jnp.ones((spaces, 1, 1), jnp.float32), jnp.float32(0))
    codebooks = jnp.zeros((spaces, centroids, dims_each), jnp.float32)
    return lax.fori_loop(0, centroids, add, (codebooks, weights))[0]


def moved(points: Points, codebooks: Codebooks) -> tuple[Codebooks, Codes]:
    """One step of k-means: the means of the points nearest to each centroid, and those codes.

    A centroid without points goes next to that of a large cluster, the largest first, and takes
    some of its points in the next step. That is what faiss does, except that it moves both apart;
    here the first stays, so that nothing is lost.
    """
    codes = nearest(points, codebooks)
    return lax.map(lambda space: _means(*space), (points, codes, codebooks)), codes


def decoded(codebooks: Codebooks, codes: Codes) -> Points:
    """The centroids that codes name, in the order of the points."""
    return lax.map(lambda space: space[0].T[:, space[1]], (codebooks, codes))


@partial(jax.jit, donate_argnames="codebooks")
def step(points: Points, codebooks: Codebooks) -> Codebooks:
    """One step of k-means, as `moved`, compiled."""
    return moved(points, codebooks)[0]


@jax.jit
def errors(points: Points, codebooks: Codebooks) -> Float32[Array, " spaces"]:
    """The mean over points of the squared distance to the nearest centroid, in each space."""
    differences = points - decoded(codebooks, nearest(points, codebooks))
    return (differences**2).sum(1).mean(1)


def _nearest_in(points: Array, codebook: Array) -> Array:
    """`nearest` in one space; the rows are a multiple of `_MULTIPLE`."""
    dims_each, rows = points.shape
    centroids = codebook.shape[0]
    chunk = min(_CENTROIDS if dims_each < _HALF_FROM else _CENTROIDS // 2, centroids)
    lines = points.reshape(dims_each, _LINES, -1)
    squares = (points * points).sum(0) if dims_each >= _PRODUCT_FROM else None

    def compare(number: Array, best: Array) -> Array:
        """The least distance so far, and in its last bits which centroid has it.

        Distances are positive, so their bits are in the order of the numbers: one minimum of
        integers finds both.
        """
        first = number * chunk
        compared = lax.dynamic_slice_in_dim(codebook, first, chunk)
        product = None
        if squares is not None:
            product = -2 * jnp.matmul(compared, points, precision=lax.Precision.HIGHEST)
            product = product + squares[None] + (compared * compared).sum(1)[:, None]
            # What rounding takes below zero is as near as can be.
            product = jnp.maximum(product, 0).reshape(chunk, _LINES, -1)
        for j in range(chunk):
            if product is None:
                differences = [x - y for x, y in zip(lines, compared[j], strict=True)]
                distance = sum(x * x for x in differences)
            else:
                distance = product[j]
            bits = lax.bitcast_convert_type(distance, jnp.int32)
            best = jnp.minimum(best, (bits & ~(centroids - 1)) | (first + j))
        return best

    start = jnp.full(lines.shape[1:], jnp.iinfo(jnp.int32).max, jnp.int32)
    best = lax.fori_loop(0, centroids // chunk, compare, start)
    return best.reshape(rows) & (centroids - 1)


def _means(points: Array, codes: Array, codebook: Array) -> Array:
    """The mean of each cluster in one space; those without points get half of a large one."""
    counted = jnp.concatenate([points, jnp.ones_like(points[:1])]).T
    totals = jax.ops.segment_sum(counted, codes, num_segments=codebook.shape[0])
    counts = totals[:, -1]
    means = totals[:, :-1] / jnp.maximum(counts, 1)[:, None]
    means = jnp.where(counts[:, None] > 0, means, codebook)
    # The empty ones in order, each with the next of the largest clusters, from the first again
    # where those run out.
    empty = counts == 0
    largest = jnp.argsort(-counts).astype(jnp.int32)
    number = jnp.cumsum(empty, dtype=jnp.int32) - 1
    n_donors = jnp.maximum((~empty).sum(dtype=jnp.int32), 1)
    donors = largest[jnp.where(empty, number % n_donors, 0)]
    even = jnp.arange(means.shape[1]) % 2 == 0
    factors = jnp.where(even, 1 + _APART, 1 - _APART).astype(jnp.float32)
    return jnp.where(empty[:, None], means[donors] * factors[None], means)
