"""The hidden layer of a fastText classifier on the host: lines of text to vectors, in NumPy.

Each different word is looked up and hashed once, and the sum of its rows and those of its n-grams
is kept for later lines, of all threads. Lines are sums of those sums; long ones sums of rows, in
fastText's order. N-grams of words are added up as they come.

If there are few labels, rows are multiplied by the output matrix first: of each row a number for
each label remains, and sums are logits.
"""

import os
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax.embeddings.input_rows import (
    DECODED,
    NO_LABEL,
    HostRows,
    Learned,
    MultipliedRows,
    WordMemo,
)
from ffjax.kernels.label_scores_numpy import logits
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_numpy import find_numpy
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.spans_numpy import equal_spans, fasttext_hashes
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.kernels.tokenize_numpy import split_lines
from ffjax.kernels.word_ngrams import word_ngrams
from ffjax.kernels.word_table import KeyedWords, random_key
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.pruned import word_rows

# Bytes of words whose n-grams are hashed at a time, which stay in a CPU's cache.
_WORD_BYTES = 1 << 16
# Lines with more rows than this are summed in fastText's order, a group of lines at a time. Without
# n-grams of characters rows of words are in order anyway; those of n-grams of words are not.
_MANY_ROWS, _MANY_WORDS, _MOST_ROWS = 1000, 16_000, 1 << 22
_GROUP_NUMBERS = 1 << 24
# Words that are remembered, and bytes of their sums.
_WORDS, _SUM_BYTES = 1 << 20, 1 << 27
# Dimensions for each label from which on rows are multiplied by the output matrix.
_DIMS_A_LABEL = 4
_SKIPPED = -2


class Lines(NamedTuple):
    """Lines of text as a classifier sees them.

    Attributes:
        hidden: the mean of each line's rows, float32 `[n_lines, dims]`.
        counts: how many rows that is; no labels are predicted for a line without any.
        labels: the numbers of the labels that occur in each line.
        are_logits: whether rows have been multiplied by the output matrix.
    """

    hidden: np.ndarray
    counts: np.ndarray
    labels: Ragged
    are_logits: bool


class Strings(NamedTuple):
    """The words or the labels of a model."""

    hash_table: HashTable
    strings: StringTable

    def find(self, words: ByteViews) -> np.ndarray:
        """The numbers of words, -1 for others."""
        strings = self.strings
        return find_numpy(self.hash_table, strings.host_data, strings.host_offsets, *words)


