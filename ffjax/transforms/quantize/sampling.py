"""The rows that are to be quantized: looked at, drawn and encoded a block at a time."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from ffjax._internal.arrays import aligned_empty
from ffjax._internal.memmap import release_pages
from ffjax.storage import PQ, Storage
from ffjax.transforms.quantize.kmeans import nearest
from ffjax.transforms.quantize.opq import rotated

# Numbers of a block: 16 MiB of float32.
_BLOCK = 1 << 22
# Squares of larger numbers, added up, leave the range of float32.
_LARGEST = 1e17
# Lengths that float32 rounding leaves of 1.
_UNIT = 1e-4


def blocks(storage: Storage) -> Iterator[tuple[int, Float32[np.ndarray, "n dims"]]]:
    """All rows as float32, some at a time, with the number of the first; pages of memory maps are let go."""
    size = block_size(storage)
    for start in range(0, len(storage), size):
        yield start, storage.embedding(slice(start, start + size)).astype(np.float32, copy=False)
        release_pages(storage)


def block_size(storage: Storage) -> int:
    """How many rows are read at a time."""
    rows, dims = storage.shape
    return max(1, min(rows, _BLOCK // max(dims, 1)))


def lengths(
    storage: Storage, told: Callable[[int, int], None] = lambda done, total: None
) -> Float32[np.ndarray, " rows"]:
    """The length of each row.

    Args:
        storage: the rows.
        told: called with rows done and rows to do.

    Raises:
        ValueError: a row has NaN, infinity, or numbers that k-means could not square.
    """
    found = np.empty(len(storage), np.float32)
    for start, block in blocks(storage):
        largest = np.maximum(block.max(1, initial=0), -block.min(1, initial=0))
        if not (fine := largest < _LARGEST).all():  # NaN is not less either
            row = int(np.argmin(fine))
            got = f"{largest[row]:g}" if np.isfinite(largest[row]) else "NaN or infinity"
            raise ValueError(
                f"`embeddings`: expected finite numbers below {_LARGEST:g}, got {got} in row {start + row}. "
                "Leave out such rows, or put numbers in their place."
            )
        found[start : start + len(block)] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        told(start + len(block), len(storage))
    return found


def all_unit(lengths: Float32[np.ndarray, " rows"]) -> bool:
    """Whether rows of these lengths are unit vectors, up to rounding."""
    return bool((np.abs(lengths - 1) < _UNIT).all())


def drawn(
    storage: Storage, n: int, norms: Float32[np.ndarray, " rows"] | None, key: Array
) -> Float32[np.ndarray, "n dims"]:
    """Different rows in random order, all there are if that is less.

    Args:
        storage: the rows.
        n: how many.
        norms: what to divide them by.
        key: for what is drawn.
    """
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
    n = min(n, len(storage))
    places = rng.permutation(len(storage))[:n]
    order = np.argsort(places)
    rows = np.empty((n, storage.shape[1]), np.float32)
    rows[order] = storage.embedding(places[order])  # read in the order of the file
    release_pages(storage)
    return rows if norms is None else _divided(rows, norms[places])


def encoded(
    storage: Storage, pq: PQ, norms: Float32[np.ndarray, " rows"] | None, told: Callable[[int, int], None]
) -> UInt8[Array, "rows subquantizers"]:
    """The codes of all rows.

    Args:
        storage: the rows.
        pq: the quantizer.
        norms: what to divide rows by.
        told: called with rows done and rows to do.
    """
    rows, dims = storage.shape
    codes = aligned_empty((rows, pq.subquantizers.shape[0]), np.uint8)
    padded = np.zeros((block_size(storage), dims), np.float32)  # one shape, so one program
    for start, block in blocks(storage):
        stop = start + len(block)
        padded[: len(block)] = block if norms is None else _divided(block, norms[start:stop])
        codes[start:stop] = np.asarray(_codes(jnp.array(padded), pq))[: len(block)]
        told(stop, rows)
    return jax.device_put(codes)


@jax.jit
def _codes(rows: Float32[Array, "rows dims"], pq: PQ) -> UInt8[Array, "rows subquantizers"]:
    books = jnp.asarray(pq.subquantizers)
    if pq.projection is None:
        points = rows.T.reshape(books.shape[0], books.shape[2], -1)
    else:
        points = rotated(rows.T, jnp.asarray(pq.projection), books)
    return nearest(points, books).T.astype(jnp.uint8)


def _divided(rows: Float32[np.ndarray, "n dims"], norms: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, "n dims"]:
    """Rows at unit length; those of length zero stay zero."""
    return rows / np.where(norms > 0, norms, np.float32(1))[:, None]
