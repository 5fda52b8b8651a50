"""Arrays from files to the device without a copy on the way."""

from typing import Any

import jax

from ffjax._internal.arrays import aligned_empty
from ffjax.formats.io.binary import ByteSource


def read_array(source: ByteSource, start: int, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Reads an array at byte `start` onto the default device; on the CPU it is not copied."""
    array = aligned_empty(shape, dtype)
    source.read_into(start, array)
    return jax.device_put(array)
