"""What a training program leaves beside the vectors: counts, labels, the output matrix.

Lookups and searches need none of it. It is kept so that a classifier can be run, and a file be written back whole.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Int32, Int64, UInt32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import equal, value
from ffjax.storage import Storage
from ffjax.strings.string_table import StringTable


@value(static=("version",))
class TrainingState:
    """Counts of words, and for a classifier its labels and output matrix.

    A line's classes follow from the mean of the rows of its words and n-grams, times `output` transposed.

    Args:
        counts: how often each word occurred in training, whole numbers `[n_words]`.
        n_tokens: how many words the training text had, labels included.
        labels: what a classifier chooses from.
        label_counts: how often each label occurred, whole numbers `[n_labels]`.
        output: the output matrix; its rows belong to labels, for models of words to words.
        word_ngrams: the rows of n-grams of words, for a classifier that has those but no n-grams of characters. Where
            it has both they share the rows of the embeddings' storage.
        word_ngram_buckets: the bucket behind each row of `word_ngrams`, whole numbers `[n]`, where buckets have been
            dropped.
        original: the rows of words as they are in the file, where the embeddings' storage has them at unit length.
        version: the version of the file.

    Raises:
        TypeError: an argument is of another type.
        ValueError: there is not one count for each label.

    Examples:
        >>> import ffjax
        >>> training = ffjax.TrainingState([120, 7], n_tokens=127)
        >>> training.counts.tolist(), training.n_tokens, training.labels
        ([120, 7], 127, [])
    """

    # Counts have 64 bits, which arrays on a device do not: two halves, the lower one first.
    count_halves: UInt32[AnyArray, "n_words 2"]
    label_count_halves: UInt32[AnyArray, "n_labels 2"]
    token_halves: UInt32[AnyArray, "2"]
    label_table: StringTable
    output: Storage | None
    word_ngrams: Storage | None
    word_ngram_buckets: Int32[AnyArray, " n"] | None
    original: Storage | None
    version: int

    def __init__(
        self,
        counts: Any,
        *,
        n_tokens: int = 0,
        labels: StringTable | list[str] | None = None,
        label_counts: Any = None,
        output: Storage | None = None,
        word_ngrams: Storage | None = None,
        word_ngram_buckets: Any = None,
        original: Storage | None = None,
        version: int = 12,
    ) -> None:
        table = labels if isinstance(labels, StringTable) else StringTable.from_strings(labels or [])
        label_counts = np.zeros(len(table), np.int64) if label_counts is None else label_counts
        halves = {
            "count_halves": _halves("counts", counts),
            "label_count_halves": _halves("label_counts", label_counts),
            "token_halves": _halves("n_tokens", [n_tokens])[0],
        }
        if len(halves["label_count_halves"]) != len(table):
            raise ValueError(f"`label_counts`: expected {len(table)}, one a label, got {len(label_counts)}.")
        for name, storage in (("output", output), ("word_ngrams", word_ngrams), ("original", original)):
            if not isinstance(storage, Storage | None):
                raise TypeError(f"`{name}`: expected a storage or None, got {type(storage).__name__}.")
            object.__setattr__(self, name, storage)
        buckets = None if word_ngram_buckets is None else np.asarray(word_ngram_buckets, np.int32)
        for name, value in jax.device_put({**halves, "label_table": table, "word_ngram_buckets": buckets}).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "version", version)

    @property
    def n_words(self) -> int:
        """How many words have a count."""
        return self.count_halves.shape[0]

    @property
    def counts(self) -> Int64[np.ndarray, " n_words"]:
        """How often each word occurred in training."""
        return _whole(self.count_halves)

    @property
    def label_counts(self) -> Int64[np.ndarray, " n_labels"]:
        """How often each label occurred in training."""
        return _whole(self.label_count_halves)

    @property
    def n_tokens(self) -> int:
        """How many words the training text had."""
        return int(_whole(self.token_halves))

    @property
    def labels(self) -> list[str]:
        """What a classifier chooses from, in the order of the rows of `output`."""
        return self.label_table.strings

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainingState):
            return NotImplemented
        # Tables compare by their strings, not by the capacity of their buffers, so not all parts by `equal`.
        names = [name for name in self.__dataclass_fields__ if name != "label_table"]
        same = all(equal(getattr(self, name), getattr(other, name)) for name in names)
        return same and self.label_table == other.label_table

    def __repr__(self) -> str:
        labels = f", {len(self.label_table)} labels" if len(self.label_table) else ""
        output = "" if self.output is None else f", output {self.output!r}"
        return f"TrainingState({self.count_halves.shape[0]} counts{labels}{output})"


def _halves(name: str, numbers: Any) -> np.ndarray:
    array = np.asarray(numbers)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"`{name}`: expected whole numbers, got {array.ndim} dimensions of {array.dtype}.")
    return np.ascontiguousarray(array, "<i8").view("<u4").reshape(-1, 2)


def _whole(halves: Any) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(halves), "<u4").view("<i8")[..., 0]
