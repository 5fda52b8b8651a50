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
from ffjax.kernels.tokenize_numpy import LINE_END, split_lines
from ffjax.kernels.word_ngrams import word_ngrams
from ffjax.storage import Storage
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.word_rows import word_rows

LABEL_PREFIX = b"__label__"
# Bytes of words whose n-grams are hashed at a time, which stay in a CPU's cache.
_WORD_BYTES = 1 << 16
# Lines of so many rows are added up in fastText's order, some lines at a time.
_MANY_ROWS, _MOST_ROWS = 1000, 1 << 22
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

    def lines(self, text: bytes) -> Lines:
        """The hidden vectors of lines that each end with a line feed."""
        data, starts, lengths, splits = split_lines(text)
        chosen, numbers = distinct(data, starts, lengths)
        spans = data, starts[chosen], lengths[chosen]
        ids, labels = _find(self.words, *spans), np.full(len(chosen), -1, np.int32)
        maybe = np.flatnonzero((ids < 0) & _begin_with(self.prefix, *spans))
        labels[maybe] = _find(self.labels, *(data, *(x[maybe] for x in spans[1:])))
        is_word = (ids >= 0) | ((labels < 0) & ~_begin_with(LABEL_PREFIX, *spans))
        words = Ragged(numbers, splits).only(is_word[numbers])

        # The rows of each different word: its own, and those of its n-grams.
        in_model = ids >= 0
        ngrams = self._ngrams_of(spans, is_word)
        sums = self.ngrams.sums(ngrams)
        sums[in_model] += self.word_rows.read(ids[in_model])
        totals = words.sum_rows(sums)
        counts = np.append(0, np.cumsum((ngrams.counts + in_model)[words.values]))[words.splits]
        n_rows = np.diff(counts)
        buckets = Ragged(np.zeros(0, np.int64), np.zeros(len(splits), np.int64))
        if self.order > 1 and self.n_buckets:
            hashes = words._replace(values=fasttext_hashes(*spans)[words.values])
            buckets = self._word_ngrams_of(hashes)
            totals += self.ngrams.sums(buckets)
            n_rows += buckets.counts

        many = _MANY_ROWS if self.indexer is not None else 16 * _MANY_ROWS
        lines = np.flatnonzero((n_rows > many) & (n_rows < _MOST_ROWS))
        if lines.size:
            n_words = len(self.word_rows)
            rows = Ragged.of(ids[in_model].astype(np.int64), in_model)
            rows = rows.joined(ngrams._replace(values=ngrams.values + n_words))
            buckets = buckets._replace(values=buckets.values + n_words)
            group_ends = np.cumsum(n_rows[lines]) * totals.shape[1] // _GROUP_NUMBERS
            for group in np.split(lines, np.flatnonzero(np.diff(group_ends)) + 1):
                features = words.take(group).replaced(rows).joined(buckets.take(group))
                totals[group] = self._sums_in_order(features)
        totals *= (1 / np.maximum(n_rows, 1)).astype(np.float32)[:, None]
        of_words = Ragged(labels[numbers], splits)
        return Lines(totals, n_rows, of_words.only(of_words.values >= 0))

    def _ngrams_of(self, spans: Any, is_word: np.ndarray) -> Ragged:
        """The rows of the n-grams of different words."""
        data, starts, lengths = spans
        counts = np.zeros(len(starts), np.int64)
        rows = [np.zeros(0, np.int32)]
        if self.indexer is not None:
            is_end = (lengths == len(LINE_END)) & _begin_with(LINE_END, *spans)
            words = np.flatnonzero(is_word & ~is_end)
            ends = np.cumsum(lengths[words])
            cuts = np.flatnonzero(np.diff(ends // _WORD_BYTES)) + 1
            for block in np.split(words, cuts):
                marked = mark_words(data, starts[block], lengths[block], b"<", b">")
                ngrams = word_rows(self.indexer, *marked)
                counts[block] = ngrams.counts
                rows.append(ngrams.values)
        return Ragged.of(np.concatenate(rows), counts)

    def _word_ngrams_of(self, hashes: Ragged) -> Ragged:
        """The rows of the n-grams of the words of lines."""
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
            return features.sum_rows(self._all_rows)
        needed, index = np.unique(features.values, return_inverse=True)
        n = int(np.searchsorted(needed, n_words))
        rows = self.word_rows.read(needed[:n]), self.ngrams.storage.read(needed[n:] - n_words)
        return Ragged(index, features.splits).sum_rows(np.concatenate(rows))

    @cached_property
    def _all_rows(self) -> np.ndarray:
        rows = self.word_rows, self.ngrams.storage
        return np.concatenate([storage.read(slice(None)) for storage in rows])


def _find(table: tuple[HashTable, StringTable], *spans: np.ndarray) -> np.ndarray:
    index, strings = table
    return find_numpy(index, strings.host_data, strings.host_offsets, *spans)


def _begin_with(prefix: bytes, data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Any:
    """Which words begin with some bytes."""
    expected = np.frombuffer(prefix + bytes(8), np.uint8)
    begin_with = lengths >= len(prefix)
    rows = np.flatnonzero(begin_with)
    sizes = np.full(len(rows), len(prefix))
    begin_with[rows] = equal_spans(data, starts[rows], expected, np.zeros_like(rows), sizes)
    return begin_with
