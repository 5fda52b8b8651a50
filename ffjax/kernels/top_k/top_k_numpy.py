"""The kernels of a search in NumPy: scores of rows, and the best of them.

The score of a row depends on that row and the query alone, never on where the row stands, so that
equal rows tie exactly.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.normalize import MAX_SQUARES, MIN_SQUARES, unit_rows

# Numbers of rows that stay in a core's cache while all queries are multiplied with them.
_CACHED_NUMBERS = 1 << 18
_EPSILON = 1e-6
# Scores of which the largest is taken first when the best are chosen.
_GROUP_SIZE = 128


Queries: TypeAlias = Float32[np.ndarray, "batch dims"]
Scores: TypeAlias = Float32[np.ndarray, "batch n"]
Answers: TypeAlias = tuple[Float32[np.ndarray, "batch k"], Int32[np.ndarray, "batch k"]]


def row_scores(rows: Float[AnyArray, "n dims"], queries: Queries, *, unit: bool) -> Scores:
    """The products of rows with queries, divided by the norms of the rows if `unit`."""
    scores = np.empty((len(queries), len(rows)), np.float32)
    step = max(1, _CACHED_NUMBERS // max(1, rows.shape[1]))
    if len(queries) == 1 and not unit:
        step = len(rows)  # each row is read only once
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), max(1, step)):
            block = np.asarray(rows[start : start + step], np.float32)
            out = scores[:, start : start + step]
            # A product of matrices would sum the last rows of a tile in another order.
            np.vecdot(queries[:, None], block, out=out)
            if unit:
                out *= reciprocal_norms(block)
    return scores


def reciprocal_norms(rows: Float32[np.ndarray, "n dims"]) -> Float32[np.ndarray, " n"]:
    """As `ffjax.kernels.normalize.reciprocal_norms`.

    Examples:
        >>> reciprocal_norms(np.array([[3e30, 4e30], [3e-30, 4e-30], [0, 0]], np.float32)).tolist()
        [1.9999...e-31, 2.0000...e+29, 0.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(rows, rows)
    extreme = np.flatnonzero(~((squares > MIN_SQUARES) & (squares < MAX_SQUARES)))
    reciprocals = reciprocal_sqrt(squares)
    if extreme.size:
        wide = rows[extreme].astype(np.float64)
        reciprocals[extreme] = reciprocal_sqrt(np.vecdot(wide, wide))
    return reciprocals


def reciprocal_sqrt(squares: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """One over the square roots, 0 for zeros."""
    return np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)


def unit_queries(queries: Float32[np.ndarray, "*batch dims"]) -> Float32[np.ndarray, "*batch dims"]:
    """Queries at unit length; zeros stay zeros, and NaN or infinity makes a query NaN."""
    units, _ = unit_rows(queries.reshape(-1, queries.shape[-1]).copy())
    return units.reshape(queries.shape)


def cos_mul(cosines: Float32[np.ndarray, "batch 3 n"]) -> Scores:
    """3CosMul, as in `ffjax.kernels.top_k.rows`, of the cosines with a, b and c."""
    a, b, c = np.moveaxis((1 + cosines) / 2, 1, 0)
    return b * c / (a + np.float32(_EPSILON))


def from_cosine(
    scores: Float32[np.ndarray, "batch k"], metric: str
) -> Float32[np.ndarray, "batch k"]:
    """The scores that `euclidean` and `angular` make of cosines; others stay as they are."""
    if metric not in ("euclidean", "angular"):
        return scores
    cosines = np.clip(scores, -1, 1)
    if metric == "angular":
        turned = 1 - np.arccos(cosines) / np.float32(np.pi)
    else:
        turned = 1 - np.sqrt(2 - 2 * cosines) / 2
    return np.where(scores == -np.inf, scores, turned)


def best_positions(scores: Float32[np.ndarray, " n"], k: int) -> Int64[np.ndarray, " at_most_k"]:
    """The positions of the `k` largest, first ones among equals; never NaN or minus infinity.

    Examples:
        >>> best_positions(np.array([1, 3, np.nan, 3, 2, -np.inf], np.float32), 3).tolist()
        [1, 3, 4]
    """
    if not k or not scores.size:
        return np.zeros(0, np.int64)
    if np.isnan(scores.max()):
        scores = np.where(np.isnan(scores), -np.inf, scores)
    least = np.finfo(np.float32).min
    n_groups = scores.size // _GROUP_SIZE
    if k <= n_groups:
        # The k-th best maximum of groups is at most the k-th best score.
        groups = scores[: n_groups * _GROUP_SIZE].reshape(_GROUP_SIZE, n_groups)
        least = max(least, np.partition(groups.max(0), -k)[-k])
    positions = np.flatnonzero(scores >= least)
    if k < positions.size:
        best = scores[positions]
        positions = positions[best >= np.partition(best, -k)[-k]]
    return positions[np.argsort(-scores[positions], kind="stable")[:k]]


def best_rows(scores: Scores, rows: Int32[np.ndarray, " n"] | int, k: int) -> Answers:
    """The `k` best of the scores of some rows, or of rows from a first one on, for each query."""
    best = np.full((len(scores), k), -np.inf, np.float32)
    numbers = np.full((len(scores), k), -1, np.int32)
    for line, line_best, line_numbers in zip(scores, best, numbers, strict=True):
        positions = best_positions(line, k)
        # Negative zeros become zeros.
        line_best[: len(positions)] = line[positions] + np.float32(0)
        found_rows = positions + rows if isinstance(rows, int) else rows[positions]
        line_numbers[: len(positions)] = found_rows
    return best, numbers
