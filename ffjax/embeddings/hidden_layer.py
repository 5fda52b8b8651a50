"""The hidden layer of a fastText classifier on the host: lines of text to vectors, in NumPy.

Each different word is looked up and hashed once, and the sum of its rows and those of its n-grams
is kept for later lines. Lines are sums of those sums. N-grams of words are added up as they come.

If there are few labels, rows are multiplied by the output matrix first: of each row a number for
each label remains, and sums are logits.
"""

import os
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arrays import ranges
from ffjax._internal.cpus import n_cpus
from ffjax.embeddings.input_rows import DECODED, HostRows, MultipliedRows, WordMemo
from ffjax.kernels.label_scores_numpy import logits
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_numpy import find_numpy
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.spans_numpy import equal_spans, fasttext_hashes
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.kernels.tokenize_numpy import split_lines
from ffjax.kernels.word_ngrams import word_ngrams
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.word_rows import word_rows

# Bytes of words whose n-grams are hashed at a time, which stay in a CPU's cache.
_WORD_BYTES = 1 << 16
# Lines with more rows than this are summed in fastText's order, a group of lines at a time. Without
# n-grams of characters rows of words are in order anyway; those of n-grams of words are not.
_MANY_ROWS, _MANY_WORDS, _MOST_ROWS = 1000, 16_000, 1 << 22
_GROUP_NUMBERS = 1 << 24
# Limits of the threads' tables: words of each, and bytes of the sums of all.
_WORDS, _LEAST_WORDS, _SUM_BYTES = 1 << 18, 1 << 14, 1 << 27
# Dimensions for each label from which on rows are multiplied by the output matrix.
_DIMS_A_LABEL = 4
_SHORT = 64
_NO_LABEL, _SKIPPED = -1, -2


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


