"""Keeping some of the words, with all n-grams."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings, list_of_words
from ffjax._internal.arrays import aligned_empty
from ffjax.embeddings.value import Embeddings
from ffjax.storage import Int8Array, NdArray, QuantizedArray, ShardedArray, Storage
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FloretVocab, SimpleVocab, SubwordVocab, Vocab


def select_words(embeddings: Embeddings, words: Iterable[str]) -> Embeddings:
    """Embeddings with some of the words, in the order in which they are given, and all n-grams.

    A word that is left out is unknown afterwards, and has a vector through its n-grams if there are any. Words that
    shared a row still do. Metadata stays; what training left is about other words, and goes.

    Args:
        embeddings: the embeddings.
        words: known words, each once.

    Returns:
        New embeddings; their rows are copies.

    Raises:
        TypeError: `words` is one word or holds something else than words, or the vocabulary has no list of words.
        ValueError: a word is unknown, or given twice.

    Examples:
        >>> import ffjax
        >>> few = ffjax.select_words(ffjax.demo(), ["tea", "coffee"])
        >>> few.vocab.words, few["tea"].shape
        (['tea', 'coffee'], (100,))
    """
    words = list_of_words(words)
    check_embeddings(embeddings)
    numbers = dict(zip(embeddings.vocab.words, range(len(embeddings.vocab)), strict=True))
    unknown = [word for word in words if word not in numbers]
    if unknown:
        raise ValueError(
            f"`words`: expected known words, got {unknown[0]!r}{' and other unknown ones' * (len(unknown) > 1)}. "
            "Leave out those that are not in `embeddings`."
        )
    return take_words(embeddings, np.array([numbers[word] for word in words], np.int64))


def take_words(embeddings: Embeddings, places: np.ndarray) -> Embeddings:
    """As `select_words`, for words by their numbers.

    Args:
        embeddings: the embeddings.
        places: numbers of words, each once, int64 `[n]`.
    """
    vocab = embeddings.vocab
    rows, own = np.unique(vocab.host_rows[places], return_inverse=True)
    # In the order of the words, where each has a row of its own.
    if len(rows) == len(places):
        rows, own = vocab.host_rows[places], np.arange(len(places))
    norms = None if embeddings.norms is None else Norms(np.asarray(embeddings.norms)[rows])
    storage = take_rows(embeddings.storage, rows, vocab.n_word_rows)
    return Embeddings(storage, with_words(vocab, vocab.table.take(places), own), norms, embeddings.metadata)


def with_words(vocab: Vocab, table: StringTable, rows: np.ndarray) -> Vocab:
    """A vocabulary with other words and the same n-grams.

    Args:
        vocab: the vocabulary.
        table: the words.
        rows: the row of each of them.

    Raises:
        TypeError: the vocabulary has no words of its own.
    """
    if isinstance(vocab, FloretVocab) or not isinstance(vocab, SimpleVocab | SubwordVocab):
        raise TypeError(
            f"`embeddings`: expected embeddings with a list of words, got a {type(vocab).__name__}, which has none."
        )
    if isinstance(vocab, SimpleVocab):
        return SimpleVocab(table, rows=rows)
    return type(vocab)(table, vocab.subword_indexer, rows=rows)  # type: ignore[call-arg]


def take_rows(storage: Storage, rows: np.ndarray, n_word_rows: int) -> Storage:
    """Some of the words' rows, in that order, then all rows of n-grams; composed rows are put together.

    Codes stay codes. Rows that are divided over devices come back on one.

    Args:
        storage: the rows.
        rows: numbers of rows below `n_word_rows`, any number of times.
        n_word_rows: where the rows of n-grams begin.
    """
    if isinstance(storage, ShardedArray):
        storage = storage[:]
    if isinstance(storage, QuantizedArray):
        norms = None if storage.norms is None else _taken(storage.norms, rows, n_word_rows)
        return QuantizedArray(storage.quantizer, _taken(storage.codes, rows, n_word_rows), norms)
    if isinstance(storage, Int8Array):
        return Int8Array(*(_taken(array, rows, n_word_rows) for array in (storage.codes, storage.scales)))
    if isinstance(storage, NdArray):
        return NdArray(_taken(storage.matrix, rows, n_word_rows))
    ngrams = np.arange(n_word_rows, len(storage))
    return NdArray(jax.device_put(storage.embedding(np.concatenate([rows, ngrams]))))


def _taken(array: Any, rows: np.ndarray, n_word_rows: int) -> Any:
    """The words' rows that are kept, then all rows of n-grams, with no more than one copy."""
    source = np.asarray(array)
    out = aligned_empty((len(rows) + len(source) - n_word_rows, *source.shape[1:]), source.dtype)
    if len(rows):
        np.take(source, rows, axis=0, out=out[: len(rows)], mode="clip")  # "raise" would buffer
    out[len(rows) :] = source[n_word_rows:]
    return jax.device_put(out)
