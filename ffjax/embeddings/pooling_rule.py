"""How the words of a line become a vector on the host, with fastText's rules for classifiers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ffjax.embeddings.batch_lookup import read_rows
from ffjax.functional.search import EmbeddingsLike
from ffjax.functional.text import checked_weights, is_classifier
from ffjax.kernels.pool import check_pooling
from ffjax.kernels.tokenize import LABEL_PREFIX, LINE_END
from ffjax.strings.codec import encode_word


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
        cls, embeddings: EmbeddingsLike, pooling: str, weights: Any, unnormalize: bool
    ) -> "PoolingRule":
        """The rule for the arguments of `embed_text`, which are checked."""
        check_pooling(pooling, weights)
        if weights is not None:
            weights = np.asarray(checked_weights(embeddings, weights), np.float32)
            if len(weights) == len(embeddings.vocab):
                weights = np.append(weights, np.float32(1))
        if pooling != "fasttext" or not is_classifier(embeddings):
            return cls(pooling, weights, unnormalize)
        metadata = getattr(embeddings, "metadata", None)
        n_grams = 1 if metadata is None else metadata.get("word_ngrams") or 1
        if n_grams > 1:
            raise ValueError(
                '`pooling`: expected a classifier without n-grams of words for "fasttext", '
                f'got one with n-grams of {n_grams} words. Use "mean".'
            )
        labels = embeddings.training.labels  # type: ignore[attr-defined]
        row = embeddings.vocab.row_of(LINE_END.decode())
        line_end = None
        if row is not None:
            line_end = read_rows(embeddings, np.array([row], np.int32), unnormalize=True)[0]
        return cls(pooling, None, True, frozenset(map(encode_word, labels)), line_end)

    def is_label(self, word: bytes) -> bool:
        """Whether an unknown word of a line is a label."""
        if self.labels is None:
            return False
        # A model's file does not say how its labels begin; fastText takes the usual for others.
        return word.startswith(LABEL_PREFIX) or word in self.labels

    def divide(self, totals: np.ndarray, denominators: np.ndarray, out: np.ndarray) -> None:
        """Makes vectors of the sums of some lines; zeros where the denominator is zero."""
        if self.line_end is not None:
            totals = totals + self.line_end
        empty = denominators == 0  # false for NaN, which a weight of NaN makes of its line
        np.divide(totals, denominators[:, None], out=out, where=~empty[:, None])
        out[empty] = 0
