"""Arrays from files to the device without a copy on the way."""

from typing import Any

import jax

from ffjax._internal.arrays import aligned_empty
from ffjax.formats.io.binary import ByteSource


def read_array(source: ByteSource, start: int, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Reads an array that starts at byte `start` of a file onto the default device.

    The caller has checked that the file has as many bytes. On the CPU they are read once, into the
    memory that the array then owns.
    """
    array = aligned_empty(shape, dtype)
    source.read_into(start, array)
    return jax.device_put(array)
