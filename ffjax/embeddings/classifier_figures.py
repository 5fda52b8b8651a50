"""How good a classifier is: precision and recall over labelled lines, as fastText counts them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ffjax.embeddings.hidden_layer import Lines
from ffjax.embeddings.output_layer import Options, OutputLayer


class LabelFigures(NamedTuple):
    """How one label was predicted; NaN where there is nothing to divide by.

    Attributes:
        precision: how many of its predictions were right.
        recall: how many of its lines it was predicted for.
        f1: the harmonic mean of both.
    """

    precision: float
    recall: float
    f1: float


class ClassifierTest(NamedTuple):
    """What `Classifier.test` measured.

    Attributes:
        n: the number of lines.
        precision: how many predictions were right.
        recall: how many of the labels of lines were predicted.
        by_label: the figures of each label.
    """

    n: int
    precision: float
    recall: float
    by_label: dict[str, LabelFigures]

    def __repr__(self) -> str:
        figures = f"n={self.n}, precision={self.precision:.3f}, recall={self.recall:.3f}"
        return f"ClassifierTest({figures}, by_label=<{len(self.by_label)} labels>)"

    @classmethod
    def of(cls, labels: list[str], counts: Iterable[tuple[np.ndarray, int]]) -> "ClassifierTest":
        """The figures for what `count_hits` counted in blocks of lines."""
        totals, n = np.zeros((3, len(labels)), np.int64), 0
        for block_counts, n_lines in counts:
            totals += block_counts
            n += n_lines
        hits, predicted, gold = totals

        def figures(hits: Any, predicted: Any, gold: Any) -> np.ndarray:
            counts = np.stack([hits, hits, 2 * hits]), np.stack([predicted, gold, predicted + gold])
            with np.errstate(invalid="ignore"):
                return np.divide(*counts)

        precision, recall, _ = figures(hits.sum(), predicted.sum(), gold.sum()).tolist()
        rows = map(LabelFigures._make, figures(hits, predicted, gold).T.tolist())
        return cls(n, precision, recall, dict(zip(labels, rows, strict=True)))


def count_hits(layer: OutputLayer, lines: Lines, options: Options) -> tuple[np.ndarray, int]:
    """By label, how often it was right, predicted and in the text; and how many lines count."""
    n_labels = len(layer.matrix)
    answers = layer.labels(lines, options)
    counted = (lines.labels.counts > 0) & (lines.counts > 0)
    gold_lines = np.repeat(np.arange(len(counted)), lines.labels.counts)
    gold, gold_lines = (x[counted[gold_lines]] for x in (lines.labels.values, gold_lines))
    predicted = np.where(counted[:, None], answers.ids, -1)
    line, column = np.nonzero(predicted >= 0)
    ids = predicted[line, column]
    hits = np.isin(line * n_labels + ids, gold_lines * n_labels + gold)
    numbers = ids[hits], ids, gold
    return np.stack([np.bincount(i, minlength=n_labels) for i in numbers]), int(counted.sum())
