"""`Classifier`: a fastText classifier, with `str` in and labels or NumPy arrays out."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float32

from ffjax._internal.arguments import check_instance
from ffjax._internal.arrays import padded_size
from ffjax._internal.cpus import map_blocks, n_cpus
from ffjax._internal.names_elsewhere import missing_attribute, names_elsewhere
from ffjax._internal.pytree import set_fields, value
from ffjax.embeddings.classifier_figures import ClassifierTest, count_hits
from ffjax.embeddings.hidden_layer import HiddenLayer
from ffjax.embeddings.output_layer import Options, OutputLayer, check_model, label_number, lists_of
from ffjax.embeddings.text_file import blocks
from ffjax.embeddings.value import Embeddings
from ffjax.functional.classify import Labels
from ffjax.kernels.label_scores import HIERARCHICAL, LabelTree
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.tokenize import LABEL_PREFIX
from ffjax.kernels.tokenize_numpy import line_bounds
from ffjax.storage import Storage
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import StringTable
from ffjax.strings.text import as_lines
from ffjax.vocab.ngrams import FastTextIndexer, PrunedIndexer

A = TypeVar("A")

# Bytes of text in a block, and the fewest that are worth another thread.
_BLOCK_BYTES, _THREAD_BYTES = 1 << 19, 1 << 17
_MOST_ORDER = 255


@value(static=("loss", "word_ngrams", "n_buckets", "width"))
class Classifier:
    """A fastText classifier: an immutable value, and a pytree that JAX functions take.

    Methods take text and answer on the host, with fastText's own numbers; nothing is compiled.
    `classify` answers in compiled code.

    Args:
        embeddings: the embeddings of a supervised model as `load_classifier` reads them: their rows
            are those of the file, and `training` has the labels and the output matrix.

    Raises:
        TypeError: if `embeddings` is not an `Embeddings`.
        ValueError: if it has no labels, or rows of words at unit length; or if the output matrix
            does not have one row for each label, or has NaN or infinity in a row.

    Examples:
        >>> import ffjax
        >>> ffjax.Classifier(ffjax.demo())
        Traceback (most recent call last):
        ValueError: `embeddings`: expected a supervised fastText model with labels, got ...
    """

    embeddings: Embeddings
    label_index: HashTable
    # Which n-grams of words have rows, in a pruned model without n-grams of characters.
    pruned_words: PrunedIndexer | None
    tree: LabelTree | None
    loss: str
    word_ngrams: int
    n_buckets: int
    # Bytes of words and labels that compiled code compares.
    width: int

    def __init__(self, embeddings: Embeddings) -> None:
        check_instance("embeddings", embeddings, Embeddings)
        check_model(embeddings)
        training: Any = embeddings.training
        metadata = embeddings.metadata or {}
        order, n_buckets = metadata.get("word_ngrams", 1), metadata.get("buckets", 0)
        if order > _MOST_ORDER:
            raise ValueError(
                f"`word_ngrams`: expected at most {_MOST_ORDER} words in an n-gram, got {order}."
            )
        loss = metadata.get("loss", "Softmax")
        labels = training.label_table
        index = HashTable.build(labels.host_data, labels.host_offsets, what="labels")
        tree = LabelTree.build(training.label_counts) if loss == HIERARCHICAL else None
        pruned, buckets = None, training.word_ngram_buckets
        if buckets is not None and order > 1:
            pruned = PrunedIndexer(FastTextIndexer(max(n_buckets, 1)), np.asarray(buckets))
        set_fields(self, embeddings=embeddings, **jax.device_put({"label_index": index}))
        settings = {"loss": loss, "word_ngrams": order, "n_buckets": n_buckets}
        # Other labels are known by their prefix.
        bare = [x for x in map(encode_word, labels) if not x.startswith(LABEL_PREFIX)]
        longest = padded_size(max(map(len, bare), default=0), 16)
        settings["width"] = min(max(embeddings.storage.width, longest, 16), 256)  # type: ignore
        set_fields(self, pruned_words=pruned, tree=tree, **settings)
        n_rows = len(self.ngram_rows or ())
        if order > 1 and n_rows != n_buckets and self.ngram_buckets is None:
            expected = f"{n_buckets} rows for the n-grams of up to {order} words"
            raise ValueError(f"`embeddings`: expected {expected}, got {n_rows}.")

    @property
    def output(self) -> Storage:
        """The output matrix: a row for each label, or for each node of the tree."""
        return self.embeddings.training.output  # type: ignore[union-attr, return-value]

    @property
    def label_table(self) -> StringTable:
        """The labels in the order of their numbers."""
        return self.embeddings.training.label_table  # type: ignore[union-attr]

    @property
    def labels(self) -> list[str]:
        """The labels, with their prefix, in the order of their numbers."""
        return list(self.label_table.strings)

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each label."""
        return {label: number for number, label in enumerate(self.label_table)}

    @property
    def ngram_rows(self) -> Storage | None:
        """The rows of n-grams, of characters and of words."""
        rows = self.embeddings.storage.ngrams  # type: ignore[attr-defined]
        return self.embeddings.training.word_ngrams if rows is None else rows  # type: ignore

    @property
    def ngram_buckets(self) -> PrunedIndexer | None:
        """Which buckets of n-grams have rows, if some were pruned."""
        indexer = self.embeddings.vocab.subword_indexer or self.pruned_words
        return None if indexer is None or indexer.hashing is indexer else indexer

    def label_numbers(self, labels: Iterable[str]) -> list[int]:
        """The numbers of labels, with or without the prefix `__label__`, ascending."""
        return Options.of(self.numbers, restrict=labels).columns.tolist()  # type: ignore

    def predict(
        self,
        texts: Any,
        k: int = 1,
        threshold: float = 0.0,
        on_unicode_error: str = "strict",
        *,
        restrict: Iterable[str] | None = None,
        renormalize: bool = False,
        min_score: float | None = None,
        lowercase: bool = False,
        newline: str = "error",
    ) -> tuple[Any, Any]:
        r"""The best labels of texts and their scores, as `fasttext.predict` answers them.

        Scores are fastText's: the probability plus 1e-5, which may be more than 1. Equal scores
        come with the larger number of a label first.

        A text is one line that ends with the word `</s>`, for which models have a row. So an empty
        text has an answer, the same as one of unknown words. The word `</s>` within a text ends it,
        and unknown words that begin with `__label__` are skipped.

        Args:
            texts: one `str` or `bytes`, or many: in a list, a NumPy array, or Arrow strings, of
                which nulls are empty texts.
            k: the maximum number of labels; -1 for all. Hierarchical softmax leaves out labels
                below 1e-5, as in fastText, unless `threshold` < 0 or `restrict` is given.
            threshold: the minimum probability of a label.
            on_unicode_error: for labels that are not UTF-8: `errors` of `bytes.decode`.
            restrict: labels to choose from, with or without the prefix `__label__`.
            renormalize: whether probabilities of the labels of `restrict` are to sum to 1; for
                models with softmax, hierarchical or not. They are then not raised by 1e-5.
            min_score: the minimum score of the best label; texts below get no labels.
            lowercase: whether to change texts to lower case.
            newline: what to do with line feeds in texts: `"error"` raises an error, as fastText
                does; `" "` replaces them with spaces; `""` removes them.

        Returns:
            `(labels, scores)`. For one text a tuple of `str`, and float64 `[n]`; for many a list of
            lists, and a list of float32 arrays.

        Raises:
            TypeError: if a text is neither `str` nor `bytes`.
            ValueError: if a text has a line feed, `k` is 0 or below -1, a label of `restrict` is
                unknown, `renormalize` does not fit the loss, or an argument is invalid.
            UnicodeDecodeError: if a label is not UTF-8.

        Examples:
            >>> import ffjax
            >>> lid = ffjax.load_classifier("lid.176.ftz")  # doctest: +SKIP
            >>> lid.predict("bonjour tout le monde")  # doctest: +SKIP
            (('__label__fr',), array([0.99...]))
        """
        options = Options.of(self.numbers, k, threshold, restrict, renormalize, min_score)

        def answer(*block: Any) -> tuple[list[list[str]], list[np.ndarray]]:
            return self._named(OutputLayer.labels(*block), on_unicode_error)

        is_one = isinstance(texts, str | bytes)
        to_lines = partial(as_lines, lowercase=lowercase, newline=newline)
        blocks = over_blocks(self, [texts] if is_one else texts, answer, options, to_lines)
        names, scores = (list(chain.from_iterable(lists)) for lists in zip(*blocks, strict=True))
        return (tuple(names[0]), scores[0].astype(np.float64)) if is_one else (names, scores)

    def probabilities(
        self,
        texts: Any,
        *,
        restrict: Iterable[str] | None = None,
        renormalize: bool = False,
        lowercase: bool = False,
        newline: str = "error",
    ) -> Float32[np.ndarray, "*n labels"]:
        """The scores of all labels, as `predict` gives them, none left out.

        Args:
            texts: as for `predict`, like the other arguments.
            restrict: the labels to give, in the order of `labels`.
            renormalize: whether they are to sum to 1.
            lowercase: whether to change texts to lower case.
            newline: what to do with line feeds.

        Returns:
            float32 `[n, labels]`, or `[labels]` for one text; zeros for a text without features,
            which a model without the word `</s>` may have.
        """
        options = Options.of(self.numbers, restrict=restrict, renormalize=renormalize)
        is_one = isinstance(texts, str | bytes)
        to_lines = partial(as_lines, lowercase=lowercase, newline=newline)
        texts = [texts] if is_one else texts
        matrix = np.concatenate(over_blocks(self, texts, OutputLayer.all_scores, options, to_lines))
        return matrix[0] if is_one else matrix

    def score(
        self, texts: Any, label: str, *, lowercase: bool = False, newline: str = "error"
    ) -> Any:
        """The score of one label for each text, as `predict` gives it, even if others are better.

        Args:
            texts: as for `predict`.
            label: the label, with or without the prefix `__label__`.
            lowercase: as for `predict`.
            newline: as for `predict`.

        Returns:
            float32 `[n]`, or a `float` for one text.
        """
        label = self.label_table[label_number(self.numbers, label, "label")]
        scores = self.probabilities(texts, restrict=[label], lowercase=lowercase, newline=newline)
        return float(scores[0]) if isinstance(texts, str | bytes) else scores[:, 0]

    def _named(self, answers: Labels, on_unicode_error: str) -> tuple[list[Any], list[np.ndarray]]:
        """The names of labels, and their scores, for each text."""
        names, raw = self._names, self.label_table.raw
        if names is None:
            names = np.full(len(self.label_table), "", object)
            try:
                for i in {*answers.ids.ravel().tolist()} - {-1}:
                    names[i] = raw(i).decode("utf-8", on_unicode_error)
            except UnicodeDecodeError as error:
                error.reason += f' of label {error.object!r}; `on_unicode_error="replace"` reads it'
                raise
        return lists_of(names, answers)

    def test(
        self, path: str | os.PathLike[str], k: int = 1, threshold: float = 0.0
    ) -> ClassifierTest:
        """Precision and recall over a file of labelled lines, as `fasttext.test` gives them.

        A line counts if it has a label that the classifier knows, and features. Each ends with
        `</s>`; fastText adds none to a last line without a line feed, and lets one begin a line.

        Args:
            path: text in fastText's form, `__label__tea a cup of tea`.
            k: the maximum number of labels to predict for a line; -1 for all.
            threshold: the minimum probability of a label.

        Raises:
            ValueError: if `k` is 0 or below -1, or the file is compressed, a model or a table.
            OSError: if the file cannot be read.
        """
        options = Options.of(self.numbers, k, threshold)
        with open(path, "rb") as file:
            texts = (text.removesuffix(b"\n") + b"\n" for text in blocks(file, _BLOCK_BYTES, path))
            counts = (over_blocks(self, text, count_hits, options) for text in texts)
            return ClassifierTest.of(self.label_table.strings, chain.from_iterable(counts))

    @cached_property
    def _hidden(self) -> HiddenLayer:
        return HiddenLayer(self)

    @cached_property
    def _output(self) -> OutputLayer:
        return OutputLayer(self)

    @cached_property
    def _names(self) -> np.ndarray | None:
        """The names of labels by number, or `None` if some are not UTF-8."""
        table = self.label_table
        return np.array(table.strings, object) if table.first_invalid() is None else None

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute
        def __getattr__(self, name: str) -> Any:
            return missing_attribute(self, name, names_elsewhere()[3].get(name))

    def __repr__(self) -> str:
        ngrams = f", n-grams of {self.word_ngrams} words" if self.word_ngrams > 1 else ""
        n_labels = len(self.label_table)
        return f"Classifier({n_labels} labels, {self.loss}{ngrams}, {self.embeddings!r})"


