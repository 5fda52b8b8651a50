"""What a training program saves with the vectors: counts, labels, the output matrix.

Lookups and searches need none of it. It is kept so that a classifier can be run, and a file be
written back complete.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, Int64, UInt32

from ffjax._internal.arguments import array_of, check_instance
from ffjax._internal.arrays import AnyArray, on_host
from ffjax._internal.file_arguments import counted, wrong_value
from ffjax._internal.pytree import set_fields, value
from ffjax.storage import Storage
from ffjax.strings.string_table import StringTable

# What a snapshot keeps, in its order.
_TREE = (
    "counts", "n_tokens", "labels", "label_counts", "output",
    "word_ngrams", "word_ngram_buckets", "original", "version",
)


@value(static=("version",))
class TrainingState:
    """Counts of words, and for a classifier its labels and output matrix.

    A line's classes follow from the mean of the rows of its words and n-grams, times `output`
    transposed.

    Args:
        counts: how often each word occurred in training, whole numbers `[n_words]`.
        n_tokens: the number of words in the training text, labels included.
        labels: the classes of a classifier.
        label_counts: how often each label occurred, whole numbers `[n_labels]`.
        output: the output matrix; its rows belong to labels, or to words for models of words.
        word_ngrams: the rows of n-grams of words, for a classifier that has those but no n-grams of
            characters. Where it has both, they share the rows of the embeddings' storage.
        word_ngram_buckets: the bucket of each row of `word_ngrams`, whole numbers `[n]`, where
            buckets have been dropped.
        original: the rows of words as they are in the file, where the embeddings' storage has them
            at unit length.
        version: the version of the file.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if there is not one count for each label.

    Examples:
        >>> import ffjax
        >>> training = ffjax.TrainingState([120, 7], n_tokens=127)
        >>> training.counts.tolist(), training.n_tokens, training.labels
        ([120, 7], 127, [])
    """

    # Counts have 64 bits, arrays on a device 32: two halves, the lower one first.
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
        if not isinstance(labels, StringTable):
            labels = StringTable.from_strings(labels or [])
        if label_counts is None:
            label_counts = np.zeros(len(labels), np.int64)
        if (buckets := word_ngram_buckets) is not None:
            what = "the bucket of each row of `word_ngrams`"
            buckets = array_of("word_ngram_buckets", buckets, jnp.integer, what, (None,))
        arrays = {
            "count_halves": _halves("counts", counts),
            "label_count_halves": _halves("label_counts", label_counts),
            "token_halves": _halves("n_tokens", [n_tokens])[0],
            "label_table": labels,
            "word_ngram_buckets": buckets,
        }
        if len(label_counts) != len(labels):
            raise wrong_value("label_counts", f"{len(labels)}, one a label", len(label_counts))
        storages = {"output": output, "word_ngrams": word_ngrams, "original": original}
        for name, storage in storages.items():
            check_instance(name, storage, Storage, optional=True)
        set_fields(self, **jax.device_put(arrays), **storages, version=version)

    @property
    def n_words(self) -> int:
        """The number of words with a count."""
        return self.count_halves.shape[0]

    @property
    def counts(self) -> Int64[np.ndarray, " n_words"]:
        """How often each word occurred in training."""
        return _joined(self.count_halves)

    @property
    def label_counts(self) -> Int64[np.ndarray, " n_labels"]:
        """How often each label occurred in training."""
        return _joined(self.label_count_halves)

    @property
    def n_tokens(self) -> int:
        """The number of words in the training text."""
        return int(_joined(self.token_halves))

    @property
    def labels(self) -> list[str]:
        """The classes of a classifier, in the order of the rows of `output`."""
        return list(self.label_table.strings)

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        return {name: getattr(self, name) for name in _TREE} | {"labels": self.label_table}

    @classmethod
    def from_tree(cls, tree: Any) -> "TrainingState":
        """The training state of a tree."""
        storages = ("output", "word_ngrams", "original")
        return tree.made(
            cls,
            tree.array("counts", 1, "int64"),
            n_tokens=tree.whole("n_tokens"),
            labels=tree.strings("labels"),
            label_counts=tree.array("label_counts", 1, "int64"),
            word_ngram_buckets=tree.maybe(
                "word_ngram_buckets", lambda name: tree.array(name, 1, "int32")
            ),
            version=tree.whole("version"),
            **{name: tree.maybe(name, tree.storage) for name in storages},
        )

    def __repr__(self) -> str:
        labels = f", {len(self.label_table)} labels" if len(self.label_table) else ""
        output = "" if self.output is None else f", output {self.output!r}"
        return f"TrainingState({self.n_words} counts{labels}{output})"


def _halves(name: str, numbers: Any) -> np.ndarray:
    array = np.asarray(numbers)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        got = f"{counted(array.ndim, 'dimension')} of {array.dtype}"
        raise TypeError(f"`{name}`: expected whole numbers, got {got}.")
    return np.ascontiguousarray(array, "<i8").view("<u4").reshape(-1, 2)


def _joined(halves: Any) -> np.ndarray:
    return np.ascontiguousarray(on_host(halves), "<u4").view("<i8")[..., 0]
