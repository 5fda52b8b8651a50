"""The hidden layer of a fastText classifier on the host: lines of text to vectors, in NumPy.

Each different word is looked up and hashed once, and the sum of its rows and those of its n-grams
is kept for later lines. Lines are sums of those sums. N-grams of words are added up as they come.

If there are few labels, a call that adds many rows multiplies all rows by the output matrix first:
of each row a number for each label remains, and sums are logits.
"""

import os
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arrays import ranges
from ffjax._internal.cpus import n_cpus
from ffjax.embeddings.input_rows import DECODED, HostRows, InputRows, WordMemo
from ffjax.kernels.label_scores_numpy import logits
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_numpy import find_numpy
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.spans_numpy import equal_spans, fasttext_hashes
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.kernels.tokenize_numpy import split_lines
from ffjax.kernels.word_ngrams import word_ngrams
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.word_rows import word_rows

# Bytes of words whose n-grams are hashed at a time, which stay in a CPU's cache.
_WORD_BYTES = 1 << 16
# Lines of so many rows are added up in fastText's order, some lines at a time. Without n-grams of
# characters rows of words are in order anyway, and only those of n-grams of words are added apart.
_MANY_ROWS, _MANY_WORDS, _MOST_ROWS = 1000, 16_000, 1 << 22
_GROUP_NUMBERS = 1 << 24
# Words that are kept for each thread: as many, and those whose sums take as many bytes.
_WORDS, _SUM_BYTES, _LEAST_WORDS = 1 << 18, (1 << 27) // n_cpus(), 1 << 14
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
        self.indexer, self.output = storage.indexer, classifier.output
        ngrams = classifier.ngram_rows or storage.word_rows[:0]
        self.n_words, self.dims = storage.word_rows.shape
        self.input = self._as_trained = InputRows(HostRows(storage.word_rows), HostRows(ngrams))
        self.order, self.n_buckets = classifier.word_ngrams, classifier.n_buckets
        self.buckets = classifier.ngram_buckets
        # Where words have few and short rows, these are added at once.
        has_few_rows = self.indexer is None or self.buckets is not None
        self.in_order = has_few_rows and self.dims <= _SHORT and len(ngrams) * self.dims <= DECODED
        # How many rows are still to be added before it pays to multiply all of them.
        has_few_labels = not self.in_order and len(self.output) * _DIMS_A_LABEL <= self.dims
        self._until_multiplied = self.n_words + len(ngrams) if has_few_labels else 1 << 62
        self._lock = Lock()
        self._memos: list[WordMemo] = []  # that no thread uses

    def lines(self, text: bytes) -> Lines:
        """The hidden vectors of lines that each end with a line feed."""
        data, starts, lengths, splits = split_lines(text)
        memo = self._take_memo(len(starts))
        numbers, new = memo.table.add(data, starts, lengths)
        if new.size:
            self._learn(memo, Spans(data, starts[new], lengths[new]))
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
                totals += memo.input.ngrams.sums(buckets)
            self._add_long_lines_in_order(totals, n_rows, memo, words, buckets)
        self._multiply_rows(int(n_rows.sum()))
        self._memos.append(memo)

        hidden = totals * (1 / np.maximum(n_rows, 1)).astype(np.float32)[:, None]
        are_logits = memo.input.output is not None
        return Lines(hidden.astype(np.float32, copy=False), n_rows, of_words, are_logits)

    def _take_memo(self, n_new: int) -> WordMemo:
        """Words that no other thread uses, with room for some more."""
        memo, rows = self._memos.pop() if self._memos else None, self.input
        if memo is None or memo.input is not rows or not memo.table.has_room(n_new):
            dims = self.dims if rows.output is None else len(rows.output)
            most = min(_WORDS, _SUM_BYTES // (4 * dims))
            n_words = n_new if memo is None else max(n_new, memo.table.n_words)
            memo = WordMemo(max(_LEAST_WORDS, min(most, 8 * n_words), n_new), rows, dims)
        return memo

    def _learn(self, memo: WordMemo, spans: Spans) -> None:
        """Computes what is added for new words."""
        ids, labels = self._words_and_labels(spans)
        ngrams = self._ngrams_of(spans, labels == _NO_LABEL)
        in_model = ids >= 0
        end = memo.table.n_words
        new = slice(end - len(ids), end)
        memo.labels[new] = labels
        if not self.in_order:
            memo.sums[new] = memo.input.ngrams.sums(ngrams)
            memo.sums[new][in_model] += memo.input.words.read(ids[in_model])
        memo.are_words &= bool((labels == _NO_LABEL).all())
        rows = Ragged.of(ids[in_model], in_model)
        rows = rows.joined(ngrams._replace(values=ngrams.values + np.int32(self.n_words)))
        memo.n_rows[new] = rows.counts
        memo.first_rows[new] = rows.splits[:-1] + memo.rows.append(rows.values)
        if self.order > 1:
            memo.hashes[new] = fasttext_hashes(*spans)

    def _words_and_labels(self, spans: Spans) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, -1 for others, and of labels among unknown words."""
        ids = _find(self.words, spans)
        labels = np.full(len(ids), _NO_LABEL, np.int32)
        labels[(ids < 0) & _begin_with(LABEL_PREFIX, spans)] = _SKIPPED
        candidates = np.flatnonzero((ids < 0) & _begin_with(self.prefix, spans))
        numbers = _find(self.labels, spans.take(candidates))
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
            output = memo.input.output
            totals[group] = sums if output is None else logits(output, sums).T

    def _multiply_rows(self, n_added: int) -> None:
        """Multiplies all rows by the output matrix if more than as many have been added."""
        self._until_multiplied -= n_added
        if self._until_multiplied > 0 or not self._lock.acquire(blocking=False):
            return
        try:
            if self.input.output is None:
                output = self.output.read(slice(None))
                words, ngrams, _ = self.input
                self.input = InputRows(words.times(output), ngrams.times(output), output)
                self._until_multiplied = 1 << 62
        finally:
            self._lock.release()

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
        ngrams = self._as_trained.ngrams
        n_all = n_words + len(ngrams.storage)
        is_worth_it = len(features.values) > n_all // 8 or "_all_rows" in vars(self)
        if is_worth_it and n_all * self.dims <= DECODED:
            with self._lock:  # of several threads one decodes
                rows = self._all_rows
            return features.sum_rows(rows)
        needed, index = np.unique(features.values, return_inverse=True)
        n = int(np.searchsorted(needed, n_words))
        pair = self._as_trained.words.read(needed[:n]), ngrams.read(needed[n:] - n_words)
        return Ragged(index, features.splits).sum_rows(np.concatenate(pair))

    @cached_property
    def _all_rows(self) -> np.ndarray:
        words, ngrams, _ = self._as_trained
        return np.concatenate([rows.storage.read(slice(None)) for rows in (words, ngrams)])


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