def over_blocks(
    classifier: Classifier,
    text: Any,
    answer: Callable[..., A],
    options: Options,
    to_lines: Callable[[Any], bytes] = bytes,
) -> list[A]:
    """`answer(output_layer, lines, options)` for blocks of lines or of texts, in order."""
    output, hidden = classifier._output, classifier._hidden  # once, before there are threads
    if not isinstance(text, bytes | list | tuple):
        text, to_lines = to_lines(text), bytes

    def run(block: Any) -> A:
        try:
            lines = to_lines(block)
        except (TypeError, ValueError):
            to_lines(text)  # whose error has the number of the text among all
            raise
        return answer(output, hidden.lines(lines), options)

    return map_blocks(run, _blocks(text))


def _blocks(text: bytes | list[Any] | tuple[Any, ...]) -> list[Any]:
    """Lines, or texts, in blocks for threads to share."""
    is_text = isinstance(text, bytes)
    try:
        ends = np.cumsum([len(text)] if is_text else np.fromiter(map(len, text), np.int64))
    except TypeError:
        return [text]  # the error names the text that has no length
    n_bytes, n_threads = int(ends.max(initial=0)), n_cpus()
    n_blocks = n_threads * (n_bytes // (n_threads * _BLOCK_BYTES) + 1)
    size = max(_THREAD_BYTES, -(-n_bytes // n_blocks))
    if is_text:
        bounds = line_bounds(np.frombuffer(text, np.uint8), size)
    else:
        cuts = np.flatnonzero(np.diff((ends - 1) // size)) + 1
        bounds = [0, *cuts.tolist(), len(text)]
    return [text[i:j] for i, j in pairwise(bounds)] or [text]
