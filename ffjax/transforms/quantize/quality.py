"""How much of the rows is left in what stands for them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ffjax.embeddings.value import Embeddings
from ffjax.functional.search.api import top_k
from ffjax.transforms.quantize.sampling import blocks

_QUERIES, _NEIGHBOURS = 256, 10


class QuantizationQuality(NamedTuple):
    """How near quantized embeddings are to those that they were made of.

    Attributes:
        mean_squared_error: of the numbers of all rows.
        mean_cosine: of each row with its reconstruction; rows of zeros are left out.
        recall: the share of the 10 rows nearest to a row, by the cosine, that are among the 10 nearest afterwards: the
            mean over 256 rows drawn at random, each asked for as it was before, and not itself an answer. Among words'
            rows, where there are any.
    """

    mean_squared_error: float
    mean_cosine: float
    recall: float


def quality(
    original: Embeddings, quantized: Embeddings, key: jax.Array, told: Callable[[str, int, int], None]
) -> QuantizationQuality:
    """Compares embeddings with what stands for them, a block of rows at a time.

    Args:
        original: the embeddings.
        quantized: embeddings with as many rows.
        key: draws the rows whose neighbours are compared.
        told: called with `"Measuring"` and rows done and to do, then with `"Searching"` and searches.
    """
    squares, cosines, with_length = 0.0, 0.0, 0
    for start, rows in blocks(original.storage):
        others = quantized.storage.embedding(slice(start, start + len(rows))).astype(np.float32, copy=False)
        apart = np.subtract(rows, others, dtype=np.float64)  # whose squares may leave the range of float32
        squares += float(np.einsum("ij,ij->", apart, apart))
        products, ours, theirs = (
            np.einsum("ij,ij->i", a, b, dtype=np.float64) for a, b in ((rows, others), (rows, rows), (others, others))
        )
        both = (ours > 0) & (theirs > 0)
        cosines += float((products[both] / np.sqrt(ours[both] * theirs[both])).sum())
        with_length += int((ours > 0).sum())
        told("Measuring", start + len(rows), len(original.storage))
    return QuantizationQuality(
        squares / (original.storage.shape[0] * original.dims),
        cosines / with_length if with_length else 1.0,
        _recall(original, quantized, key, told),
    )


def _recall(
    original: Embeddings, quantized: Embeddings, key: jax.Array, told: Callable[[str, int, int], None]
) -> float:
    words = original.vocab.n_word_rows
    # A floret table has rows but no words.
    before, after = (x if words else x.storage for x in (original, quantized))
    rows = words or len(original.storage)
    k = min(_NEIGHBOURS, rows - 1)
    if k < 1:
        return 1.0
    places = np.asarray(jax.random.choice(key, rows, (min(_QUERIES, rows),), replace=False)).astype(np.int32)
    queries = jnp.array(original.storage.embedding(places)).astype(jnp.float32)
    found = []
    for number, searched in enumerate((before, after)):
        told("Searching", number, 2)
        best = top_k(searched, queries, k, metric="cosine", exclude=places[:, None])
        found.append(np.asarray(best.rows))
    told("Searching", 2, 2)
    return float((found[0][:, :, None] == found[1][:, None, :]).any(2).mean())
