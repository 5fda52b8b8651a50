"""Product quantization: a sample of the rows, codebooks trained on it, and the codes of all rows.

With a rotation the subquantizers lose less. It is found by the non-parametric solution of Ge, He,
Ke and Sun, "Optimized Product Quantization" (2013): steps of k-means on rotated rows alternate with
the rotation that brings rows nearest to what their codes stand for (orthogonal Procrustes).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32

from ffjax._internal.arrays import aligned_empty, release_pages
from ffjax._internal.progress import Progress
from ffjax.storage import PQ, Storage
from ffjax.transforms import kmeans
from ffjax.transforms.kmeans import Codebooks, Points, errors, nearest, step

# Rows are columns here.
Columns: TypeAlias = Float32[Array, "dims rows"]
Rotation: TypeAlias = Float32[Array, "dims dims"]

_EXACT = lax.Precision.HIGHEST
# Steps of k-means before the first rotation and after the last one.
_FIRST_STEPS, _LAST_STEPS = 10, 10
# Squares of larger numbers, added up, leave the range of float32.
_LARGEST = 1e17
# How far float32 rounding leaves norms from 1.
_UNIT = 1e-4

_first_centroids = jax.jit(kmeans.first_centroids, static_argnames="centroids")
_moved, _decoded = jax.jit(kmeans.moved), jax.jit(kmeans.decoded)


class PQSettings(NamedTuple):
    """How codebooks are trained."""

    subquantizers: int  # vectors that a row is divided into
    centroids: int  # in each codebook, a power of two
    iterations: int  # steps of k-means, or rotations
    attempts: int  # how often to start again, to keep the best
    sample: int  # rows to train on


def reported_blocks(
    storage: Storage, progress: Progress, finite: Callable[[int], str] | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Which rows a block has, and the rows as `storage.row_blocks` gives them."""
    for start, block in storage.row_blocks(finite=finite):
        rows = slice(start, start + len(block))
        yield rows, block
        progress(rows.stop, len(storage))


def norms_of(storage: Storage, progress: Progress) -> np.ndarray:
    """The norm of each row; an error if a row has numbers that k-means could not square."""
    norms = np.empty(len(storage), np.float32)
    for rows, block in reported_blocks(storage, progress):
        largest = np.maximum(block.max(1, initial=0), -block.min(1, initial=0))
        valid = largest < _LARGEST  # neither is NaN
        if not valid.all():
            row = int(np.argmin(valid))
            got = f"{largest[row]:g}" if np.isfinite(largest[row]) else "NaN or infinity"
            raise ValueError(
                f"`embeddings`: expected finite numbers below {_LARGEST:g}, got {got} in row "
                f"{rows.start + row}. Leave out such rows, or replace their numbers."
            )
        norms[rows] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    return norms


def all_unit(norms: np.ndarray) -> bool:
    """Whether rows with these norms are unit vectors, up to rounding."""
    return bool((np.abs(norms - 1) < _UNIT).all())


def sample_rows(storage: Storage, n: int, norms: np.ndarray | None, key: Array) -> np.ndarray:
    """Up to `n` different rows in random order, divided by their norms if these are given."""
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
    ids = rng.permutation(len(storage))[:n]
    order = np.argsort(ids)
    rows = np.empty((len(ids), storage.shape[1]), np.float32)
    rows[order] = storage.read(ids[order])  # read in the order of the file
    release_pages(storage)
    return rows if norms is None else _divided(rows, norms[ids])


def train_pq(rows: np.ndarray, settings: PQSettings, key: Array, progress: Progress) -> PQ:
    """Codebooks for rows in random order; of several attempts each subquantizer keeps its best."""
    columns = jnp.array(np.ascontiguousarray(rows.T))
    points = columns.reshape(settings.subquantizers, -1, len(rows))
    n_steps = settings.attempts * settings.iterations
    results: list[Array] = []
    for first in range(0, n_steps, settings.iterations):
        attempt_key = jax.random.fold_in(key, len(results))
        codebooks = _first_centroids(points, settings.centroids, attempt_key)
        for number in range(settings.iterations):
            codebooks = jax.block_until_ready(step(points, codebooks))
            progress(first + number + 1, n_steps)
        results.append(codebooks)
    if len(results) == 1:
        return PQ(results[0])
    best = np.argmin([errors(points, codebooks) for codebooks in results], axis=0)
    return PQ(jnp.asarray(np.stack(results)[best, np.arange(len(best))]))


