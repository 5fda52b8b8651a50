"""Arrays in memory that goes to the device without a copy.

JAX takes over a NumPy array on the CPU as it is, without copying, if it begins at a multiple of 64 bytes. NumPy aligns
to 16. What is large and meant for the device is therefore laid out here.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

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


def _aligned(make: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = make(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
