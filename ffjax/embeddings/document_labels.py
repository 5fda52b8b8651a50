"""The new fields or columns of documents: labels and scores, as `classify_file` writes them."""

from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.file_arguments import counted, shown
from ffjax.embeddings.classifier import Classifier, over_blocks
from ffjax.embeddings.output_layer import Options, OutputLayer, label_number, lists_of
from ffjax.functional.classify import Labels
from ffjax.strings.text import as_lines, null_mask


class Settings(NamedTuple):
    """What to answer for each document: labels by `options`, or the score of `label`."""

    classifier: Classifier
    label_names: np.ndarray
    options: Options
    has_lists: bool = False
    label: str | None = None
    lowercase: bool = False

    @classmethod
    def of(
        cls,
        classifier: Classifier,
        k: int = 1,
        threshold: float = 0.0,
        label: str | None = None,
        lowercase: bool = False,
        **options: Any,
    ) -> "Settings":
        """The settings for the arguments of a user, which are checked."""
        numbers = classifier.numbers
        if label is not None:
            label_number(numbers, label, "label")
            defaults = {"k": 1, "threshold": 0.0, "restrict": None, "renormalize": False}
            values = {"k": k, "threshold": threshold, "min_score": None, **options}
            for name, value in values.items():
                if value != defaults.get(name):
                    expected = "no such option for the score of one label"
                    raise ValueError(f"`{name}`: expected {expected}, got {value!r}. Leave it out.")
            options = {"restrict": [label]}
        label_names = np.array(classifier.label_table.replace_invalid().strings, object)
        chosen = Options.of(numbers, k, threshold, **options)
        return cls(classifier, label_names, chosen, k != 1, label, lowercase)

    @property
    def names(self) -> tuple[str, ...]:
        """The usual names of the new fields."""
        return label_columns(self.label, self.has_lists)

    def fields(self, texts: list[Any] | bytes) -> dict[str, list[Any]]:
        """The new fields for texts, of which some may be `None`, or for lines."""
        nulls = None
        if not isinstance(texts, bytes):
            nulls = np.array([text is None for text in texts], bool)
            # Lone surrogates, which JSON may have, become question marks.
            raw = [(text or "").encode("utf-8", "replace") for text in texts]
            texts = as_lines(raw, self.lowercase, newline=" ")
        elif self.lowercase:
            texts = as_lines(texts.split(b"\n")[:-1], lowercase=True)
        if self.label is not None:
            scores: Any = self._scores(texts).tolist()
            if nulls is not None:
                scores = [None if null else x for null, x in zip(nulls, scores, strict=True)]
            return {"score": scores}
        answers = self._labels(texts, nulls)
        names, scores = lists_of(self.label_names, answers)
        if self.has_lists:
            return {"labels": names, "scores": [row.tolist() for row in scores]}
        label = [row[0] if row else None for row in names]
        return {"label": label, "score": [float(x[0]) if len(x) else None for x in scores]}

    def columns(self, texts: Any) -> list[Any]:
        """The new columns for an Arrow array of texts."""
        import pyarrow as pa

        lines, nulls = as_lines(texts, self.lowercase, newline=" "), null_mask(texts)
        if self.label is not None:
            return [pa.array(self._scores(lines), mask=nulls)]
        names = pa.array(self.label_names, pa.string())
        scores, ids, counts = self._labels(lines, nulls)
        if not self.has_lists:
            missing = counts == 0
            labels = names.take(pa.array(np.maximum(ids[:, 0], 0), mask=missing))
            return [labels, pa.array(scores[:, 0], mask=missing)]
        is_answer = np.arange(ids.shape[1]) < counts[:, None]
        offsets = np.append(0, np.cumsum(counts)).astype(np.int32)
        labels, scores = names.take(pa.array(ids[is_answer])), pa.array(scores[is_answer])
        return [pa.ListArray.from_arrays(offsets, flat) for flat in (labels, scores)]

    def _scores(self, lines: bytes) -> np.ndarray:
        """The scores of the one label, float32 `[n]`."""
        blocks = over_blocks(self.classifier, lines, OutputLayer.all_scores, self.options)
        return np.concatenate(blocks)[:, 0]

    def _labels(self, lines: bytes, nulls: np.ndarray | None) -> Labels:
        """The labels of lines; nulls have none."""
        blocks = over_blocks(self.classifier, lines, OutputLayer.labels, self.options)
        answers = Labels(*map(np.concatenate, zip(*blocks, strict=True)))
        if nulls is None:
            return answers
        return answers._replace(counts=np.where(nulls, np.int32(0), answers.counts))


def label_columns(label: str | None, has_lists: bool) -> tuple[str, ...]:
    """The usual names of columns of labels and scores, or for the score of one label."""
    if label is not None:
        return ("score",)
    return ("labels", "scores") if has_lists else ("label", "score")


def new_columns(into: Any, usual: tuple[str, ...], most: int, column: str) -> tuple[str, ...]:
    """The names of at most so many new columns, by the argument of a user, beside the texts'."""
    if into is None:
        return usual
    names = (into,) if isinstance(into, str) else into
    if not isinstance(names, tuple | list) or not all(isinstance(x, str) for x in names):
        raise TypeError(f"`into`: expected the name of a column or a pair, got {shown(into)}.")
    if not 1 <= len(names) <= most or len({column, *names}) <= len(names):
        names = counted(most, "name")
        expected = f"at most {names}, which differ from each other and from `column`"
        raise ValueError(f"`into`: expected {expected}, got {into!r}.")
    return tuple(names)
