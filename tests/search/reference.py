"""What search must answer, with NumPy: a stable argsort of all scores, so that equal scores come in order of the rows.

Vectors are small integers where ties matter: their products are exact in float32 in any order of summation.
"""

import numpy as np


def integers(seed, *shape, largest=2):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float32)


def normals(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reference(matrix, queries, k, *, allowed=None, exclude=None, metric="dot"):
    matrix, queries = np.asarray(matrix, np.float64), np.asarray(queries, np.float64)
    scores = queries @ matrix.T
    if metric == "cosine":
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None]
        scores = scores / np.where(lengths == 0, 1, lengths)
    if allowed is not None:
        scores[:, ~np.isin(np.arange(len(matrix)), allowed)] = -np.inf
    for line, left_out in zip(scores, [] if exclude is None else exclude, strict=False):
        line[left_out[left_out >= 0]] = -np.inf
    scores = np.where(np.isnan(scores), -np.inf, scores)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, rows, axis=1)
    rows = np.where(best == -np.inf, -1, rows)
    missing = ((0, 0), (0, k - rows.shape[1]))
    return np.pad(best, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)


def agree(found, expected, *, atol=0.0):
    assert np.asarray(found.rows).tolist() == expected[1].tolist()
    np.testing.assert_allclose(found.scores, expected[0], rtol=0, atol=atol)
