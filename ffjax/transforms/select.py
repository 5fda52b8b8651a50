"""Keeping some of the words, with all n-grams; words that share rows."""

from collections.abc import Iterable

import numpy as np

from ffjax._internal.arguments import check_embeddings, list_of_words
from ffjax.embeddings.value import Embeddings
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab


def select_words(embeddings: Embeddings, words: Iterable[str]) -> Embeddings:
    """Embeddings with some of the words, in the given order, and all n-grams.

    A word that is left out is unknown afterwards, and has a vector through its n-grams if there are
    any. Words that shared a row still do. Metadata stays. The training state describes all words
    and is dropped.

    Args:
        embeddings: the embeddings.
        words: known words, each once.

    Returns:
        New embeddings; their rows are copies.

    Raises:
        TypeError: if `words` is a single word or does not hold words, or the vocabulary does not
            list its words.
        ValueError: if a word is unknown, or occurs twice.

    Examples:
        >>> import ffjax
        >>> small = ffjax.select_words(ffjax.demo(), ["tea", "coffee"])
        >>> small.vocab.words, small["tea"].shape
        (['tea', 'coffee'], (100,))
    """
    words = list_of_words(words)
    check_embeddings(embeddings)
    positions = embeddings.key_to_index
    if unknown := [word for word in words if word not in positions]:
        plural = " and other unknown ones" if len(unknown) > 1 else ""
        raise ValueError(
            f"`words`: expected known words, got {unknown[0]!r}{plural}. "
            "Leave out those that are not in `embeddings`."
        )
    return take_words(embeddings, np.array([positions[word] for word in words], np.int64))


def first_words(embeddings: Embeddings, limit: int | None) -> Embeddings:
    """Embeddings with the first `limit` words and all n-grams; as they are if there are no more."""
    vocab = embeddings.vocab
    if limit is None or limit >= len(vocab) > 0:
        return embeddings
    if not vocab.has_words:
        expected = "expected None for floret embeddings, which have no words"
        raise ValueError(f"`limit`: {expected}, got {limit}.")
    return take_words(embeddings, np.arange(min(limit, len(vocab))))


def take_words(embeddings: Embeddings, positions: np.ndarray) -> Embeddings:
    """`select_words` for words by their positions, int64 `[n]`, each once."""
    vocab = embeddings.vocab
    rows, word_rows = np.unique(vocab.host_rows[positions], return_inverse=True)
    if len(rows) == len(positions):  # no words share rows: rows in the order of the words
        rows, word_rows = vocab.host_rows[positions], np.arange(len(positions))
    table = vocab.table.take(positions)
    return take_rows(embeddings, rows, vocab.with_words(table, word_rows))


def unshare_rows(embeddings: Embeddings) -> Embeddings:
    """The same words and vectors with a row for each word: rows that words share are repeated.

    Finalfusion files cannot hold shared rows. Embeddings whose words share no rows are returned
    unchanged.

    Args:
        embeddings: the embeddings.

    Examples:
        >>> import ffjax
        >>> pruned = ffjax.prune(ffjax.demo(), 5000).embeddings
        >>> pruned.storage.shape, ffjax.unshare_rows(pruned).storage.shape
        ((8500, 100), (43500, 100))
    """
    vocab = embeddings.vocab
    if vocab.shared_rows is None:
        return embeddings
    result = take_rows(embeddings, vocab.host_rows, vocab.with_words(vocab.table))
    return result.replace(training=embeddings.training)


def take_rows(embeddings: Embeddings, rows: np.ndarray, vocab: Vocab) -> Embeddings:
    """Embeddings with some of the words' rows, all rows of n-grams, and another vocabulary."""
    storage, norms = embeddings.storage, embeddings.norms
    ngrams = np.arange(embeddings.vocab.n_word_rows, len(storage))
    return Embeddings(
        storage.take(np.concatenate([rows, ngrams])),
        vocab,
        None if norms is None else Norms(np.asarray(norms)[rows]),
        embeddings.metadata,
    )
