"""The words of a text, each once, and how those of a line become its vector on the host.

Classifiers have rules of their own, which are fastText's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ffjax._internal.arrays import aligned_zeros
from ffjax.embeddings.batch_lookup import embed_unknown, read_rows
from ffjax.functional.search import EmbeddingsLike
from ffjax.functional.text import checked_weights, is_classifier
from ffjax.kernels.normalize import unit_rows
from ffjax.kernels.pool import check_pooling
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.codec import decode_word, encode_word

# The table has one of these sizes, so that few programs read it.
_TABLE_ROWS = [1 << power for power in range(14, 32, 2)]


@dataclass(frozen=True)
class PoolingRule:
    """How the words of a line become a vector.

    Attributes:
        pooling: one of `ffjax.kernels.pool.POOLINGS`.
        weights: a factor for each known word and one for unknown words, or `None`.
        unnormalize: whether vectors are as they were trained.
        labels: where lines are those of a supervised model, its labels, which are not words.
        line_end: the row of `</s>`, which then ends each line, if there is one.
    """

    pooling: str
    weights: np.ndarray | None = None
    unnormalize: bool = False
    labels: frozenset[bytes] | None = None
    line_end: np.ndarray | None = None

    @classmethod
    def of(
        cls, emb: EmbeddingsLike, pooling: str, weights: Any, unnormalize: bool
    ) -> "PoolingRule":
        """The rule for the arguments of `embed_text`, which are checked."""
        check_pooling(pooling, weights)
        if weights is not None:
            weights = np.asarray(checked_weights(emb, weights), np.float32)
            if len(weights) == len(emb.vocab):
                weights = np.append(weights, np.float32(1))
        metadata = getattr(emb, "metadata", None) or {}
        # Models of words have labels too if words of their text looked like them.
        is_supervised = is_classifier(emb) and metadata.get("model", "Supervised") == "Supervised"
        if pooling != "fasttext" or not is_supervised:
            return cls(pooling, weights, unnormalize)
        n_grams = metadata.get("word_ngrams") or 1
        if n_grams > 1:
            raise ValueError(
                '`pooling`: expected a classifier without n-grams of words for "fasttext", '
                f'got one with n-grams of {n_grams} words. Use "mean".'
            )
        labels = emb.training.labels  # type: ignore[attr-defined]
        row = emb.vocab.row_of(LINE_END.decode())
        line_end = None
        if row is not None:
            line_end = read_rows(emb, np.array([row], np.int32), unnormalize=True)[0]
        return cls(pooling, None, True, frozenset(map(encode_word, labels)), line_end)

    def is_label(self, word: bytes) -> bool:
        """Whether an unknown word of a line is a label."""
        # A model's file does not say how its labels begin; fastText takes the usual for others.
        return word.startswith(LABEL_PREFIX) or word in (self.labels or ())

    def denominators(
        self, counts: np.ndarray, lines: np.ndarray, ids: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        """What the total of each line is divided by, float32 `[n_lines]`; 0 for lines of zeros."""
        if self.pooling in ("max", "sum"):
            return (counts > 0).astype(np.float32)
        total = counts
        if weights is not None:
            counted = ids >= 0
            total = np.bincount(lines[counted], weights[ids[counted]], minlength=len(counts))
        return (total + (self.line_end is not None)).astype(np.float32)

    def divide(self, totals: np.ndarray, denominators: np.ndarray, out: np.ndarray) -> None:
        """Makes vectors of the sums of some lines; zeros where the denominator is zero."""
        if self.line_end is not None:
            totals = totals + self.line_end
        empty = denominators == 0  # false for NaN, which a weight of NaN makes of its line
        np.divide(totals, denominators[:, None], out=out, where=~empty[:, None])
        out[empty] = 0


def unique_words(
    emb: EmbeddingsLike, rule: PoolingRule, words: ByteViews, ids: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Vectors of the different words of a text, from numbers (-1 for unknown words) of its words.

    The vectors are padded with zeros. Then come the row of each word, -1 if it does not count, and
    what each row counts in a mean, `None` for one each. `lines` ascend.
    """
    unknown = ids < 0
    if rule.labels is not None:
        in_line = _before_line_end(words, lines)
        ids, unknown = np.where(in_line, ids, np.int32(-1)), unknown & in_line
    word_ids, ids = _number_known(ids, len(emb.vocab))
    names: list[bytes] = []
    if emb.vocab.subword_indexer is not None:
        names = _number_unknown(rule, words, np.flatnonzero(unknown), ids, len(word_ids))
    n_known, n = len(word_ids), len(word_ids) + len(names)

    size = next(size for size in _TABLE_ROWS if size >= n)
    vectors = aligned_zeros((size, emb.storage.shape[1]), np.float32)
    has_vector = np.arange(size) < n_known
    unnormalize = rule.unnormalize
    if n_known:
        rows = emb.vocab.host_rows[word_ids]
        vectors[:n_known] = read_rows(emb, rows, unnormalize=unnormalize)
    if names:
        views, positions = byte_views(names), np.arange(len(names))
        out = vectors[n_known:n], has_vector[n_known:n]
        embed_unknown(emb, views, positions, out, unnormalize=unnormalize)

    weights = None
    if rule.labels is not None:
        weights = np.ones(size, np.float64)
        weights[:n] = _row_counts(emb, word_ids, names)
        vectors[:n] *= weights[:n, None].astype(np.float32)
    elif rule.pooling == "fasttext":
        _, norms = unit_rows(vectors[:n])
        has_vector[:n] &= norms > 0
    elif rule.weights is not None:
        factors = np.zeros(size, np.float32)
        factors[:n_known], factors[n_known:n] = rule.weights[word_ids], rule.weights[-1]
        vectors[:n] *= factors[:n, None]
        weights = np.abs(factors).astype(np.float64)
    return vectors, np.where(has_vector[ids], ids, np.int32(-1)), weights


