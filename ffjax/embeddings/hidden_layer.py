"""The hidden layer of a fastText classifier on the host: lines of text to vectors, in NumPy.

Each distinct word is looked up and hashed once. The sum of its own row and the rows of its n-grams
is cached for later lines, in all threads, and a line adds up the sums of its words. In long lines
whose label is uncertain, only the first words are added that way; the remaining rows follow one by
one, in fastText's order. N-grams of words are added as they come.

If there are few labels, rows are multiplied by the output matrix first. Each row then has one
number for each label, and sums are logits.
"""

import os
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ffjax.embeddings.input_rows import NO_LABEL, InputRows, MultipliedRows, WordMemo
from ffjax.kernels.label_scores import TINY
from ffjax.kernels.label_scores_numpy import logits
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_numpy import find_numpy
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.spans_numpy import fasttext_hashes
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.kernels.tokenize_numpy import split_lines
from ffjax.kernels.word_ngrams import word_ngrams
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable

# Bytes of words whose n-grams are hashed at a time, which stay in a CPU's cache.
_WORD_BYTES = 1 << 16
# If m of the n rows of a line are added in another order than fastText's, rounding changes its
# scores in proportion to m² / n times the slope of its probability. The tolerance is the largest
# such product. At 40, scores of 12,000 documents of 4 KB stay within 7e-7 of fastText's (9e-7 at
# 80), and those of texts of 200 bytes to 3 MB within 8e-7 (1.5e-6 at 80).
_TOLERANCE = 40.0
# The same for models of words whose rows are multiplied by the output matrix. At 40, documents of
# DCLM's shape would take six times as long, since whole rows are read instead of products.
_PRODUCT_TOLERANCE = 4000.0
# The same for lines that repeat few words: equal rows round alike, so that their errors add up.
_REPEATED_TOLERANCE = 10.0
# A line repeats few words if at most `_FEW_WORDS` are distinct in a sample of `_SAMPLE`.
_FEW_WORDS, _SAMPLE = 8, 16
# Numbers that are gathered at a time where rows are added in order.
_GROUP_NUMBERS = 1 << 22
# The most words that are remembered, and the most bytes about them; products have the same limit.
_WORDS, _MOST_BYTES = 1 << 20, 1 << 27
# Rows with at least this many dimensions for each label are multiplied by the output matrix.
_DIMS_A_LABEL = 4
_SKIPPED = -2


class Lines(NamedTuple):
    """Lines of text as a classifier sees them.

    Attributes:
        hidden: the mean of each line's rows, float32 `[n_lines, dims]`.
        counts: how many rows that is; no labels are predicted for a line without any.
        labels: the numbers of the labels that occur in each line.
        are_logits: whether rows have been multiplied by the output matrix.
        in_order: takes the slope of each line's probability, which is how much it changes with a
            logit. Returns the numbers of the lines whose scores may differ visibly from fastText's
            by rounding, and the hidden vectors of those lines with rows added in fastText's order.
    """

    hidden: np.ndarray
    counts: np.ndarray
    labels: Ragged
    are_logits: bool
    in_order: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None


