"""Narrower numbers: 8 bits with a scale a row, and bfloat16.

Both read rows a block at a time, so that a mapped file needs memory only for the result.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arrays import aligned_empty
from ffjax.storage import Int8Array, NdArray, Storage
from ffjax.storage.int8 import rounded

# Called with the number of rows done so far and of all.
Progress = Callable[[int, int], None]


def to_int8(storage: Storage, progress: Progress) -> Int8Array:
    """The rows as 8-bit numbers with a scale each, a quarter of the size of float32.

    Examples:
        >>> import numpy as np
        >>> rows = NdArray(np.array([[1.0, 0.5], [0.0, 0.0]], np.float32))
        >>> to_int8(rows, lambda rows, total: None).codes.tolist()
        [[127, 64], [0, 0]]
    """
    codes = aligned_empty(storage.shape, np.int8)
    scales = aligned_empty(storage.shape[:1], np.float32)
    for rows, block in _blocks(storage, progress):
        codes[rows], scales[rows] = rounded(block)
    return Int8Array(*jax.device_put((codes, scales)))


def to_bfloat16(storage: Storage, progress: Progress) -> NdArray:
    """The rows as bfloat16, half the size of float32: 8 significant bits, float32's exponents.

    Examples:
        >>> import numpy as np
        >>> rows = NdArray(np.array([[1.0, 0.1]], np.float32))
        >>> to_bfloat16(rows, lambda rows, total: None).matrix.tolist()
        [[1.0, 0.10009765625]]
    """
    matrix = aligned_empty(storage.shape, jnp.bfloat16)
    for rows, block in _blocks(storage, progress):
        matrix[rows] = block.astype(jnp.bfloat16)
        finite = np.isfinite(matrix[rows].astype(np.float32)).all(axis=1)
        if not finite.all():
            row = int(finite.argmin())
            raise ValueError(
                "`embeddings`: expected numbers up to "
                f"{float(jnp.finfo(jnp.bfloat16).max):.4g}, the largest of bfloat16, "
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
