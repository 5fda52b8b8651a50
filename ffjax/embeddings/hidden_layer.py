"""The hidden layer of a fastText classifier on the host: lines of text to vectors, in NumPy.

Each different word of a block is looked up and hashed once. Its rows, and those of its n-grams, are
added up in a small table, and rows of that table line by line. N-grams of words are added up as
they come.
"""

import os
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_numpy import find_numpy
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.spans_numpy import distinct, equal_spans, fasttext_hashes
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.kernels.tokenize_numpy import split_lines
from ffjax.kernels.word_ngrams import word_ngrams
from ffjax.storage import Storage
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.word_rows import word_rows

# Bytes of words whose n-grams are hashed at a time, which stay in a CPU's cache.
_WORD_BYTES = 1 << 16
# Lines of so many rows are added up in fastText's order, some lines at a time. Without n-grams of
# characters rows of words are in order anyway, and only those of n-grams of words are added apart.
_MANY_ROWS, _MANY_WORDS, _MOST_ROWS = 1000, 16_000, 1 << 22
_GROUP_NUMBERS = 1 << 24
# Numbers of a matrix that is decoded at once, and not row by row when they are needed.
_DECODED = 1 << 24


class Lines(NamedTuple):
    """Lines of text as a classifier sees them.

    Attributes:
        hidden: the mean of each line's rows, float32 `[n_lines, dims]`.
        counts: how many rows that is; no labels are predicted for a line without any.
        labels: the numbers of the labels that occur in each line.
    """

    hidden: np.ndarray
    counts: np.ndarray
    labels: Ragged


class Spans(NamedTuple):
    """Strings in one buffer.

    Attributes:
        data: the bytes.
        starts: where each string starts.
        lengths: how many bytes it has.
    """

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def take(self, rows: np.ndarray) -> "Spans":
        """Some of the strings."""
        return Spans(self.data, self.starts[rows], self.lengths[rows])


def line_blocks(text: bytes, size: int) -> list[bytes]:
    """A text in blocks of complete lines, of at least `size` bytes but the last; at least one."""
    blocks, start = [], 0
    while start < len(text) or not blocks:
        end = text.find(b"\n", start + size - 1) + 1 or len(text)
        blocks.append(text[start:end])
        start = end
    return blocks