class HiddenLayer:
    """The arrays of a classifier that the host reads.

    Args:
        classifier: the classifier.
    """

    def __init__(self, classifier: Any) -> None:
        embeddings, storage = classifier.embeddings, classifier.embeddings.storage
        self.words = Strings(embeddings.vocab.index, embeddings.vocab.table)
        self.labels = Strings(classifier.label_index, classifier.label_table)
        labels = list(map(encode_word, classifier.labels))
        self.prefix: Any = os.path.commonprefix(labels)
        self.indexer = storage.indexer
        ngrams = classifier.ngram_rows or storage.word_rows[:0]
        self.n_words, self.dims = storage.word_rows.shape
        self.word_rows, self.ngram_rows = HostRows(storage.word_rows), HostRows(ngrams)
        self.order, self.n_buckets = classifier.word_ngrams, classifier.n_buckets
        self.buckets = classifier.ngram_buckets
        # What is added: the rows, or numbers for a few labels. Only the model decides, so that
        # answers do not depend on the lines before.
        self.output: np.ndarray | None = None
        self.of_words: HostRows | MultipliedRows = self.word_rows
        self.of_ngrams: HostRows | MultipliedRows = self.ngram_rows
        if len(classifier.output) * _DIMS_A_LABEL <= self.dims:
            self.output = output = classifier.output.read(slice(None))
            self.of_words = MultipliedRows(self.word_rows, output)
            self.of_ngrams = MultipliedRows(self.ngram_rows, output)
        self._lock = Lock()
        self._decoded: np.ndarray | None = None
        self._key, self._memo = random_key(), self._new_memo(0)

    @np.errstate(over="ignore", invalid="ignore")
    def lines(self, text: bytes) -> Lines:
        """The hidden vectors of lines that each end with a line feed."""
        data, starts, lengths, splits = split_lines(text)
        memo, numbers = self._numbers_of(ByteViews(data, starts, lengths))
        words, labels = Ragged(numbers, splits), Ragged(numbers[:0], np.zeros_like(splits))
        if memo.has_labels:
            labels = words._replace(values=memo.labels[numbers])
            words = words.only(labels.values == NO_LABEL)
            labels = labels.only(labels.values >= 0)

        counts = np.append(0, np.cumsum(memo.n_rows[words.values]))
        n_rows = np.diff(counts[words.splits])
        buckets = self._word_ngrams_of(memo, words)
        n_rows += buckets.counts
        limit = _MANY_ROWS if self.indexer is not None else _MANY_WORDS
        are_long = (n_rows > limit) & (n_rows < _MOST_ROWS)
        if are_long.all():
            totals = np.empty((len(n_rows), self.of_words.dims), self.of_words.dtype)
        else:
            totals = words.sum_rows(memo.sums)
            if buckets.values.size:
                totals += self.of_ngrams.sums(buckets)
        self._sum_in_order(totals, n_rows, np.flatnonzero(are_long), memo, words, buckets)
        hidden = totals * (1 / np.maximum(n_rows, 1)).astype(np.float32)[:, None]
        hidden = hidden.astype(np.float32, copy=False)
        return Lines(hidden, n_rows, labels, self.output is not None)

    def _numbers_of(self, words: ByteViews) -> tuple[WordMemo, np.ndarray]:
        """A memo that has the words, and their numbers in it."""
        keyed, memo = KeyedWords.of(*words, self._key), self._memo
        numbers, slots = memo.table.find(keyed)
        unknown = np.flatnonzero(numbers < 0)
        # Few of them occur twice if many lines came before.
        learned = self._learn(words.take(unknown))
        with self._lock:  # what other threads have added is complete
            if memo.table.has_room(len(unknown)):
                numbers[unknown] = memo.add(keyed.take(unknown), slots[unknown], learned)
                return memo, numbers
            if memo is self._memo:
                self._memo = self._new_memo(len(numbers))
        return self._numbers_of(words)

    def _new_memo(self, n_words: int) -> WordMemo:
        dims, dtype = self.of_words.dims, self.of_words.dtype
        return WordMemo(max(n_words, min(_WORDS, _SUM_BYTES // (4 * dims))), dims, dtype)

    def _learn(self, words: ByteViews) -> Learned:
        """Computes what is added for words."""
        ids, labels = self._words_and_labels(words)
        ngrams = self._ngrams_of(words, labels == NO_LABEL)
        in_model = ids >= 0
        sums = self.of_ngrams.sums(ngrams)
        sums[in_model] += self.of_words.read(ids[in_model])
        rows = Ragged.of(ids[in_model], in_model)
        rows = rows.joined(ngrams._replace(values=ngrams.values + np.int32(self.n_words)))
        hashes = fasttext_hashes(*words) if self.order > 1 else np.zeros(len(ids), np.uint32)
        return Learned(rows, sums, labels, hashes)

    def _words_and_labels(self, spans: ByteViews) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, -1 for others, and of labels among unknown words."""
        ids = self.words.find(spans)
        labels = np.full(len(ids), NO_LABEL, np.int32)
        labels[(ids < 0) & _begin_with(LABEL_PREFIX, spans)] = _SKIPPED
        candidates = np.flatnonzero((ids < 0) & _begin_with(self.prefix, spans))
        numbers = self.labels.find(spans.take(candidates))
        labels[candidates[numbers >= 0]] = numbers[numbers >= 0]
        return ids, labels

    def _sum_in_order(
        self,
        totals: np.ndarray,
        n_rows: np.ndarray,
        lines: np.ndarray,
        memo: WordMemo,
        words: Ragged,
        buckets: Ragged,
    ) -> None:
        """Sums the rows of the file for some lines in fastText's order.

        In many additions another order would show in the sixth digit of probabilities.
        """
        if not lines.size:
            return
        group_ends = np.cumsum(n_rows[lines]) * self.dims // _GROUP_NUMBERS
        for group in np.split(lines, np.flatnonzero(np.diff(group_ends)) + 1):
            features = memo.rows_of(words.take(group))
            ngrams = buckets.take(group)
            if ngrams.values.size:
                features = features.joined(ngrams._replace(values=ngrams.values + self.n_words))
            sums = self._sums_of(features)
            totals[group] = sums if self.output is None else logits(self.output, sums).T

    def _ngrams_of(self, spans: ByteViews, is_word: np.ndarray) -> Ragged:
        """The rows of the n-grams of words."""
        data, starts, lengths = spans
        counts = np.zeros(len(starts), np.int64)
        rows = [np.zeros(0, np.int32)]
        if self.indexer is not None:
            is_end = (lengths == len(LINE_END)) & _begin_with(LINE_END, spans)
            words = np.flatnonzero(is_word & ~is_end)
            ends = np.cumsum(lengths[words])
            cuts = np.flatnonzero(np.diff(ends // _WORD_BYTES)) + 1
            for block in np.split(words, cuts) if words.size else ():
                marked = mark_words(data, starts[block], lengths[block], b"<", b">")
                ngrams = word_rows(self.indexer, *marked)
                counts[block] = ngrams.counts
                rows.append(ngrams.values)
        return Ragged.of(np.concatenate(rows), counts)

    def _word_ngrams_of(self, memo: WordMemo, words: Ragged) -> Ragged:
        """The rows of the n-grams of the words of lines."""
        if self.order < 2 or not self.n_buckets:
            return Ragged(np.zeros(0, np.int64), np.zeros_like(words.splits))
        hashes = words._replace(values=memo.hashes[words.values])
        buckets = word_ngrams(hashes, self.order, self.n_buckets)
        if self.buckets is None:
            return buckets
        rows = buckets._replace(values=self.buckets.host_rows(buckets.values))
        return rows.only(rows.values >= 0)

    def _sums_of(self, features: Ragged) -> np.ndarray:
        """The sums of rows of the file, those of n-grams after those of words."""
        n_words = self.n_words
        n_all = n_words + len(self.ngram_rows.storage)
        is_worth_it = self._decoded is not None or len(features.values) > n_all // 8
        if is_worth_it and n_all * self.dims <= DECODED:
            return features.sum_rows(self._all_rows())
        needed, index = np.unique(features.values, return_inverse=True)
        n = int(np.searchsorted(needed, n_words))
        pair = self.word_rows.read(needed[:n]), self.ngram_rows.read(needed[n:] - n_words)
        self.word_rows.release()
        self.ngram_rows.release()
        return Ragged(index, features.splits).sum_rows(np.concatenate(pair))

    def _all_rows(self) -> np.ndarray:
        """All rows, those of n-grams after those of words."""
        with self._lock:  # of several threads one decodes
            if self._decoded is None:
                rows = self.word_rows.storage, self.ngram_rows.storage
                self._decoded = np.concatenate([storage.read(slice(None)) for storage in rows])
            return self._decoded


def _begin_with(prefix: bytes, spans: ByteViews) -> np.ndarray:
    """Which words begin with some bytes."""
    data, starts, lengths = spans
    expected = np.frombuffer(prefix + bytes(8), np.uint8)
    begin_with = lengths >= len(prefix)
    rows = np.flatnonzero(begin_with)
    sizes = np.full(len(rows), len(prefix))
    begin_with[rows] = equal_spans(data, starts[rows], expected, np.zeros_like(rows), sizes)
    return begin_with