def _before_line_end(words: ByteViews, lines: np.ndarray) -> np.ndarray:
    """Which words come before the first `</s>` of their line."""
    candidates = np.flatnonzero(words.lengths == len(LINE_END))
    texts = words.data[words.starts[candidates][:, None] + np.arange(len(LINE_END))]
    is_end = np.zeros(len(lines) + 1, np.int32)
    is_end[candidates + 1] = (texts == np.frombuffer(LINE_END, np.uint8)).all(1)
    n_ends = np.cumsum(is_end)  # before each word, and after the last
    return n_ends[1:] == n_ends[np.searchsorted(lines, lines)]


def _number_known(ids: np.ndarray, n_words: int) -> tuple[np.ndarray, np.ndarray]:
    """The different words, ascending, and the number of each word of a text among them."""
    in_text = np.zeros(n_words + 1, bool)
    in_text[ids] = True  # -1, an unknown word, takes the last
    word_ids = np.flatnonzero(in_text[:-1]).astype(np.int32)
    numbers = np.full(n_words + 1, -1, np.int32)
    numbers[word_ids] = np.arange(len(word_ids), dtype=np.int32)
    return word_ids, numbers[ids]


def _number_unknown(
    rule: PoolingRule, words: ByteViews, positions: np.ndarray, ids: np.ndarray, first_id: int
) -> list[bytes]:
    """The different words at some positions, whose `ids` are set to numbers from `first_id`."""
    numbers: dict[bytes, int] = {}
    for position, word in zip(positions.tolist(), words.take(positions).raw(), strict=True):
        if rule.labels is None or not rule.is_label(word):
            ids[position] = first_id + numbers.setdefault(word, len(numbers))
    return list(numbers)


def _row_counts(emb: EmbeddingsLike, word_ids: np.ndarray, names: list[bytes]) -> list[int]:
    """How many rows a classifier sums for each word: its own, and those of its n-grams."""
    vocab: Any = emb.vocab
    if vocab.subword_indexer is None:
        return [1] * len(word_ids)

    def n_ngrams(word: str) -> int:
        return sum(map(len, vocab.subword_row_chunks(word)))

    words = [vocab.words[number] for number in word_ids.tolist()]
    counts = [1 if word == LINE_END.decode() else 1 + n_ngrams(word) for word in words]
    return counts + [n_ngrams(decode_word(name)) for name in names]