def line_blocks(text: bytes, size: int) -> list[bytes]:
    """A text in blocks of complete lines, of at least `size` bytes but the last; at least one."""
    blocks, start = [], 0
    while start < len(text) or not blocks:
        end = text.find(b"\n", start + size - 1) + 1 or len(text)
        blocks.append(text[start:end])
        start = end
    return blocks


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
        # Where words have few and short rows, these are added at once.
        has_few_rows = self.indexer is None or self.buckets is not None
        self.in_order = has_few_rows and self.dims <= _SHORT and len(ngrams) * self.dims <= DECODED
        # What is added: the rows, or numbers for a few labels. Only the model decides, so that
        # answers do not depend on the lines before.
        self.output: np.ndarray | None = None
        self.of_words: HostRows | MultipliedRows = self.word_rows
        self.of_ngrams: HostRows | MultipliedRows = self.ngram_rows
        if not self.in_order and len(classifier.output) * _DIMS_A_LABEL <= self.dims:
            self.output = output = classifier.output.read(slice(None))
            self.of_words = MultipliedRows(self.word_rows, output)
            self.of_ngrams = MultipliedRows(self.ngram_rows, output)
        self._lock = Lock()
        self._decoded: np.ndarray | None = None
        self._memos: list[WordMemo] = []  # that no thread uses

    def lines(self, text: bytes) -> Lines:
        """The hidden vectors of lines that each end with a line feed."""
        data, starts, lengths, splits = split_lines(text)
        memo = self._take_memo(len(starts))
        numbers, new = memo.table.add(data, starts, lengths)
        if new.size:
            self._learn(memo, ByteViews(data, starts[new], lengths[new]))
        words = Ragged(numbers, splits)
        of_words = Ragged(numbers[:0], np.zeros_like(splits))
        if not memo.are_words:
            labels = words._replace(values=memo.labels[numbers])
            of_words = labels.only(labels.values >= 0)
            words = words.only(labels.values == _NO_LABEL)

        counts = np.append(0, np.cumsum(memo.n_rows[words.values]))
        n_rows = np.diff(counts[words.splits])
        buckets = self._word_ngrams_of(memo, words)
        n_rows += buckets.counts
        if self.in_order:
            totals = self._sums_in_order(memo, words, buckets)
        else:
            totals = words.sum_rows(memo.sums[: memo.table.n_words])
            if buckets.values.size:
                totals += self.of_ngrams.sums(buckets)
            self._add_long_lines_in_order(totals, n_rows, memo, words, buckets)
        self._memos.append(memo)

        hidden = totals * (1 / np.maximum(n_rows, 1)).astype(np.float32)[:, None]
        hidden = hidden.astype(np.float32, copy=False)
        return Lines(hidden, n_rows, of_words, self.output is not None)

    def _take_memo(self, n_new: int) -> WordMemo:
        """Words that no other thread uses, with room for some more."""
        try:
            memo = self._memos.pop()
        except IndexError:
            memo = None
        if memo is None or not memo.table.has_room(n_new):
            dims, dtype = self.of_words.dims, self.of_words.dtype
            most = min(_WORDS, _SUM_BYTES // (n_cpus() * 4 * dims))
            n_words = n_new if memo is None else max(n_new, memo.table.n_words)
            memo = WordMemo(max(_LEAST_WORDS, min(most, 8 * n_words), n_new), dims, dtype)
        return memo

    def _learn(self, memo: WordMemo, spans: ByteViews) -> None:
        """Computes what is added for new words."""
        ids, labels = self._words_and_labels(spans)
        ngrams = self._ngrams_of(spans, labels == _NO_LABEL)
        in_model = ids >= 0
        end = memo.table.n_words
        new = slice(end - len(ids), end)
        memo.labels[new] = labels
        if not self.in_order:
            memo.sums[new] = self.of_ngrams.sums(ngrams)
            memo.sums[new][in_model] += self.of_words.read(ids[in_model])
        memo.are_words &= bool((labels == _NO_LABEL).all())
        rows = Ragged.of(ids[in_model], in_model)
        rows = rows.joined(ngrams._replace(values=ngrams.values + np.int32(self.n_words)))
        memo.n_rows[new] = rows.counts
        memo.first_rows[new] = rows.splits[:-1] + memo.rows.append(rows.values)
        if self.order > 1:
            memo.hashes[new] = fasttext_hashes(*spans)

    def _words_and_labels(self, spans: ByteViews) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, -1 for others, and of labels among unknown words."""
        ids = self.words.find(spans)
        labels = np.full(len(ids), _NO_LABEL, np.int32)
        labels[(ids < 0) & _begin_with(LABEL_PREFIX, spans)] = _SKIPPED
        candidates = np.flatnonzero((ids < 0) & _begin_with(self.prefix, spans))
        numbers = self.labels.find(spans.take(candidates))
        labels[candidates[numbers >= 0]] = numbers[numbers >= 0]
        return ids, labels

    def _add_long_lines_in_order(
        self,
        totals: np.ndarray,
        n_rows: np.ndarray,
        memo: WordMemo,
        words: Ragged,
        buckets: Ragged,
    ) -> None:
        """Adds the rows of long lines once more, in fastText's order."""
        limit = _MANY_ROWS if self.indexer is not None else _MANY_WORDS
        lines = np.flatnonzero((n_rows > limit) & (n_rows < _MOST_ROWS))
        if not lines.size:
            return
        group_ends = np.cumsum(n_rows[lines]) * self.dims // _GROUP_NUMBERS
        for group in np.split(lines, np.flatnonzero(np.diff(group_ends)) + 1):
            sums = self._sums_in_order(memo, words.take(group), buckets.take(group))
            totals[group] = sums if self.output is None else logits(self.output, sums).T

    def _ngrams_of(self, spans: ByteViews, is_word: np.ndarray) -> Ragged:
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

    def _sums_in_order(self, memo: WordMemo, words: Ragged, buckets: Ragged) -> np.ndarray:
        """The sums of rows of the file for lines of words, added in fastText's order.

        In many additions another order would show in the sixth digit of probabilities.
        """
        counts = memo.n_rows[words.values]
        rows = memo.rows.values[ranges(memo.first_rows[words.values], counts)]
        features = Ragged(rows, np.append(0, np.cumsum(counts))[words.splits])
        n_words = self.n_words
        if buckets.values.size:
            features = features.joined(buckets._replace(values=buckets.values + n_words))
        n_all = n_words + len(self.ngram_rows.storage)
        is_worth_it = self._decoded is not None or len(features.values) > n_all // 8
        if is_worth_it and n_all * self.dims <= DECODED:
            return features.sum_rows(self._all_rows())
        needed, index = np.unique(features.values, return_inverse=True)
        n = int(np.searchsorted(needed, n_words))
        pair = self.word_rows.read(needed[:n]), self.ngram_rows.read(needed[n:] - n_words)
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
