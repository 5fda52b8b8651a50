"""The output layer of a fastText classifier on the host: from hidden vectors to the best labels."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax._internal.arguments import check_flag, check_several, check_word, real_number
from ffjax.embeddings.hidden_layer import Lines
from ffjax.functional.classify import Labels, answer_count
from ffjax.kernels.label_scores import SHIFT, TINY
from ffjax.kernels.label_scores_numpy import best_label, label_scores_numpy, logits, tree_scores
from ffjax.kernels.tokenize import LABEL_PREFIX

# The output layer computes this many numbers at a time, which stay in a CPU's cache, but for this
# many lines at least.
_BLOCK_NUMBERS, _LEAST_LINES = 1 << 18, 64
_NORMALIZED = ("Softmax", "HierarchicalSoftmax")


class Options(NamedTuple):
    """Which labels are answers.

    Attributes:
        k: the maximum number of labels.
        threshold: the minimum probability.
        columns: the numbers of the labels to choose from, ascending; all of them if `None`.
        renormalize: whether probabilities are to sum to 1 over those.
        min_score: the minimum score of the best label.
    """

    k: int
    threshold: float
    columns: np.ndarray | None
    renormalize: bool
    min_score: float | None

    @classmethod
    def of(
        cls,
        numbers: Mapping[str, int],
        k: int = -1,
        threshold: float = -1.0,
        restrict: Iterable[str] | None = None,
        renormalize: bool = False,
        min_score: float | None = None,
    ) -> "Options":
        """The options for the arguments of a user, which are checked."""
        threshold = real_number("threshold", threshold)
        if min_score is not None:
            min_score = real_number("min_score", min_score)
        check_flag("renormalize", renormalize)
        columns = None
        if restrict is not None:
            check_several("restrict", restrict, "label")
            chosen = {label_number(numbers, label, "restrict") for label in restrict}
            columns = np.array(sorted(chosen), np.int32)
            if not len(columns):
                raise ValueError("`restrict`: expected at least one label, got none.")
            # The best of these labels is an answer, however improbable it is.
            threshold = threshold if threshold > 0 else -1.0
        elif renormalize:
            raise ValueError("`restrict`: expected labels with `renormalize=True`, got None.")
        k = answer_count(k, len(numbers) if columns is None else len(columns))
        return cls(k, threshold, columns, renormalize, min_score)


class OutputLayer:
    """The arrays of a classifier's output layer that the host reads."""

    def __init__(self, classifier: Any) -> None:
        matrix = classifier.output.host_matrix()
        self.matrix = classifier.output.read(slice(None)) if matrix is None else matrix
        self.tree = jax.tree.map(np.asarray, classifier.tree)
        self.loss = classifier.loss

    def all_scores(self, lines: Lines, options: Options) -> np.ndarray:
        """The scores of lines, float32 `[n, labels]`."""
        (matrix,) = self._refined(self._all_scores, lines, options)
        return matrix

    def labels(self, lines: Lines, options: Options) -> Labels:
        """The best labels of lines."""
        scores, ids = self._refined(self._top_scores, lines, options)
        if options.columns is not None:
            ids = options.columns[ids]
        if options.min_score is not None:
            scores[scores[:, 0] < options.min_score] = 0
        ids[~(scores > 0)] = -1
        return Labels(scores, ids, (ids >= 0).sum(1, dtype=np.int32))

    @np.errstate(over="ignore", invalid="ignore")
    def _refined(
        self, answer: Callable[..., tuple[np.ndarray, ...]], lines: Lines, options: Options
    ) -> list[np.ndarray]:
        """The arrays of `answer`, except the last, which is the largest score of each line.

        Lines whose scores may differ visibly from fastText's by rounding are answered again, with
        rows added in fastText's order.
        """
        *arrays, largest = answer(lines, options)
        if lines.in_order is None:
            return arrays
        slopes = np.full(len(largest), 0.25)
        if self.loss in _NORMALIZED and not options.renormalize:
            # The slope of a probability p is p (1 - p). A score of 0 is one that was excluded.
            slopes = np.where(largest > 0, largest * np.maximum(1 - largest, 0), slopes)
        rows, hidden = lines.in_order(slopes)
        if rows.size:
            refined = Lines(hidden, lines.counts[rows], lines.labels.take(rows), lines.are_logits)
            for array, values in zip(arrays, answer(refined, options), strict=False):
                array[rows] = values
        return arrays

    def _all_scores(self, lines: Lines, options: Options) -> tuple[np.ndarray, np.ndarray]:
        n_labels = len(self.matrix) if options.columns is None else len(options.columns)
        matrix = np.empty((len(lines.counts), n_labels), np.float32)
        largest = np.empty(len(matrix), np.float32)
        for block, scores in self._scores(lines, options, largest):
            matrix[block] = scores.T
        return matrix, largest

    def _top_scores(self, lines: Lines, options: Options) -> tuple[np.ndarray, ...]:
        n = len(lines.counts)
        scores, ids = np.empty((n, options.k), np.float32), np.empty((n, options.k), np.int32)
        if self._is_one_enough(options):
            self._most_probable(lines, options.threshold, scores[:, 0], ids[:, 0])
            return scores, ids, scores[:, 0]
        largest = np.empty(n, np.float32)
        for block, block_scores in self._scores(lines, options, largest):
            scores[block], ids[block] = top_labels(block_scores, options.k)
        return scores, ids, largest

    def _scores(
        self, lines: Lines, options: Options, largest: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """The scores of lines in blocks, `[labels, n]`; 0 for labels that are excluded.

        `largest` receives the largest score of each line.
        """
        normalize = options.renormalize
        if normalize and self.loss not in _NORMALIZED:
            raise ValueError(
                f"`renormalize`: expected a classifier with the loss {' or '.join(_NORMALIZED)}, "
                f"got {self.loss}, whose probabilities of labels don't sum to 1. Leave it out."
            )
        threshold = np.float32(-1 if normalize else options.threshold)
        shift = np.float32(0) if normalize else SHIFT
        for block, products in self._logits(lines):
            columns = options.columns
            if normalize and self.tree is None:
                # Before `exp`: beside more probable labels, theirs might underflow to 0.
                products, columns = products[columns], None
            scores = label_scores_numpy(self.loss, products, self.tree, threshold, shift)
            np.fmax.reduce(scores, 0, out=largest[block])
            if columns is not None:
                scores = scores[columns]
            if normalize:
                scores /= np.maximum(scores.sum(0), TINY)
                scores[scores < options.threshold] = 0
            scores[:, lines.counts[block] == 0] = 0
            yield block, scores

    def _is_one_enough(self, options: Options) -> bool:
        """Whether the best label needs no scores of the others."""
        if options.k != 1 or options.columns is not None:
            return False
        if self.tree is None:
            return self.loss == "Softmax"
        # The best label of a tree has at least the mean probability. If that is far above the
        # least, fastText visits all nodes on the way to it.
        return 2 * len(self.matrix) * (options.threshold + float(SHIFT)) < 1

    def _most_probable(
        self, lines: Lines, threshold: float, scores: np.ndarray, ids: np.ndarray
    ) -> None:
        """The best label of a softmax, or of a tree."""
        for block, products in self._logits(lines):
            if self.tree is not None:
                products = tree_scores(products, self.tree, SHIFT, least=np.float32(0))
            best, ids[block] = best_label(products)
            is_answer = best > 0
            if self.tree is None:
                products -= best
                best = 1 / np.exp(products, out=products).sum(0)
                is_answer = best >= np.float32(threshold)
                best += SHIFT
            scores[block] = np.where(is_answer & (lines.counts[block] > 0), best, np.float32(0))

    def _logits(self, lines: Lines) -> Iterator[tuple[slice, np.ndarray]]:
        step = max(_LEAST_LINES, _BLOCK_NUMBERS // len(self.matrix))
        for start in range(0, len(lines.counts), step):
            block = slice(start, start + step)
            hidden = lines.hidden[block]
            yield block, hidden.T.copy() if lines.are_logits else logits(self.matrix, hidden)


def check_model(embeddings: Any) -> None:
    """Checks that embeddings are those of a supervised model, as they were trained."""
    training, kind = embeddings.training, (embeddings.metadata or {}).get("model", "Supervised")
    # Unsupervised models may have labels too: words that begin with `__label__`.
    is_supervised = kind == "Supervised"
    if not is_supervised or training is None or not len(training.label_table):
        got = "one without labels" if is_supervised else "an unsupervised model (word vectors)"
        raise ValueError(
            f"`embeddings`: expected a supervised fastText model with labels, got {got}. Open it "
            "with `ffjax.load`."
        )
    if not hasattr(embeddings.storage, "word_rows"):
        raise ValueError(
            "`embeddings`: expected rows as they were trained, got rows at unit length. Open "
            "the file with `ffjax.load_classifier`."
        )
    output, labels = training.output, training.label_table
    shape = len(labels), embeddings.dims
    if output is None or output.shape != shape:
        got = "none" if output is None else str(output.shape)
        raise ValueError(f"`output`: expected shape {shape}, got {got}.")
    for first, rows in output.row_blocks():
        is_finite = np.isfinite(rows).all(1)
        if not is_finite.all():
            row = first + int(is_finite.argmin())
            raise ValueError(
                f"`output`: expected finite numbers, got NaN or infinity in row {row}, of the "
                f"label {labels[row]!r}. Train the model again, with a lower learning rate."
            )


def label_number(numbers: Mapping[str, int], label: str, name: str) -> int:
    """The number of a label, with or without fastText's prefix."""
    check_word(name, label, what="a label (str)")
    number = numbers.get(label, numbers.get(f"{LABEL_PREFIX.decode()}{label}"))
    if number is None:
        raise ValueError(
            f"`{name}`: expected a label of the classifier, got {label!r}. It has "
            f"{len(numbers)}, such as {', '.join(map(repr, islice(numbers, 3)))}."
        )
    return number


def lists_of(names: np.ndarray, answers: Labels) -> tuple[list[list[str]], list[np.ndarray]]:
    """The names and scores of the labels of each text; `names` has those of all labels."""
    k = answers.ids.shape[1]
    with _uncollected():
        # -1, which stands for no label, takes the last name and is cut off below.
        labels, scores = names[answers.ids].tolist(), list(answers.scores)
        if answers.counts.min(initial=k) < k:
            counts = answers.counts.tolist()
            labels, scores = (
                [row[:n] for row, n in zip(rows, counts, strict=True)] for rows in (labels, scores)
            )
    return labels, scores


def top_labels(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` largest scores of texts and their labels, of equal ones the last label first.

    Examples:
        >>> scores, labels = top_labels(np.array([[0.1], [0.4], [0.1], [0.4]]), 3)
        >>> scores.tolist(), labels.tolist()
        ([[0.4, 0.4, 0.1]], [[3, 1, 2]])
    """
    if k == 1:
        best, labels = best_label(scores)
        return best[:, None], labels[:, None]
    scores = np.ascontiguousarray(scores.T)
    n_labels = scores.shape[1]
    columns = np.broadcast_to(np.arange(n_labels), scores.shape)
    if k < n_labels:
        columns = np.sort(np.argpartition(scores, n_labels - k, axis=1)[:, n_labels - k :])
        # Where more labels have the lowest of these scores, those with the largest numbers count.
        chosen = np.take_along_axis(scores, columns, 1)
        lowest = np.maximum(chosen.min(1, keepdims=True), TINY)
        n_equal, n_chosen = ((x == lowest).sum(1) for x in (scores, chosen))
        ties = np.flatnonzero(n_equal > n_chosen)
        order = np.argsort(scores[ties], axis=1, kind="stable")
        columns[ties] = np.sort(order[:, n_labels - k :])
    order = np.argsort(np.take_along_axis(scores, columns, 1), axis=1, kind="stable")[:, ::-1]
    columns = np.take_along_axis(columns, order, 1)
    return np.take_along_axis(scores, columns, 1), columns


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pauses garbage collection, which would dominate the run time with so many new lists."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
