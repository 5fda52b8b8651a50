"""Adding words."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings, list_of_words, real_numbers
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import to_unit
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable


def add_words(embeddings: Embeddings, words: Iterable[str], vectors: Any) -> Embeddings:
    """Embeddings with more words, after the known ones.

    If the embeddings have norms the vectors are scaled to unit length, as all rows of words are
    then, and their norms are added; otherwise they are taken as they are. N-grams and metadata
    stay. The training state describes other words and is dropped. Composed rows become dense, rows
    that are divided over devices come back on one, and rows of 8-bit numbers stay 8-bit.

    Args:
        embeddings: the embeddings.
        words: new words, each once.
        vectors: the vector of each, shape `[n, dims]`.

    Returns:
        New embeddings; their rows are copies.

    Raises:
        TypeError: if `words` is a single word or does not hold words, `embeddings` is something
            else, `vectors` are not real numbers, or the rows are quantized.
        ValueError: if a word is known already or occurs twice, or the vectors have another shape,
            are not finite or are too large for the type of the rows.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.reconstruct(ffjax.demo())
        >>> more = ffjax.add_words(emb, ["teacoffee"], [emb["tea"] + emb["coffee"]])
        >>> more.n_words, [result.word for result in more.word_similarity("teacoffee", k=2)]
        (40001, ['coffee', 'tea'])
    """
    check_embeddings(embeddings)
    vocab, storage, words = embeddings.vocab, embeddings.storage, list_of_words(words)
    rows = _checked_vectors(vectors, (len(words), embeddings.dims))
    for word in words:
        if word in vocab:
            raise ValueError(f"`words`: expected new words, got {word!r}, which is known already.")
    norms = embeddings.norms
    if norms is not None:
        lengths = np.linalg.norm(rows, axis=1)
        rows = to_unit(rows)
        lengths = _converted(lengths, np.dtype(np.float32), "norms")
        norms = Norms(np.concatenate([np.asarray(norms), lengths]))
    first = vocab.n_word_rows
    rows = _converted(rows, storage.dtype, "numbers")
    word_rows = np.concatenate([vocab.host_rows, np.arange(first, first + len(words))])
    vocab = vocab.with_words(StringTable.from_strings([*vocab.words, *words]), word_rows)
    return Embeddings(storage.concat(rows, first), vocab, norms, embeddings.metadata)


def _checked_vectors(vectors: Any, shape: tuple[int, int]) -> np.ndarray:
    what = f"{shape[0]} vectors of {shape[1]} numbers"
    rows = real_numbers("vectors", vectors, what).astype(np.float64)
    if rows.shape == (0,) and not shape[0]:
        return rows.reshape(shape)  # an empty list does not say how long its vectors would be
    if rows.shape != shape or not np.isfinite(rows).all():
        got = f"shape {rows.shape}" if rows.shape != shape else "NaN or infinity"
        raise ValueError(f"`vectors`: expected shape {shape} of finite numbers, got {got}.")
    return rows


def _converted(values: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    """Finite numbers in another type; an error if one of them is too large for it."""
    with np.errstate(over="ignore"):
        converted = values.astype(np.float32).astype(dtype)
    if not np.isfinite(converted).all():
        largest = float(jnp.finfo(dtype).max)
        raise ValueError(
            f"`vectors`: expected {what} of at most {largest:.6g}, the largest that {dtype} holds, "
            f"got {np.abs(values).max():.6g}. Scale the vectors, or make the rows wider."
        )
    return converted
