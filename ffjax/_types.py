"""Array types shared by the signatures: leaves may be NumPy arrays (memory maps too) or JAX arrays."""

from typing import TypeAlias

import numpy as np
from jax import Array

AnyArray: TypeAlias = Array | np.ndarray
