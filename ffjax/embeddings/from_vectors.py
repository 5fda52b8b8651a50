"""`from_vectors`: embeddings of words and a matrix in memory."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from ffjax._internal.arguments import list_of_words, real_numbers
from ffjax._internal.arrays import aligned_empty
from ffjax._internal.file_arguments import counted, wrong_value
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.unit_length import unit_length
from ffjax.storage import NdArray
from ffjax.storage.norms import Norms
from ffjax.vocab import SimpleVocab


def from_vectors(words: Iterable[str], matrix: Any) -> Embeddings:
    """Embeddings of words and their vectors, as if they had been read from a file.

    Vectors are scaled to unit length, so that the dot product of rows is their cosine, and `norms`
    holds the lengths that they had. Zero vectors stay zero. `Embeddings(NdArray(matrix), vocab)`
    takes rows as they are.

    Args:
        words: the words, each once.
        matrix: the vector of each, shape `[n, dims]`, in any type of numbers.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` of float32 and norms; the rows are copies.

    Raises:
        TypeError: if `words` is a single word or does not hold words, or `matrix` does not hold
            numbers.
        ValueError: if a word occurs twice, there is not one vector for each word, or a number is
            NaN, infinite or too large for float32.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.from_vectors(["tea", "coffee", "iron"], [[3, 4], [2, 2], [-5, 1]])
        >>> emb["tea"].tolist(), float(emb.norms[0])
        ([0.6000000238418579, 0.800000011920929], 5.0)
        >>> emb.most_similar("tea", topn=1)[0].word
        'coffee'
    """
    words = list_of_words(words)
    array = real_numbers("matrix", matrix, "a vector for each word, [n_words, dims]")
    if array.ndim != 2:
        raise wrong_value("matrix", "shape [n_words, dims]", array.shape)
    if len(array) != len(words):
        expected = f"{counted(len(words), 'vector')}, one for each word"
        raise wrong_value("matrix", expected, len(array))
    rows = aligned_empty(array.shape, np.float32)
    with np.errstate(over="ignore"):
        rows[:] = array
    norms, n_infinite = unit_length(rows)
    if n_infinite:
        expected = "finite numbers that float32 holds"
        got = f"{counted(n_infinite, 'vector')} with NaN, infinity or larger numbers"
        raise wrong_value("matrix", expected, got, "Leave these words out.")
    rows, norms = jax.device_put((rows, norms))
    return Embeddings(NdArray(rows), SimpleVocab(words), Norms(norms))