class HostRows:
    """The rows of a storage, for sums on the host."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.matrix = storage.host_matrix()
        self._lock = Lock()

    def sums(self, ids: Ragged) -> np.ndarray:
        """The sums of the rows that each list names."""
        rows, dims = self.storage.shape
        if self.matrix is None and rows < len(ids.values) and rows * dims <= _DECODED:
            with self._lock:  # of several threads one decodes
                if self.matrix is None:
                    self.matrix = self.storage.read(slice(None))
        if self.matrix is not None:
            return ids.sum_rows(self.matrix)
        needed, index = np.unique(ids.values, return_inverse=True)
        return Ragged(index, ids.splits).sum_rows(self.storage.read(needed))


class HiddenLayer:
    """The arrays of a classifier that the host reads.

    Args:
        classifier: the classifier.
    """

    def __init__(self, classifier: Any) -> None:
        embeddings, storage = classifier.embeddings, classifier.embeddings.storage
        self.words = embeddings.vocab.index, embeddings.vocab.table
        self.labels = classifier.label_index, classifier.label_table
        labels = list(map(encode_word, classifier.labels))
        self.prefix: Any = os.path.commonprefix(labels)
        self.word_rows: Storage = storage.word_rows
        self.indexer = storage.indexer
        self.ngrams = HostRows(classifier.ngram_rows or storage.word_rows[:0])
        self.order, self.n_buckets = classifier.word_ngrams, classifier.n_buckets
        self.buckets = classifier.ngram_buckets
        self._lock = Lock()

    def lines(self, text: bytes) -> Lines:
        """The hidden vectors of lines that each end with a line feed."""
        data, starts, lengths, splits = split_lines(text)
        chosen, numbers = distinct(data, starts, lengths)
        spans = Spans(data, starts[chosen], lengths[chosen])
        ids, labels = self._words_and_labels(spans)
        is_word = (ids >= 0) | ((labels < 0) & ~_begin_with(LABEL_PREFIX, spans))
        words = Ragged(numbers, splits).only(is_word[numbers])

        ngrams = self._ngrams_of(spans, is_word)
        totals = words.sum_rows(self._word_sums(ids, ngrams))
        counts = (ngrams.counts + (ids >= 0))[words.values]
        n_rows = np.diff(np.append(0, np.cumsum(counts))[words.splits])
        buckets = self._word_ngrams_of(spans, words)
        if buckets.values.size:
            totals += self.ngrams.sums(buckets)
            n_rows += buckets.counts
        self._add_long_lines_in_order(totals, n_rows, words, ids, ngrams, buckets)

        totals *= (1 / np.maximum(n_rows, 1)).astype(np.float32)[:, None]
        of_words = Ragged(labels[numbers], splits)
        return Lines(totals, n_rows, of_words.only(of_words.values >= 0))

    def _words_and_labels(self, spans: Spans) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, and of the labels among unknown ones; -1 otherwise."""
        ids = _find(self.words, spans)
        labels = np.full(len(ids), -1, np.int32)
        candidates = np.flatnonzero((ids < 0) & _begin_with(self.prefix, spans))
        labels[candidates] = _find(self.labels, spans.take(candidates))
        return ids, labels

    def _word_sums(self, ids: np.ndarray, ngrams: Ragged) -> np.ndarray:
        """The sums of the rows of each different word: its own, and those of its n-grams."""
        sums = self.ngrams.sums(ngrams)
        in_model = ids >= 0
        sums[in_model] += self.word_rows.read(ids[in_model])
        return sums

    def _add_long_lines_in_order(
        self,
        totals: np.ndarray,
        n_rows: np.ndarray,
        words: Ragged,
        ids: np.ndarray,
        ngrams: Ragged,
        buckets: Ragged,
    ) -> None:
        """Adds the rows of long lines once more, in fastText's order."""
        limit = _MANY_ROWS if self.indexer is not None else _MANY_WORDS
        lines = np.flatnonzero((n_rows > limit) & (n_rows < _MOST_ROWS))
        if not lines.size:
            return
        n_words, in_model = len(self.word_rows), ids >= 0
        rows = Ragged.of(ids[in_model].astype(np.int64), in_model)
        rows = rows.joined(ngrams._replace(values=ngrams.values + n_words))
        buckets = buckets._replace(values=buckets.values + n_words)
        group_ends = np.cumsum(n_rows[lines]) * totals.shape[1] // _GROUP_NUMBERS
        for group in np.split(lines, np.flatnonzero(np.diff(group_ends)) + 1):
            features = words.take(group).replaced(rows).joined(buckets.take(group))
            totals[group] = self._sums_in_order(features)

    def _ngrams_of(self, spans: Spans, is_word: np.ndarray) -> Ragged:
        """The rows of the n-grams of different words."""
        data, starts, lengths = spans
        counts = np.zeros(len(starts), np.int64)
        rows = [np.zeros(0, np.int32)]
        if self.indexer is not None:
            is_end = (lengths == len(LINE_END)) & _begin_with(LINE_END, spans)
            words = np.flatnonzero(is_word & ~is_end)
            ends = np.cumsum(lengths[words])
            cuts = np.flatnonzero(np.diff(ends // _WORD_BYTES)) + 1
            for block in np.split(words, cuts):
                marked = mark_words(data, starts[block], lengths[block], b"<", b">")
                ngrams = word_rows(self.indexer, *marked)
                counts[block] = ngrams.counts
                rows.append(ngrams.values)
        return Ragged.of(np.concatenate(rows), counts)

    def _word_ngrams_of(self, spans: Spans, words: Ragged) -> Ragged:
        """The rows of the n-grams of the words of lines."""
        if self.order < 2 or not self.n_buckets:
            return Ragged(np.zeros(0, np.int64), np.zeros_like(words.splits))
        hashes = words._replace(values=fasttext_hashes(*spans)[words.values])
        buckets = word_ngrams(hashes, self.order, self.n_buckets)
        if self.buckets is None:
            return buckets
        rows = buckets._replace(values=self.buckets.host_rows(buckets.values))
        return rows.only(rows.values >= 0)

    def _sums_in_order(self, features: Ragged) -> np.ndarray:
        """The sums of rows of the file, first those of words, added in fastText's order.

        In so many additions another order would show in the sixth digit of probabilities.
        """
        n_words, dims = self.word_rows.shape
        if (n_words + len(self.ngrams.storage)) * dims <= _DECODED:
            with self._lock:  # of several threads one decodes
                rows = self._all_rows
            return features.sum_rows(rows)
        needed, index = np.unique(features.values, return_inverse=True)
        n = int(np.searchsorted(needed, n_words))
        pair = self.word_rows.read(needed[:n]), self.ngrams.storage.read(needed[n:] - n_words)
        return Ragged(index, features.splits).sum_rows(np.concatenate(pair))

    @cached_property
    def _all_rows(self) -> np.ndarray:
        rows = self.word_rows, self.ngrams.storage
        return np.concatenate([storage.read(slice(None)) for storage in rows])


def _find(table: tuple[HashTable, StringTable], spans: Spans) -> np.ndarray:
    index, strings = table
    return find_numpy(index, strings.host_data, strings.host_offsets, *spans)


def _begin_with(prefix: bytes, spans: Spans) -> np.ndarray:
    """Which words begin with some bytes."""
    data, starts, lengths = spans
    expected = np.frombuffer(prefix + bytes(8), np.uint8)
    begin_with = lengths >= len(prefix)
    rows = np.flatnonzero(begin_with)
    sizes = np.full(len(rows), len(prefix))
    begin_with[rows] = equal_spans(data, starts[rows], expected, np.zeros_like(rows), sizes)
    return begin_with
