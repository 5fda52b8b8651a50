"""Narrower numbers: 8 bits with a scale a row, and bfloat16.

Both read rows a block at a time, so that a mapped file needs memory for what is made of it alone, and refuse rows with
NaN or infinity.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from ffjax._internal.arrays import aligned_empty
from ffjax.storage import Int8Array, NdArray, Storage
from ffjax.storage.int8 import rounded
from ffjax.transforms.quantize.sampling import blocks

# Called with rows done and rows to do.
Told = Callable[[int, int], None]


def to_int8(storage: Storage, told: Told) -> Int8Array:
    """The rows as 8-bit numbers with a scale each, a quarter of the size of float32.

    A number is off by at most a 254th of the largest of its row.

    Examples:
        >>> import numpy as np
        >>> rows = NdArray(np.array([[1.0, 0.5], [0.0, 0.0]], np.float32))
        >>> to_int8(rows, lambda done, total: None).codes.tolist()
        [[127, 64], [0, 0]]
    """
    codes = aligned_empty(storage.shape, np.int8)
    scales = aligned_empty(storage.shape[:1], np.float32)
    for rows, block in _finite_blocks(storage, told):
        codes[rows], scales[rows] = rounded(block)
    return Int8Array(*jax.device_put((codes, scales)))


def to_bfloat16(storage: Storage, told: Told) -> NdArray:
    """The rows as bfloat16, half the size of float32: 8 significant bits, the exponents of float32.

    Raises:
        ValueError: a number is too large for bfloat16.

    Examples:
        >>> import numpy as np
        >>> to_bfloat16(NdArray(np.array([[1.0, 0.1]], np.float32)), lambda done, total: None).matrix.tolist()
        [[1.0, 0.10009765625]]
    """
    matrix = aligned_empty(storage.shape, jnp.bfloat16)
    for rows, block in _finite_blocks(storage, told):
        matrix[rows] = block.astype(jnp.bfloat16)
        if (bad := ~np.isfinite(matrix[rows].astype(np.float32)).all(axis=1)).any():
            row = int(bad.argmax())
            raise ValueError(
                f"`embeddings`: expected numbers up to {float(jnp.finfo(jnp.bfloat16).max):.4g}, the largest of "
                f"bfloat16, got {np.abs(block[row]).max():.4g} in row {rows.start + row}. Scale the rows first."
            )
    return NdArray(jax.device_put(matrix))


def _finite_blocks(storage: Storage, told: Told) -> Iterator[tuple[slice, Float32[np.ndarray, "n dims"]]]:
    """Blocks of rows, and where they stand."""
    for start, block in blocks(storage):
        if (bad := ~np.isfinite(block).all(axis=1)).any():
            row = start + int(bad.argmax())
            raise ValueError(
                f"`embeddings`: expected finite numbers, got NaN or infinity in row {row}. Put numbers in their place, "
                "or leave the row out."
            )
        stop = start + len(block)
        yield slice(start, stop), block
        told(stop, len(storage))
