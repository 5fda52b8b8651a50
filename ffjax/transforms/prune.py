"""Fewer rows: words whose rows are dropped share the nearest of those that are kept."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.memmap import release_pages
from ffjax.embeddings.value import Embeddings
from ffjax.functional.search.api import top_k
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.transforms.select import take_rows, with_words

_BATCH = 8192


class PruneResult(NamedTuple):
    """What `prune` returns.

    Attributes:
        embeddings: the same words with fewer rows.
        mapped: for each word whose row was dropped the word whose row it has now, and the cosine of the two.
    """

    embeddings: Embeddings
    mapped: dict[str, tuple[str, float]]


def prune(embeddings: Embeddings, n: int, *, progress: Callable[[int, int], None] | None = None) -> PruneResult:
    """Keeps the rows of the first words, and gives every other word the nearest of those rows, by the cosine.

    All words stay known; several share a row afterwards. That is what spaCy's `Vocab.prune_vectors` does where words
    have no probabilities. Rows of n-grams stay as they are. Of equally near rows the first is taken. Norms are those of
    the rows that are kept.

    Args:
        embeddings: the embeddings; the most frequent words come first in most files.
        n: how many of the words' rows to keep, at least 1.
        progress: called with the number of dropped rows done so far and of all.

    Returns:
        The new embeddings, and what was mapped. Embeddings that have no more than `n` rows come back as they are.

    Raises:
        TypeError: the vocabulary has no list of words, or an argument is of another type.
        ValueError: `n` is less than 1, or a word's vector has NaN or infinity (where there is a row to drop).

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
    vocab = embeddings.vocab
    total = vocab.n_word_rows
    if total <= n:
        return PruneResult(embeddings, {})
    _check_finite(embeddings)
    rows, first = vocab.host_rows, np.asarray(vocab.row_words)
    order = np.argsort(first, kind="stable")  # rows by their first words
    kept, dropped = order[:n], order[n:]
    storage = take_rows(embeddings.storage, kept, total)
    targets, scores = _nearest(embeddings, storage[:n], dropped, progress)
    target_of = np.empty(total, np.int64)
    target_of[kept], target_of[dropped] = np.arange(n), targets
    norms = None if embeddings.norms is None else Norms(np.asarray(embeddings.norms)[kept])
    pruned = Embeddings(
        storage, with_words(vocab, vocab.table, target_of[rows]), norms, embeddings.metadata, embeddings.training
    )
    score_of = np.ones(total, np.float32)
    score_of[dropped] = scores
    is_dropped = np.ones(total, bool)
    is_dropped[kept] = False
    words = vocab.words
    names = first[kept].tolist()
    mapped = {
        words[number]: (words[names[target_of[rows[number]]]], float(score_of[rows[number]]))
        for number in np.flatnonzero(is_dropped[rows]).tolist()
    }
    return PruneResult(pruned, mapped)


def _check_finite(embeddings: Embeddings) -> None:
    """Refuses words whose vectors have no cosine, before a search that may take long.

    Raises:
        ValueError: there is one.
    """
    storage, vocab = embeddings.storage, embeddings.vocab
    for start in range(0, vocab.n_word_rows, _BATCH):
        rows = storage.embedding(slice(start, min(start + _BATCH, vocab.n_word_rows)))
        if (bad := ~np.isfinite(rows).all(axis=1)).any():
            word = vocab.words[vocab.row_words[start + int(bad.argmax())]]
            raise ValueError(
                f"`embeddings`: expected finite numbers, got NaN or infinity in the vector of {word!r}. Leave that "
                "word out with `ffjax.select_words`, or put numbers in their place."
            )
        release_pages(storage)


def _nearest(
    embeddings: Embeddings, kept: Storage, dropped: np.ndarray, progress: Callable[[int, int], None] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest kept row of each dropped row, and the cosine of the two."""
    size = min(_BATCH, len(dropped))
    targets, scores = np.empty(len(dropped), np.int64), np.empty(len(dropped), np.float32)
    for start in range(0, len(dropped), size):
        stop = min(start + size, len(dropped))
        # Batches of one size, so that one program is compiled.
        some = dropped[np.minimum(np.arange(start, start + size), len(dropped) - 1)]
        queries = jnp.asarray(embeddings.storage.embedding(some)).astype(jnp.float32)
        best = top_k(kept, queries, 1, metric="cosine")
        targets[start:stop] = np.asarray(best.rows)[: stop - start, 0]
        scores[start:stop] = np.asarray(best.scores)[: stop - start, 0]
        if progress is not None:
            progress(stop, len(dropped))
    return targets, scores
