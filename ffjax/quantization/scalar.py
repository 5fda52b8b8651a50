"""Narrower numbers: 8 bits with a scale a row, and bfloat16."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ffjax._aligned import aligned_empty
from ffjax.formats.mapped import forget
from ffjax.storage import Int8Array, NdArray, Storage
from ffjax.storage.int8 import rounded

Progress = Callable[[int, int], None]
_BLOCK_BYTES = 1 << 24


def to_int8(storage: Storage, *, progress: Progress | None = None) -> Int8Array:
    """The rows as 8-bit numbers with a scale each, a quarter of the size of float32.

    A number is off by at most a 254th of the largest of its row. Rows are read a block at a time, so that a mapped file
    needs memory for the codes alone.

    Args:
        storage: the rows, in any storage.
        progress: called with the number of rows done so far and of all.

    Returns:
        A storage on the default device.

    Raises:
        TypeError: `storage` is none.
        ValueError: a row has NaN or infinity.

    Examples:
        >>> import numpy as np
        >>> to_int8(NdArray(np.array([[1.0, 0.5], [0.0, 0.0]], np.float32))).codes.tolist()
        [[127, 64], [0, 0]]
    """
    _check(storage)
    codes = aligned_empty(storage.shape, np.int8)
    scales = aligned_empty(storage.shape[:1], np.float32)
    for start, block in _blocks(storage, progress):
        stop = start + len(block)
        codes[start:stop], scales[start:stop] = rounded(block)
    return Int8Array(*jax.device_put((codes, scales)))


def to_bfloat16(storage: Storage, *, progress: Progress | None = None) -> NdArray:
    """The rows as bfloat16, half the size of float32: 8 significant bits, the exponents of float32.

    Args:
        storage: the rows, in any storage.
        progress: called with the number of rows done so far and of all.

    Returns:
        A storage on the default device.

    Raises:
        TypeError: `storage` is none.
        ValueError: a row has NaN or infinity, or a number too large for bfloat16.

    Examples:
        >>> import numpy as np
        >>> to_bfloat16(NdArray(np.array([[1.0, 0.1]], np.float32))).matrix.tolist()
        [[1.0, 0.10009765625]]
    """
    _check(storage)
    matrix = aligned_empty(storage.shape, jnp.bfloat16)
    for start, block in _blocks(storage, progress):
        narrow = block.astype(jnp.bfloat16)
        if (bad := ~np.isfinite(narrow.astype(np.float32)).all(axis=1)).any():
            row = int(bad.argmax())
            raise ValueError(
                f"`storage`: expected numbers up to {float(jnp.finfo(jnp.bfloat16).max):.4g}, the largest of bfloat16, "
                f"got {np.abs(block[row]).max():.4g} in row {start + row}. Scale the rows first."
            )
        matrix[start : start + len(block)] = narrow
    return NdArray(jax.device_put(matrix))


def _check(storage: Storage) -> None:
    if not isinstance(storage, Storage):
        raise TypeError(
            f"`storage`: expected a storage, got {type(storage).__name__}. Embeddings have one: `embeddings.storage`."
        )


def _blocks(storage: Storage, progress: Progress | None) -> Iterator[tuple[int, Float[np.ndarray, "n dims"]]]:
    """Blocks of finite rows, float32, and where each begins."""
    rows, dims = storage.shape
    step = max(1, _BLOCK_BYTES // max(4 * dims, 1))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        block = storage.embedding(slice(start, stop)).astype(np.float32, copy=False)
        if (bad := ~np.isfinite(block).all(axis=1)).any():
            row = start + int(bad.argmax())
            raise ValueError(
                f"`storage`: expected finite numbers, got NaN or infinity in row {row}. Put numbers in their place, or "
                "leave the row out."
            )
        yield start, block
        forget(storage)
        if progress is not None:
            progress(stop, rows)
