"""Numbers of other widths: 8 bits with a scale a row, bfloat16, and back to float32.

All read rows a block at a time, so that a mapped file needs memory only for the result.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.arrays import aligned_empty
from ffjax._internal.progress import Progress
from ffjax.embeddings.value import Embeddings
from ffjax.storage import Int8Array, NdArray, Storage
from ffjax.storage.int8 import rounded


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


def reconstruct(embeddings: Embeddings) -> Embeddings:
    """The same embeddings with a float32 matrix: each row is what its codes stand for.

    Storages of all kinds become dense: codes are decoded, narrow numbers widened, composed rows
    computed, mapped files read. Vocabulary, norms and metadata stay. Memory is needed for the
    matrix and a block of rows.

    Args:
        embeddings: the embeddings.

    Returns:
        Embeddings whose storage is an `NdArray`.

    Raises:
        TypeError: if `embeddings` is something else.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.reconstruct(ffjax.demo())
        >>> emb.storage
        NdArray(43500 x 100)
    """
    check_embeddings(embeddings)
    matrix = aligned_empty(embeddings.storage.shape, np.float32)
    for start, rows in embeddings.storage.row_blocks():
        matrix[start : start + len(rows)] = rows
    return embeddings.replace(storage=NdArray(jax.device_put(matrix)))


def _blocks(storage: Storage, progress: Progress) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows, and which rows they are."""
    for start, block in storage.row_blocks(finite="row {}".format):
        stop = start + len(block)
        yield slice(start, stop), block
        progress(stop, len(storage))
