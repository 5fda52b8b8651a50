"""Cosines on the host, in float64."""

import numpy as np


@np.errstate(over="ignore", invalid="ignore")
def cosines_of(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The cosines of rows and a vector, 0 for zero vectors, NaN for infinite ones."""
    rows, vector = np.asarray(rows, np.float64), np.asarray(vector, np.float64)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    return np.divide(rows @ vector, norms, out=np.zeros(len(rows)), where=norms != 0)
