"""Plain rows of quantized ones."""

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.arrays import aligned_empty
from ffjax.embeddings.value import Embeddings
from ffjax.storage import NdArray


def reconstruct(embeddings: Embeddings) -> Embeddings:
    """The same embeddings with a float32 matrix: each row is what its codes stand for.

    Storages of all kinds become dense: codes are decoded, narrow numbers widened, composed rows
    computed, mapped files read. Vocabulary, norms and metadata stay. Memory is needed for the
    matrix and a block of rows.

    Args:
        embeddings: the embeddings.

    Returns:
        Embeddings whose storage is an `NdArray`.

    Raises:
        TypeError: if `embeddings` is something else.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.reconstruct(ffjax.demo())
        >>> emb.storage
        NdArray(43500 x 100)
    """
    check_embeddings(embeddings)
    matrix = aligned_empty(embeddings.storage.shape, np.float32)
    for start, rows in embeddings.storage.row_blocks():
        matrix[start : start + len(rows)] = rows
    return embeddings.replace(storage=NdArray(jax.device_put(matrix)))
