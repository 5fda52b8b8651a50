"""The numbers that begin at each byte of a buffer; importing this does not import JAX."""

from typing import Any

import numpy as np


def words_at(data: np.ndarray, dtype: Any = "<u4") -> np.ndarray:
    """The value of a type that begins at every byte of a buffer, as a view of the buffer.

    Examples:
        >>> words_at(np.frombuffer(b"tea", np.uint8), "<u2").tolist()
        [25972, 24933]
    """
    size = max(0, data.size - np.dtype(dtype).itemsize + 1)
    return np.ndarray(size, dtype, np.ascontiguousarray(data), strides=(1,))
