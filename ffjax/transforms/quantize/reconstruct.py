"""Plain rows of quantized ones."""

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.arrays import aligned_empty
from ffjax.embeddings.value import Embeddings
from ffjax.storage import NdArray
from ffjax.transforms.quantize.sampling import blocks


def reconstruct(embeddings: Embeddings) -> Embeddings:
    """The same embeddings with a float32 matrix: each row is what its codes stand for.

    Storages of all kinds become plain ones: codes are decoded, narrow numbers widened, composed rows put together, maps
    of files read. Vocabulary, norms and metadata stay. Memory is needed for the matrix and a block of rows.

    Args:
        embeddings: the embeddings.

    Returns:
        Embeddings whose storage is an `NdArray`.

    Raises:
        TypeError: `embeddings` is something else.

    Examples:
        >>> import ffjax
        >>> small = ffjax.demo()
        >>> small.storage, ffjax.reconstruct(small).storage
        (QuantizedArray(43500 x 100, PQ(50 subquantizers of 256 centroids, 100 dims, rotated)), NdArray(43500 x 100))
    """
    check_embeddings(embeddings)
    matrix = aligned_empty(embeddings.storage.shape, np.float32)
    for start, rows in blocks(embeddings.storage):
        matrix[start : start + len(rows)] = rows
    return embeddings.replace(storage=NdArray(jax.device_put(matrix)))
