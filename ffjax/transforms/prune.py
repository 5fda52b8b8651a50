"""Fewer rows: words whose rows are dropped share the nearest of the remaining ones."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.progress import Progress, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.functional.search.api import top_k
from ffjax.storage import Storage
from ffjax.transforms.select import take_rows

_BATCH_ROWS = 8192


class PruneResult(NamedTuple):
    """What `prune` returns.

    Attributes:
        embeddings: the same words with fewer rows.
        mapped: for each word whose row was dropped, the word whose row it has now and the cosine of
            the two.
    """

    embeddings: Embeddings
    mapped: dict[str, tuple[str, float]]


def prune(embeddings: Embeddings, n: int, *, progress: Progress | None = None) -> PruneResult:
    """Keeps the rows of the first words; every other word gets the nearest of them, by the cosine.

    All words stay known; several share a row afterwards. That is what spaCy's
    `Vocab.prune_vectors` does where words have no probabilities. Rows of n-grams stay as they are.
    Of equally near rows the first is taken. Norms are those of the remaining rows.

    Args:
        embeddings: the embeddings; the most frequent words come first in most files.
        n: how many of the words' rows to keep, at least 1.
        progress: called with the number of dropped rows done so far and of all.

    Returns:
        The new embeddings, and what was mapped. Embeddings with at most `n` rows are returned
        unchanged.

    Raises:
        TypeError: if the vocabulary does not list its words, or an argument has another type.
        ValueError: if `n` is less than 1, or a word's vector has NaN or infinity (where there is a
            row to drop).

    Examples:
        >>> import ffjax
        >>> emb, mapped = ffjax.prune(ffjax.demo(), 3000)
        >>> emb.n_words, emb.storage.shape  # 3,000 words' rows and those of 3,500 n-grams
        (40000, (6500, 100))
        >>> last = emb.vocab.words[-1]
        >>> word, score = mapped[last]
        >>> bool((emb[word] == emb[last]).all()), 0 < score < 1
        (True, True)
    """
    check_embeddings(embeddings)
    n = whole_number("n", n, 1)
    vocab, storage = embeddings.vocab, embeddings.storage
    n_rows = vocab.n_word_rows
    if n_rows <= n:
        return PruneResult(embeddings, {})
    words, word_rows = vocab.words, vocab.host_rows
    first_word = np.asarray(vocab.row_words)

    def name(row: int) -> str:
        return f"the vector of {words[first_word[row]]!r}"

    for _ in storage.row_blocks(0, n_rows, rows=_BATCH_ROWS, finite=name):
        pass  # before a search that may take long: NaN and infinity have no cosine
    order = np.argsort(first_word, kind="stable")  # rows in the order of their first words
    targets, cosines = _nearest(storage, order[:n], order[n:], progress or ignore)
    new_rows, scores = np.empty(n_rows, np.int64), np.empty(n_rows, np.float32)
    new_rows[order] = np.concatenate([np.arange(n), targets])
    scores[order[n:]] = cosines
    is_dropped = np.isin(word_rows, order[n:])
    names = [words[i] for i in first_word[order[:n]].tolist()]
    mapped = {}
    for position in np.flatnonzero(is_dropped).tolist():
        row = word_rows[position]
        mapped[words[position]] = names[new_rows[row]], float(scores[row])
    pruned = vocab.with_words(vocab.table, new_rows[word_rows])
    result = take_rows(embeddings, order[:n], pruned).replace(training=embeddings.training)
    return PruneResult(result, mapped)


def _nearest(
    storage: Storage, rows: np.ndarray, dropped: np.ndarray, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of `rows` to each dropped row, by its number in `rows`; their cosines."""
    n, remaining = len(dropped), storage.take(rows)
    size = min(_BATCH_ROWS, n)
    targets, cosines = np.empty(n, np.int64), np.empty(n, np.float32)
    for start in range(0, n, size):
        stop = min(start + size, n)
        # Batches of one size, so that one program is compiled.
        batch = dropped[np.minimum(np.arange(start, start + size), n - 1)]
        queries = jnp.asarray(storage.read(batch)).astype(jnp.float32)
        best = top_k(remaining, queries, 1, metric="cosine")
        targets[start:stop] = np.asarray(best.rows)[: stop - start, 0]
        cosines[start:stop] = np.asarray(best.scores)[: stop - start, 0]
        progress(stop, n)
    return targets, cosines
