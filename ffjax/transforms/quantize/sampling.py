"""The rows to be quantized: their norms, a sample of them, and their codes, a block at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax._internal.arrays import aligned_empty, release_pages
from ffjax._internal.progress import Progress
from ffjax.storage import PQ, Storage
from ffjax.transforms.quantize.kmeans import nearest
from ffjax.transforms.quantize.pq_training import rotated

# Squares of larger numbers, added up, leave the range of float32.
_LARGEST = 1e17
# How far float32 rounding leaves norms from 1.
_UNIT = 1e-4


def norms_of(storage: Storage, progress: Progress) -> np.ndarray:
    """The norm of each row; an error if a row has numbers that k-means could not square."""
    norms = np.empty(len(storage), np.float32)
    for start, block in storage.row_blocks():
        largest = np.maximum(block.max(1, initial=0), -block.min(1, initial=0))
        valid = largest < _LARGEST  # neither is NaN
        if not valid.all():
            row = int(np.argmin(valid))
            got = f"{largest[row]:g}" if np.isfinite(largest[row]) else "NaN or infinity"
            raise ValueError(
                f"`embeddings`: expected finite numbers below {_LARGEST:g}, got {got} in row "
                f"{start + row}. Leave out such rows, or replace their numbers."
            )
        squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        norms[start : start + len(block)] = np.sqrt(squares)
        progress(start + len(block), len(storage))
    return norms


def all_unit(norms: np.ndarray) -> bool:
    """Whether rows with these norms are unit vectors, up to rounding."""
    return bool((np.abs(norms - 1) < _UNIT).all())


def sample_rows(storage: Storage, n: int, norms: np.ndarray | None, key: Array) -> np.ndarray:
    """Up to `n` different rows in random order, divided by their norms if these are given."""
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
    n = min(n, len(storage))
    ids = rng.permutation(len(storage))[:n]
    order = np.argsort(ids)
    rows = np.empty((n, storage.shape[1]), np.float32)
    rows[order] = storage.read(ids[order])  # read in the order of the file
    release_pages(storage)
    return rows if norms is None else _divided(rows, norms[ids])


def encode_rows(
    storage: Storage, pq: PQ, norms: np.ndarray | None, progress: Progress
) -> Array:
    """The codes of all rows, which are first divided by their norms if these are given."""
    n_rows = len(storage)
    codes = aligned_empty((n_rows, pq.codebooks.shape[0]), np.uint8)
    padded = np.zeros(0)
    for start, block in storage.row_blocks():
        stop = start + len(block)
        if start == 0:
            padded = np.zeros_like(block)  # of one size, so that one program is compiled
        padded[: len(block)] = block if norms is None else _divided(block, norms[start:stop])
        codes[start:stop] = np.asarray(_codes(jnp.array(padded), pq))[: len(block)]
        progress(stop, n_rows)
    return jax.device_put(codes)


@jax.jit
def _codes(rows: Array, pq: PQ) -> Array:
    codebooks = jnp.asarray(pq.codebooks)
    if pq.projection is None:
        points = rows.T.reshape(codebooks.shape[0], codebooks.shape[2], -1)
    else:
        points = rotated(rows.T, jnp.asarray(pq.projection), codebooks)
    return nearest(points, codebooks).T.astype(jnp.uint8)


def _divided(rows: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Rows at unit length; zero rows stay zero."""
    return rows / np.where(norms > 0, norms, np.float32(1))[:, None]
