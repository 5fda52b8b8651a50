"""The first words of embeddings that have been read, with all of their n-grams."""

from typing import Any

import jax
import numpy as np

from ffjax._pytree import replace
from ffjax.embeddings import Embeddings
from ffjax.formats.aligned import aligned_empty
from ffjax.norms import Norms
from ffjax.storage import NdArray, QuantizedArray, Storage
from ffjax.vocab import FloretVocab, SimpleVocab, Vocab


def first_words(embeddings: Embeddings, limit: int | None) -> Embeddings:
    """Embeddings with the first `limit` words and all n-grams; as they are if they have no more.

    Args:
        embeddings: embeddings from a finalfusion file.
        limit: how many words, or `None` for all.

    Raises:
        ValueError: they have n-grams and no words.
    """
    vocab = embeddings.vocab
    if limit is None or limit >= len(vocab) > 0:
        return embeddings
    if isinstance(vocab, FloretVocab):
        raise ValueError(f"`limit`: expected None for floret embeddings, which have no words, got {limit}.")
    # Words may share rows; those that stay are numbered anew.
    kept, rows = np.unique(vocab.host_rows[:limit], return_inverse=True)
    storage = _take(embeddings.storage, kept, vocab.n_word_rows)
    norms = None if embeddings.norms is None else Norms(np.asarray(embeddings.norms)[kept])
    return Embeddings(storage, _cut(vocab, limit, rows), norms, embeddings.metadata)


def _cut(vocab: Vocab, limit: int, rows: np.ndarray) -> Vocab:
    table = vocab.table.take(np.arange(limit))
    if isinstance(vocab, SimpleVocab):
        return SimpleVocab(table, rows=rows)
    return type(vocab)(table, vocab.subword_indexer, rows=rows)  # type: ignore[attr-defined,call-arg]


def _take(storage: Storage, kept: np.ndarray, n_word_rows: int) -> Storage:
    if isinstance(storage, QuantizedArray):
        norms = None if storage.norms is None else _rows(storage.norms, kept, n_word_rows)
        return replace(storage, codes=_rows(storage.codes, kept, n_word_rows), norms=norms)
    assert isinstance(storage, NdArray)  # a finalfusion file holds no other
    return NdArray(_rows(storage.matrix, kept, n_word_rows))


def _rows(array: Any, kept: np.ndarray, n_word_rows: int) -> Any:
    source = np.asarray(array)
    out = aligned_empty((len(kept) + len(source) - n_word_rows, *source.shape[1:]), source.dtype)
    out[: len(kept)] = source[kept]
    out[len(kept) :] = source[n_word_rows:]
    return jax.device_put(out)
