"""Which packed strings are equal, in compiled code: an index to the first of each."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Int32, UInt8

from ffjax.kernels.fnv import PRIME_32


def first_equal(
    data: UInt8[Array, "n width"], lengths: Int32[Array, " n"]
) -> Int32[Array, " n"]:
    """For each string the number of the first that is equal; any bytes may follow a string.

    Strings are compared with the first of the same hash; the few that have it by chance, and those
    of more than `width` bytes, get their own number.

    Examples:
        >>> data = jnp.array([[116, 111], [98, 101], [116, 111]], jnp.uint8)
        >>> first_equal(data, jnp.full(3, 2, jnp.int32)).tolist()
        [0, 1, 0]
    """
    n, width = data.shape
    data = jnp.where(np.arange(width, dtype=np.int32)[None] < lengths[:, None], data, np.uint8(0))
    # Any odd number would do: its powers keep all bits of the bytes.
    powers = np.cumprod(np.full(width, PRIME_32, np.uint32), dtype=np.uint32)
    hashes = (data.astype(jnp.uint32) * powers[None]).sum(1) + lengths.astype(jnp.uint32)
    number = lax.iota(jnp.int32, n)
    # A stable sort: of those with the same hash the first string stays first.
    hashes, order = lax.sort((hashes, number), num_keys=1, is_stable=True)
    is_new = (hashes != jnp.roll(hashes, 1)) | (number == 0)
    first_of_hash = order[lax.cummax(jnp.where(is_new, number, 0))]
    first = jnp.zeros_like(number).at[order].set(first_of_hash, unique_indices=True)
    equal = (data == data[first]).all(1) & (lengths == lengths[first]) & (lengths <= width)
    return jnp.where(equal, first, number)
