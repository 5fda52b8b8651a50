"""How near quantized rows are to the original ones."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.progress import Report
from ffjax.embeddings.value import Embeddings
from ffjax.functional.search.api import top_k

_QUERIES, _NEIGHBOURS = 256, 10


class QuantizationQuality(NamedTuple):
    """How near quantized embeddings are to the original ones.

    Attributes:
        mean_squared_error: of the numbers of all rows.
        mean_cosine: of each row with its reconstruction; zero rows are left out.
        recall: the share of the 10 rows nearest to a row, by the cosine, that are among the 10
            nearest afterwards: the mean over 256 rows drawn at random, with the original row as the
            query and left out of the answers. Only rows of words count, if there are any.
    """

    mean_squared_error: float
    mean_cosine: float
    recall: float


def quality(
    original: Embeddings, quantized: Embeddings, key: jax.Array, report: Report
) -> QuantizationQuality:
    """Compares embeddings with their quantized rows; `key` draws the rows to search for."""
    n_rows, dims = original.storage.shape
    squares, cosines, n_cosines = 0.0, 0.0, 0
    for start, rows in original.storage.row_blocks():
        stop = start + len(rows)
        approximate = quantized.storage.read(slice(start, stop)).astype(np.float32, copy=False)
        # In float64, since squares may leave the range of float32.
        differences = np.subtract(rows, approximate, dtype=np.float64)
        squares += float(np.einsum("ij,ij->", differences, differences))
        before, after = _dots(rows, rows), _dots(approximate, approximate)
        valid = (before > 0) & (after > 0)
        products = _dots(rows, approximate)[valid]
        cosines += float((products / np.sqrt(before[valid] * after[valid])).sum())
        n_cosines += int((before > 0).sum())
        report("Measuring", stop, n_rows)
    mean_cosine = cosines / n_cosines if n_cosines else 1.0
    recall = _recall(original, quantized, key, report)
    return QuantizationQuality(squares / (n_rows * dims), mean_cosine, recall)


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b, dtype=np.float64)


def _recall(original: Embeddings, quantized: Embeddings, key: jax.Array, report: Report) -> float:
    n_words = original.vocab.n_word_rows
    # A floret table has rows but no words.
    searched = (original, quantized) if n_words else (original.storage, quantized.storage)
    n_rows = n_words or len(original.storage)
    k = min(_NEIGHBOURS, n_rows - 1)
    if k < 1:
        return 1.0
    ids = jax.random.choice(key, n_rows, (min(_QUERIES, n_rows),), replace=False)
    ids = np.asarray(ids).astype(np.int32)
    queries = jnp.array(original.storage.read(ids)).astype(jnp.float32)
    neighbours = []
    for number, rows in enumerate(searched):
        report("Searching", number, 2)
        best = top_k(rows, queries, k, metric="cosine", exclude=ids[:, None])
        neighbours.append(np.asarray(best.rows))
    report("Searching", 2, 2)
    before, after = neighbours
    return float((before[:, :, None] == after[:, None, :]).any(2).mean())
