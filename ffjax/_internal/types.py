"""Array types shared by the signatures: leaves may be NumPy arrays (memory maps too) or JAX arrays."""

from typing import Any, TypeAlias

import jax.core
import numpy as np
from jax import Array

AnyArray: TypeAlias = Array | np.ndarray


def on_host(array: Any) -> np.ndarray:
    """The array as a NumPy array.

    Raises:
        TypeError: it is being traced.
    """
    if isinstance(array, jax.core.Tracer):
        raise TypeError(
            "expected arrays, got traced values: what takes or gives a `str` runs on the host. Inside `jit` use "
            "`ffjax.embed(embeddings, strings)` with packed words, and the other device functions."
        )
    return np.asarray(array)