class HiddenLayer:
    """The arrays of a classifier that the host reads.

    Args:
        classifier: the classifier.
    """

    def __init__(self, classifier: Any) -> None:
        embeddings, storage = classifier.embeddings, classifier.embeddings.storage
        self.word_index, self.word_table = embeddings.vocab.index, embeddings.vocab.table
        self.label_index, self.label_table = classifier.label_index, classifier.label_table
        labels = list(map(encode_word, classifier.labels))
        self.prefix: Any = os.path.commonprefix(labels)
        self.indexer = storage.indexer
        ngrams = classifier.ngram_rows or storage.word_rows[:0]
        self.rows = InputRows(storage.word_rows, ngrams)
        self.order, self.n_buckets = classifier.word_ngrams, classifier.n_buckets
        self.buckets = classifier.ngram_buckets
        # What is added: the rows, or their products with the output matrix. The model alone decides
        # which, so that answers do not depend on earlier lines.
        self.output: np.ndarray | None = None
        self.added: InputRows | MultipliedRows = self.rows
        n_labels, n_products = len(classifier.output), self.rows.n_rows * len(classifier.output)
        if n_labels * _DIMS_A_LABEL <= self.rows.dims and 8 * n_products <= _MOST_BYTES:
            self.output = output = classifier.output.read(slice(None))
            self.added = MultipliedRows(self.rows, output)
        self._lock = Lock()
        self._memo = self._new_memo(0)

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

        buckets = self._word_ngrams_of(memo, words)
        n_rows = np.diff(memo.row_splits(words)[words.splits]) + buckets.counts
        totals = words.sum_rows(memo.sums)
        if buckets.values.size:
            totals += self.added.sums(buckets)
        in_order = partial(self._in_order, memo, words, buckets, n_rows)
        return Lines(_means(totals, n_rows), n_rows, labels, self.output is not None, in_order)

    def _in_order(
        self, memo: WordMemo, words: Ragged, buckets: Ragged, n_rows: np.ndarray, slopes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`Lines.in_order`, for the words and n-grams of lines."""
        lines, n_first = self._uncertain(words, n_rows, slopes)
        if not lines.size:
            return lines, np.zeros((0, self.added.dims), np.float32)
        words, buckets, n_rows = words.take(lines), buckets.take(lines), n_rows[lines]
        first, rest = self._divided(words, n_first, memo)
        sums = first.sum_rows(memo.sums)
        return lines, _means(self._add_in_order(sums, n_rows, memo, rest, buckets), n_rows)

    def _uncertain(
        self, words: Ragged, n_rows: np.ndarray, slopes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lines to add in order, and how many of their first rows can stay sums of words.

        An addition rounds by a fraction of the sum so far, which grows with the number of rows in
        it. So m additions change the sum by m² times a constant, and the mean of n rows by 1 / n of
        that.
        """
        is_product = self.output is not None and self.indexer is None
        tolerance = _PRODUCT_TOLERANCE if is_product else _TOLERANCE
        n_first = np.sqrt(n_rows / np.maximum(slopes, TINY))  # at a tolerance of 1
        lines = np.flatnonzero(n_first * np.sqrt(_REPEATED_TOLERANCE) < n_rows)
        tolerances = np.where(_repeat_words(words, lines), _REPEATED_TOLERANCE, tolerance)
        n_first = n_first[lines] * np.sqrt(tolerances)
        chosen = np.flatnonzero(n_first < n_rows[lines])
        return lines[chosen], n_first[chosen]

    def _numbers_of(self, words: ByteViews) -> tuple[WordMemo, np.ndarray]:
        """A memo that has the words, and their numbers in it."""
        memo = self._memo
        hashed = memo.table.hashed(*words)
        has_vocabulary = memo.has_vocabulary  # now, since another thread may add it any time
        numbers, slots = memo.table.find(hashed)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown) > self.rows.n_words and not has_vocabulary:
            self._add_vocabulary(memo, room_for=len(unknown))
        # After many lines, few of the unknown words occur twice.
        learned = self._learn(words.take(unknown), has_vocabulary) if unknown.size else ()
        with self._lock:  # what other threads have added is complete
            if memo.has_room(len(unknown)):
                if learned:
                    numbers[unknown] = memo.add(hashed.take(unknown), slots[unknown], *learned)
                if memo is self._memo and memo.n_bytes > _MOST_BYTES:
                    self._memo = self._new_memo(0)
                return memo, numbers
            if memo is self._memo:
                self._memo = self._new_memo(len(numbers))
        return self._numbers_of(words)

    def _add_vocabulary(self, memo: WordMemo, room_for: int) -> None:
        """Adds a small vocabulary, so that later words outside the memo need no look-up in it."""
        offsets = self.word_table.host_offsets.astype(np.int64)
        data = np.append(self.word_table.host_data, np.zeros(8, np.uint8))
        words = ByteViews(data, offsets[:-1], np.diff(offsets))
        learned = self._learn(words, has_vocabulary=False)
        with self._lock:
            if memo.has_room(self.rows.n_words + room_for):
                hashed = memo.table.hashed(*words)
                memo.add(hashed, memo.table.find(hashed)[1], *learned)
                memo.has_vocabulary = True

    def _new_memo(self, n_words: int) -> WordMemo:
        dims, dtype = self.added.dims, np.dtype(self.added.dtype)
        n = min(_WORDS, _MOST_BYTES // (dtype.itemsize * dims))
        return WordMemo(max(n_words, n), dims, dtype)

    def _learn(self, words: ByteViews, has_vocabulary: bool) -> tuple[Any, ...]:
        """What `WordMemo.add` takes for words, none of which is in a vocabulary that a memo has."""
        n = len(words.starts)
        ids = np.full(n, -1)
        if not has_vocabulary:
            ids = _numbers(self.word_index, self.word_table, words)
        labels = self._labels_of(words, ids)
        rows = self._ngrams_of(words, labels == NO_LABEL)
        in_model = ids >= 0
        if in_model.any():
            rows = Ragged.of(ids[in_model], in_model).joined(rows)
        hashes = fasttext_hashes(*words) if self.order > 1 else np.zeros(n, np.uint32)
        return rows, self.added.sums(rows), labels, hashes

    def _labels_of(self, spans: ByteViews, ids: np.ndarray) -> np.ndarray:
        """The numbers of labels among words that are not in the vocabulary."""
        labels = np.full(len(ids), NO_LABEL, np.int32)
        labels[(ids < 0) & _begin_with(LABEL_PREFIX, spans)] = _SKIPPED
        candidates = np.flatnonzero((ids < 0) & _begin_with(self.prefix, spans))
        numbers = _numbers(self.label_index, self.label_table, spans.take(candidates))
        labels[candidates[numbers >= 0]] = numbers[numbers >= 0]
        return labels

    def _divided(self, words: Ragged, n_first: np.ndarray, memo: WordMemo) -> tuple[Ragged, Ragged]:
        """The words of lines whose rows are among the first, and the remaining words."""
        starts, ends = words.splits[:-1], words.splits[1:]
        if self.output is not None:
            cuts = starts  # sums of products cannot be continued with rows
        elif self.indexer is None:
            cuts = ends  # rows of words are in order anyway: each has one at most
        else:
            splits = memo.row_splits(words)
            cuts = np.searchsorted(splits, splits[starts] + n_first, "right") - 1
        halves = words._replace(splits=np.append(0, np.stack([np.minimum(cuts, ends), ends], 1)))
        first = np.arange(0, 2 * len(starts), 2)
        return halves.take(first), halves.take(first + 1)

    def _add_in_order(
        self, sums: np.ndarray, n_rows: np.ndarray, memo: WordMemo, words: Ragged, buckets: Ragged
    ) -> np.ndarray:
        """Adds the rows of words, then those of n-grams of words, to sums, one by one."""
        dims = self.rows.dims
        group_ends = np.cumsum(n_rows) * dims // _GROUP_NUMBERS
        step = -(-_GROUP_NUMBERS // dims)
        totals = np.empty_like(sums)
        if self.output is not None:
            sums = np.zeros((len(sums), dims), np.float32)
        for group in np.split(np.arange(len(sums)), np.flatnonzero(np.diff(group_ends)) + 1):
            rows, ngrams = memo.rows_of(words.take(group)), buckets.take(group)
            if ngrams.values.size:
                rows = rows.joined(ngrams)
            group_sums = sums[group]
            for start in range(0, rows.counts.max(initial=0), step):
                group_sums = self.rows.sums(rows.between(start, start + step), group_sums)
            totals[group] = group_sums if self.output is None else logits(self.output, group_sums).T
        return totals

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
                ngrams = self.indexer.ragged_ids(*marked, shortest_first=True)
                counts[block] = ngrams.counts
                rows.append(ngrams.values.view(np.int32) + np.int32(self.rows.n_words))
        return Ragged.of(np.concatenate(rows), counts)

    def _word_ngrams_of(self, memo: WordMemo, words: Ragged) -> Ragged:
        """The rows of the n-grams of the words of lines."""
        if self.order < 2 or not self.n_buckets:
            return Ragged(np.zeros(0, np.int64), np.zeros_like(words.splits))
        hashes = words._replace(values=memo.hashes[words.values])
        rows = word_ngrams(hashes, self.order, self.n_buckets)
        if self.buckets is not None:
            rows = rows._replace(values=self.buckets.host_rows(rows.values))
            rows = rows.only(rows.values >= 0)
        return rows._replace(values=rows.values + self.rows.n_words)


def _repeat_words(words: Ragged, lines: np.ndarray) -> np.ndarray:
    """Which lines repeat few words, by words at even distances."""
    starts, counts = words.splits[lines, None], words.counts[lines, None]
    sample = words.values.take(starts + counts * np.arange(_SAMPLE) // _SAMPLE)
    n_distinct = 1 + np.count_nonzero(np.diff(np.sort(sample)), 1)
    return n_distinct <= _FEW_WORDS


def _means(sums: np.ndarray, n_rows: np.ndarray) -> np.ndarray:
    """The means of rows, float32 `[n, dims]`, from their sums and how many they are."""
    means = sums * (1 / np.maximum(n_rows, 1)).astype(np.float32)[:, None]
    return means.astype(np.float32, copy=False)


def _numbers(table: HashTable, strings: StringTable, words: ByteViews) -> np.ndarray:
    """The numbers of words among the strings of a table, -1 for others."""
    return find_numpy(table, strings.host_data, strings.host_offsets, *words)


def _begin_with(prefix: bytes, spans: ByteViews) -> np.ndarray:
    """Which words begin with some bytes."""
    begin_with = spans.lengths >= len(prefix)
    for i, byte in enumerate(prefix):
        rows = np.flatnonzero(begin_with)
        if not rows.size:
            break
        begin_with[rows] = spans.data[spans.starts[rows] + i] == byte
    return begin_with
