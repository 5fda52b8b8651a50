"""Adding words."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings, list_of_words
from ffjax._internal.arrays import aligned_empty
from ffjax.embeddings.value import Embeddings
from ffjax.storage import Int8Array, NdArray, QuantizedArray, ShardedArray, Storage
from ffjax.storage.int8 import rounded
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.transforms.select import with_words


def add_words(embeddings: Embeddings, words: Iterable[str], vectors: Any) -> Embeddings:
    """Embeddings with more words, behind the known ones.

    If the embeddings have norms the vectors are scaled to unit length, as all rows of words are then, and their lengths
    become norms; otherwise they are taken as they are. N-grams and metadata stay; what training left is about other
    words, and goes. Composed rows are put together, and rows that are divided over devices come back on one; where rows
    are 8-bit numbers with a scale each, new ones become so.

    Args:
        embeddings: the embeddings.
        words: new words, each once.
        vectors: the vector of each, shape `[n, dims]`.

    Returns:
        New embeddings; their rows are copies.

    Raises:
        TypeError: `words` is one word or holds something else than words, these are no embeddings, or the rows are
            quantized.
        ValueError: a word is known already or given twice, or the vectors are of another shape, not finite or
            too large for the type of the rows.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.reconstruct(ffjax.demo())
        >>> more = ffjax.add_words(emb, ["teacoffee"], [emb["tea"] + emb["coffee"]])
        >>> more.n_words, [result.word for result in more.word_similarity("teacoffee", k=2)]
        (40001, ['coffee', 'tea'])
    """
    check_embeddings(embeddings)
    vocab, storage, words = embeddings.vocab, embeddings.storage, list_of_words(words)
    if isinstance(storage.padded if isinstance(storage, ShardedArray) else storage, QuantizedArray):
        raise TypeError(
            "`embeddings`: expected rows of plain numbers, got quantized ones. Make them plain first, with "
            "`ffjax.reconstruct`, and quantize anew afterwards."
        )
    # Of no vectors in a list NumPy does not know how long they would be.
    shape = (len(words), embeddings.dims)
    added = np.asarray(vectors, np.float64)
    added = added.reshape(shape) if added.shape == (0,) and not words else added
    if added.shape != shape or not np.isfinite(added).all():
        got = f"shape {added.shape}" if added.shape != shape else "NaN or infinity"
        raise ValueError(f"`vectors`: expected shape {shape} of finite numbers, got {got}.")
    for word in words:
        if word in vocab:
            raise ValueError(f"`words`: expected new words, got {word!r}, which is known already.")
    norms = embeddings.norms
    if norms is not None:
        lengths = np.linalg.norm(added, axis=1)
        added = added / np.where(lengths > 0, lengths, 1)[:, None]
        norms = Norms(np.concatenate([np.asarray(norms), _fitting(lengths, np.float32, "lengths")]))
    added = _fitting(added, getattr(storage, "dtype", np.float32), "numbers")
    n_rows = vocab.n_word_rows
    rows = np.concatenate([vocab.host_rows, np.arange(n_rows, n_rows + len(words))])
    table = StringTable.from_strings([*vocab.words, *words])
    return Embeddings(_with_rows(storage, added, n_rows), with_words(vocab, table, rows), norms, embeddings.metadata)


def _fitting(values: np.ndarray, dtype: Any, what: str) -> np.ndarray:
    """Finite numbers in the type that is to hold them.

    Raises:
        ValueError: one of them is too large for it.
    """
    with np.errstate(over="ignore"):
        made = values.astype(np.float32).astype(dtype)
    if not np.isfinite(made).all():
        most = float(jnp.finfo(dtype).max)
        raise ValueError(
            f"`vectors`: expected {what} of at most {most:.6g}, the largest that {np.dtype(dtype)} holds, got "
            f"{np.abs(values).max():.6g}. Scale the vectors, or make the rows wider."
        )
    return made


def _with_rows(storage: Storage, added: np.ndarray, place: int) -> Storage:
    """The storage with more rows from row `place` on."""
    if isinstance(storage, ShardedArray):
        storage = storage[:]
    if isinstance(storage, Int8Array):
        codes, scales = rounded(added)
        return Int8Array(_joined(storage.codes, codes, place), _joined(storage.scales, scales, place))
    if isinstance(storage, NdArray):
        return NdArray(_joined(storage.matrix, added, place))
    return NdArray(_joined(storage.embedding(slice(None)), added, place))


def _joined(array: Any, added: np.ndarray, place: int) -> Any:
    source = np.asarray(array)
    out = aligned_empty((len(source) + len(added), *source.shape[1:]), source.dtype)
    out[:place], out[place : place + len(added)], out[place + len(added) :] = source[:place], added, source[place:]
    return jax.device_put(out)
