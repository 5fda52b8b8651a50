"""What search must answer, with NumPy: a stable argsort of all scores.

Where ties matter the vectors are small integers: their products are exact in float32 in any order
of summation.
"""

import numpy as np

import ffjax
from ffjax.kernels.top_k.rows import COS_MUL


def integers(seed, *shape, largest=2):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float32)


def normals(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cosines(matrix, queries):
    lengths = np.linalg.norm(queries, axis=-1)[..., None] * np.linalg.norm(matrix, axis=1)
    return np.clip(queries @ matrix.T / np.where(lengths == 0, 1, lengths), -1, 1)


def reference(matrix, queries, k, *, allowed=None, exclude=None, metric="dot"):
    """With the metric `COS_MUL`, queries are the vectors of a, b and c, `[3, batch, dims]`."""
    matrix, queries = np.asarray(matrix, np.float64), np.asarray(queries, np.float64)
    if metric == COS_MUL:
        a, b, c = (1 + cosines(matrix, queries)) / 2
        scores = b * c / (a + 1e-6)
    else:
        scores = queries @ matrix.T if metric == "dot" else cosines(matrix, queries)
    if allowed is not None:
        mask = np.zeros(len(matrix), bool)
        mask[allowed] = True
        scores[:, ~mask] = -np.inf
    for line, left_out in zip(scores, [] if exclude is None else exclude, strict=False):
        line[left_out[left_out >= 0]] = -np.inf
    scores = np.where(np.isnan(scores), -np.inf, scores)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, rows, axis=1)
    rows = np.where(best == -np.inf, -1, rows)
    missing = ((0, 0), (0, k - rows.shape[1]))
    best, rows = (
        np.pad(best, missing, constant_values=-np.inf),
        np.pad(rows, missing, constant_values=-1),
    )
    found = best != -np.inf
    if metric == "angular":
        best[found] = 1 - np.arccos(best[found]) / np.pi
    if metric == "euclidean":
        best[found] = 1 - np.sqrt(2 - 2 * best[found]) / 2
    return best, rows


def agree(found, expected, *, atol=0.0, rtol=0.0):
    scores, rows = (found.scores, found.rows) if isinstance(found, ffjax.TopK) else found
    assert scores.dtype == np.float32 and rows.dtype == np.int32
    assert np.asarray(rows).tolist() == expected[1].tolist()
    np.testing.assert_allclose(scores, expected[0], rtol=rtol, atol=atol)
