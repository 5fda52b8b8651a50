"""More or fewer words, and which rows they have: selected, added, pruned, repeated, explicit."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings, list_of_words, real_numbers, whole_number
from ffjax._internal.progress import Progress, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.functional.search.api import top_k
from ffjax.kernels.normalize import to_unit
from ffjax.storage import NdArray, Storage
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import ExplicitVocab, Vocab

_BATCH_ROWS = 8192


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


def first_words(emb: Embeddings, limit: int | None) -> Embeddings:
    """Embeddings with the first `limit` words and all n-grams; as they are if there are no more."""
    vocab = emb.vocab
    if limit is None or limit >= len(vocab) > 0:
        return emb
    if not vocab.has_words:
        expected = "expected None for floret embeddings, which have no words"
        raise ValueError(f"`limit`: {expected}, got {limit}.")
    return take_words(emb, np.arange(min(limit, len(vocab))))


def take_words(emb: Embeddings, positions: np.ndarray) -> Embeddings:
    """`select_words` for words by their positions, int64 `[n]`, each once."""
    vocab = emb.vocab
    rows, word_rows = np.unique(vocab.host_rows[positions], return_inverse=True)
    if len(rows) == len(positions):  # no words share rows: rows in the order of the words
        rows, word_rows = vocab.host_rows[positions], np.arange(len(positions))
    table = vocab.table.take(positions)
    return take_rows(emb, rows, vocab.with_words(table, word_rows))


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


def take_rows(emb: Embeddings, rows: np.ndarray, vocab: Vocab) -> Embeddings:
    """Embeddings with some of the words' rows, all rows of n-grams, and another vocabulary."""
    ngrams = np.arange(emb.vocab.n_word_rows, len(emb.storage))
    storage = emb.storage.take(np.concatenate([rows, ngrams]))
    norms = None if emb.norms is None else Norms(np.asarray(emb.norms)[rows])
    return Embeddings(storage, vocab, norms, emb.metadata)


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
    n, dims = len(words), embeddings.dims
    shape, what = (n, dims), f"{n} vectors of {dims} numbers"
    vectors = real_numbers("vectors", vectors, what).astype(np.float64)
    if vectors.shape == (0,) and not n:
        vectors = vectors.reshape(shape)  # an empty list does not say how long its vectors would be
    if vectors.shape != shape or not np.isfinite(vectors).all():
        got = f"shape {vectors.shape}" if vectors.shape != shape else "NaN or infinity"
        raise ValueError(f"`vectors`: expected shape {shape} of finite numbers, got {got}.")
    for word in words:
        if word in vocab:
            raise ValueError(f"`words`: expected new words, got {word!r}, which is known already.")
    norms = embeddings.norms
    if norms is not None:
        lengths = np.linalg.norm(vectors, axis=1)
        lengths = _converted(lengths, np.dtype(np.float32), "norms")
        norms = Norms(np.concatenate([np.asarray(norms), lengths]))
        vectors = to_unit(vectors)
    first = vocab.n_word_rows
    rows = storage.concat(_converted(vectors, storage.dtype, "numbers"), first)
    word_rows = np.concatenate([vocab.host_rows, np.arange(first, first + n)])
    vocab = vocab.with_words(StringTable.from_strings([*vocab.words, *words]), word_rows)
    return Embeddings(rows, vocab, norms, embeddings.metadata)


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
    dropped, n_dropped, report = order[n:], n_rows - n, progress or ignore
    remaining, size = storage.take(order[:n]), min(_BATCH_ROWS, n_dropped)
    new_rows, scores = np.empty(n_rows, np.int64), np.empty(n_rows, np.float32)
    new_rows[order[:n]] = np.arange(n)
    for start in range(0, n_dropped, size):
        # Batches of one size, so that one program is compiled.
        batch = dropped[np.minimum(np.arange(start, start + size), n_dropped - 1)]
        queries = jnp.asarray(storage.read(batch)).astype(jnp.float32)
        best = top_k(remaining, queries, 1, metric="cosine")
        new_rows[batch], scores[batch] = best.rows[:, 0], best.scores[:, 0]
        report(min(start + size, n_dropped), n_dropped)
    mapped = {}
    for position in np.flatnonzero(np.isin(word_rows, dropped)).tolist():
        row = word_rows[position]
        target = words[first_word[order[new_rows[row]]]]
        mapped[words[position]] = target, float(scores[row])
    pruned = vocab.with_words(vocab.table, new_rows[word_rows])
    result = take_rows(embeddings, order[:n], pruned).replace(training=embeddings.training)
    return PruneResult(result, mapped)


def explicit_ngrams(storage: Storage, vocab: Vocab) -> tuple[NdArray, ExplicitVocab]:
    """The rows of words and of the n-grams that they have, and a vocabulary of those n-grams."""
    if not hasattr(vocab, "to_explicit"):
        raise TypeError(
            "`embeddings`: expected hashed n-grams (finalfusion's or fastText's), "
            f"got {type(vocab).__name__}."
        )
    explicit, first = vocab.to_explicit(), vocab.n_word_rows  # type: ignore[attr-defined]
    source = np.arange(explicit.upper_bound)
    for ngram, row in explicit.subword_indexer.ngram_index.items():
        bucket = vocab.subword_indexer(ngram)
        if bucket is not None:  # every n-gram of the new table came from a bucket of the old one
            source[first + row] = first + bucket
    return NdArray(storage.read(source)), explicit
