"""Arrays from files to the device without a copy on the way.

JAX takes over a NumPy array on the CPU as it is, without copying, if it begins at a multiple of 64 bytes. NumPy aligns
to 16. A large matrix is therefore read into an array that was laid out here.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ffjax.formats.binary import Source

ALIGNMENT = 64


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialized array that begins at a multiple of 64 bytes.

    Args:
        shape: its shape.
        dtype: its element type.

    Examples:
        >>> aligned_empty((3, 5), np.float32).ctypes.data % 64
        0
    """
    return _aligned(np.empty, shape, dtype)


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `aligned_empty`, full of zeros; pages that are never written to take no memory."""
    return _aligned(np.zeros, shape, dtype)


def read_array(source: Source, start: int, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Reads an array that starts at byte `start` of a file onto the default device.

    On the CPU the bytes are read once, into the memory that the array then owns. The caller has checked that the file
    has as many.

    Args:
        source: the file.
        start: where its first byte is.
        shape: its shape.
        dtype: its element type, little endian.
    """
    array = aligned_empty(shape, dtype)
    source.read_into(start, array)
    return jax.device_put(array)


def _aligned(make: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = make(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
