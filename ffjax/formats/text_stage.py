"""`TextStage`: texts to vectors or labels inside the engines that run over a corpus."""

import os
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from ffjax._internal.arguments import check_flag, check_word
from ffjax._internal.extras import needs_extra
from ffjax._internal.file_arguments import check_choice, shown
from ffjax.embeddings.document_labels import Settings, label_columns, new_columns
from ffjax.embeddings.text import embed_text
from ffjax.formats.fasttext.classifier import load_classifier
from ffjax.formats.load import load
from ffjax.formats.model2vec.reader import load_static_model
from ffjax.kernels.pool import POOLINGS
from ffjax.strings.byte_views import arrow_strings

_LABEL_OPTIONS = "k threshold restrict renormalize min_score label lowercase"
# The kinds of files: their reader, and the options that go with them.
_KINDS: dict[str, tuple[Any, str]] = {
    "pooling": (load, "weights unnormalize lowercase strip_punctuation"),
    "classifier": (load_classifier, _LABEL_OPTIONS),
    "model": (load_static_model, "normalize max_length unknown"),
}
_MOST_FILES = 4
_opening = Lock()


class TextStage:
    """Adds vectors or labels of texts to batches of columns, in any engine.

    A stage holds only its settings, so that it can be pickled and sent to workers. Its first call
    in a process opens the file, which all stages in the process share. "Corpora in Ray, Spark,
    Dask, datasets, datatrove" in the documentation has a recipe for each engine.

    A batch is an Arrow table, a record batch, or a dictionary of columns. Text is read from Arrow's
    buffers, without Python strings. The vector of a null is that of an empty text, zeros, with a
    count of 0; its label is null.

    Args:
        path: a file that `load`, `load_classifier` or `load_static_model` reads. Each worker opens
            it by this name.
        column: the column with the texts.
        into: the name of the new column; or a pair of names, of vectors and how many words counted,
            or of labels and their scores. By default `"vector"` for vectors, `("label", "score")`
            for labels, `("labels", "scores")` for lists of labels, and `"score"` for the score of
            one label.
        pooling: for embeddings, as in `embed_text`; `"mean"` by default.
        classifier: whether the file is a fastText classifier.
        model: whether it is a static model.
        mmap: whether to map the file, so that processes share its memory.
        **options: for embeddings `weights`, `unnormalize`, `lowercase` and `strip_punctuation`, as
            in `embed_text`; for a classifier `k`, `threshold`, `restrict`, `renormalize`,
            `min_score`, `label` and `lowercase`, as in `classify_file`; for a static model
            `normalize`, `max_length` and `unknown`, as in `StaticModel.encode`.

    Raises:
        TypeError: if an argument is of another type, or the kind of file has no such option.
        ValueError: if more than one kind is chosen, the pooling is unknown, or names repeat.

    Examples:
        >>> import ffjax, pathlib, pyarrow as pa, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "demo.fifu"
        >>> ffjax.demo().write(path)
        >>> stage = ffjax.TextStage(path, into=("vector", "words"))
        >>> table = stage(pa.table({"text": ["a cup of tea", None]}))
        >>> str(table.schema.field("vector").type)
        'fixed_size_list<item: float>[100]'
        >>> table["words"].to_pylist()
        [3, 0]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        column: str = "text",
        into: str | tuple[str, str] | None = None,
        pooling: str | None = None,
        classifier: bool = False,
        model: bool = False,
        mmap: bool = True,
        **options: Any,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"`path`: expected a path, got {shown(path)}.")
        choices = {
            "pooling": pooling is not None,
            "classifier": check_flag("classifier", classifier),
            "model": check_flag("model", model),
        }
        chosen = [name for name, choice in choices.items() if choice]
        if len(chosen) > 1:
            names = ", ".join(f"`{name}`" for name in chosen)
            expected = "expected one of them, which says what the file is"
            raise ValueError(f"{names}: {expected}, got {len(chosen)}.")
        self.kind = chosen[0] if chosen else "pooling"
        names = _KINDS[self.kind][1].split()
        if unknown := sorted(options.keys() - set(names)):
            expected = f"some of {', '.join(names)} for `{self.kind}`"
            raise TypeError(f"`options`: expected {expected}, got {', '.join(unknown)}.")
        if self.kind == "pooling":
            pooling = "mean" if pooling is None else pooling
            options["pooling"] = check_choice("pooling", pooling, POOLINGS)
        check_word("column", column, what="the name of a column")
        self.path, self.column, self.options = os.fspath(path), column, options
        self.mmap = check_flag("mmap", mmap)
        usual, label = ("vector",), options.get("label")
        if self.kind == "classifier":
            usual = label_columns(label, has_lists=options.get("k", 1) != 1)
        self.into = new_columns(into, usual, 2 if label is None else 1, column)

    def __call__(self, batch: Any) -> Any:
        """The batch with the new columns.

        Args:
            batch: an Arrow table or record batch, or a dictionary of columns: lists or arrays of
                NumPy.

        Returns:
            The same kind. In tables, vectors are a `FixedSizeList` of float32. In dictionaries,
            the new columns are arrays of NumPy, vectors `[n, dims]`; or lists, if the column of the
            texts is one.

        Raises:
            FormatError: if the file is in another format.
            ImportError: if the extra `arrow` is not installed.
            OSError: if the file cannot be read.
            TypeError: if the batch or its column is of another type.
            ValueError: if the column is missing, or one of the new ones exists.
        """
        with needs_extra("arrow", "`TextStage`"):
            import pyarrow as pa
        is_dict = isinstance(batch, Mapping)
        if not is_dict and not isinstance(batch, pa.Table | pa.RecordBatch):
            expected = "an Arrow table, a record batch, or a dictionary of columns"
            raise TypeError(f"`batch`: expected {expected}, got {type(batch).__name__}.")
        names = list(batch) if is_dict else batch.schema.names
        if names.count(self.column) != 1:
            expected = f"one column {self.column!r} in the batch"
            raise ValueError(f"`column`: expected {expected}, got the columns {', '.join(names)}.")
        if present := sorted(set(self.into) & set(names)):
            raise ValueError(
                f"`into`: expected new names, got {', '.join(present)}, which the batch has. "
                "Choose other names, or rename the columns."
            )
        texts = batch[self.column]
        answers = self._answers(pa.array(texts, from_pandas=True) if is_dict else texts)
        convert = _to_list if isinstance(texts, list) else np.asarray if is_dict else _to_arrow
        columns = zip(self.into, map(convert, answers), strict=True)
        if is_dict:
            return {**batch, **dict(columns)}
        for name, column in columns:
            batch = batch.append_column(name, column)
        return batch

    def _answers(self, texts: Any) -> tuple[Any, ...]:
        """The new columns: arrays of NumPy or of Arrow."""
        texts = arrow_strings(texts, self.column)
        with _opening:  # once in a process, by one of several threads
            value = _open(self.kind, self.path, self.mmap)
        if self.kind == "classifier":
            answers = Settings.of(value, **self.options).columns(texts)
        elif self.kind == "model":
            answers = value.embed_lines(texts, **self.options)
        else:
            answers = embed_text(value, texts, **self.options)
        return tuple(answers[: len(self.into)])

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"TextStage({self.path!r}, column={self.column!r}, into={self.into}{options})"


@lru_cache(_MOST_FILES)
def _open(kind: str, path: str, mmap: bool) -> Any:
    return _KINDS[kind][0](path, mmap=mmap)


def _to_arrow(answer: Any) -> Any:
    import pyarrow as pa

    if not isinstance(answer, np.ndarray) or answer.ndim == 1:
        return pa.array(answer)
    return pa.FixedSizeListArray.from_arrays(answer.ravel(), answer.shape[1])  # the same memory


def _to_list(answer: Any) -> list[Any]:
    """A list, of vectors as arrays of NumPy."""
    return list(answer) if getattr(answer, "ndim", 1) == 2 else answer.tolist()