def train_opq(rows: np.ndarray, settings: PQSettings, key: Array, progress: Progress) -> PQ:
    """Codebooks and a rotation for rows in random order; the best of several attempts.

    The first attempt starts with principal axes that are dealt out to the subquantizers, the others
    with random rotations. Starting with the rows as they are would be bad where the first numbers
    vary more than the last: no step leads away from it.
    """
    columns = jnp.array(np.ascontiguousarray(rows.T))
    dims, n, attempts = len(columns), settings.subquantizers, settings.attempts
    shape = n, settings.centroids, dims // n
    rotating = range(_FIRST_STEPS, _FIRST_STEPS + settings.iterations)
    n_steps = rotating.stop + _LAST_STEPS
    results: list[tuple[float, PQ]] = []
    for attempt in range(attempts):
        rotation_key, centroid_key = jax.random.split(jax.random.fold_in(key, attempt))
        rotation = random_rotation(dims, rotation_key) if attempt else balanced_rotation(columns, n)
        points = rotated(columns, rotation, jnp.zeros(shape, jnp.float32))
        codebooks = _first_centroids(points, settings.centroids, centroid_key)
        for number in range(n_steps):
            if number == rotating.stop:
                points = rotated(columns, rotation, codebooks)
            if number in rotating:
                rotation, codebooks = alternate(columns, rotation, codebooks)
            else:
                codebooks = step(points, codebooks)
            jax.block_until_ready(codebooks)
            progress(attempt * n_steps + number + 1, attempts * n_steps)
        error = float(errors(points, codebooks).sum()) if attempts > 1 else 0.0
        results.append((error, PQ(codebooks, rotation)))
    return min(results, key=lambda result: result[0])[1]


def balanced_rotation(rows: Columns, subquantizers: int) -> Rotation:
    """The rotation to principal axes, dealt out so that products of variances are about the same.

    That is the parametric solution of the same paper, the best one for rows that are normally
    distributed: from the largest variance on, each axis goes to the subquantizer with the least
    product that has room for it.
    """
    size = len(rows) // subquantizers
    centred = rows - rows.mean(1, keepdims=True)
    covariances = jnp.matmul(centred, centred.T, precision=_EXACT)
    variances, axes = np.linalg.eigh(np.asarray(covariances))
    variances = np.maximum(variances, 1e-9 * max(float(variances[-1]), 1e-30))
    logarithms = np.log(variances / variances.min())  # none below zero: products never shrink
    dealt: list[list[int]] = [[] for _ in range(subquantizers)]
    for axis in reversed(range(len(rows))):
        with_room = [group for group in dealt if len(group) < size]
        min(with_room, key=lambda group: sum(logarithms[group])).append(axis)
    return jnp.array(axes[:, np.concatenate(dealt)])


def random_rotation(dims: int, key: Array) -> Rotation:
    """A random orthonormal matrix."""
    return jnp.linalg.qr(jax.random.normal(key, (dims, dims), jnp.float32))[0]


@jax.jit
def rotated(rows: Columns, rotation: Rotation, codebooks: Codebooks) -> Points:
    """Rows times the rotation, as points in each subquantizer's space."""
    subquantizers, _, dims_each = codebooks.shape
    points = jnp.matmul(rotation.T, rows, precision=_EXACT)
    return points.reshape(subquantizers, dims_each, -1)


def alternate(rows: Columns, rotation: Rotation, codebooks: Codebooks) -> tuple[Array, Array]:
    """A step of k-means on rotated rows, then the best rotation for the resulting codes.

    These are three compiled programs: as one they take four times as long on a CPU (JAX 0.10).
    """
    codebooks, codes = _moved(rotated(rows, rotation, codebooks), codebooks)
    return _aligned(rows, _decoded(codebooks, codes)), codebooks


@jax.jit
def _aligned(rows: Array, targets: Array) -> Array:
    """The rotation R with the least |X R - Y|^2: U V^T, where U S V^T decomposes X^T Y."""
    products = jnp.matmul(rows, targets.reshape(rows.shape).T, precision=_EXACT)
    u, _, vt = jnp.linalg.svd(products, full_matrices=False)
    return jnp.matmul(u, vt, precision=_EXACT)


def encode_rows(storage: Storage, pq: PQ, norms: Any, progress: Progress) -> Array:
    """The codes of all rows, which are first divided by their norms if these are given."""
    codes = aligned_empty((len(storage), pq.codebooks.shape[0]), np.uint8)
    padded = np.zeros(0)
    for rows, block in reported_blocks(storage, progress):
        n = len(block)
        if rows.start == 0:
            padded = np.zeros_like(block)  # of one size, so that one program is compiled
        padded[:n] = block if norms is None else _divided(block, norms[rows])
        codes[rows] = np.asarray(_codes(jnp.array(padded), pq))[:n]
    return jax.device_put(codes)


@jax.jit
def _codes(rows: Array, pq: PQ) -> Array:
    codebooks, columns = jnp.asarray(pq.codebooks), rows.T
    points = columns.reshape(codebooks.shape[0], codebooks.shape[2], -1)
    if pq.projection is not None:
        points = rotated(columns, jnp.asarray(pq.projection), codebooks)
    return nearest(points, codebooks).T.astype(jnp.uint8)


def _divided(rows: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Rows at unit length; zero rows stay zero."""
    return rows / np.where(norms > 0, norms, np.float32(1))[:, None]
