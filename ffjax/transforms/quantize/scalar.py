"""Narrower numbers: 8 bits with a scale a row, and bfloat16.

Both read rows a block at a time, so that a mapped file needs memory only for the result.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arrays import aligned_empty
from ffjax.storage import Int8Array, NdArray, Storage
from ffjax.storage.int8 import rounded
from ffjax.transforms.quantize.settings import Progress


def to_int8(storage: Storage, progress: Progress) -> Int8Array:
    """The rows as 8-bit numbers with a scale each, a quarter of the size of float32."""
    codes = aligned_empty(storage.shape, np.int8)
    scales = aligned_empty(storage.shape[:1], np.float32)
    for rows, block in _blocks(storage, progress):
        codes[rows], scales[rows] = rounded(block)
    return Int8Array(*jax.device_put((codes, scales)))


def to_bfloat16(storage: Storage, progress: Progress) -> NdArray:
    """The rows as bfloat16, half the size of float32: 8 significant bits, float32's exponents."""
    matrix = aligned_empty(storage.shape, jnp.bfloat16)
    for rows, block in _blocks(storage, progress):
        matrix[rows] = block.astype(jnp.bfloat16)
        finite = np.isfinite(matrix[rows].astype(np.float32)).all(axis=1)
        if not finite.all():
            row, largest = int(finite.argmin()), float(jnp.finfo(jnp.bfloat16).max)
            raise ValueError(
                f"`embeddings`: expected numbers up to {largest:.4g}, the largest of bfloat16, "
                f"got {np.abs(block[row]).max():.4g} in row {rows.start + row}. "
                "Scale the rows first."
            )
    return NdArray(jax.device_put(matrix))


def _blocks(storage: Storage, progress: Progress) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows, and which rows they are."""
    for start, block in storage.row_blocks(finite="row {}".format):
        stop = start + len(block)
        yield slice(start, stop), block
        progress(stop, len(storage))
