r"""Labels for a corpus: lines of text, JSON Lines, or tables of Arrow and Parquet.

    text       a line for each line: `__label__en 0.98 __label__de 0.01`, empty without a label
    json       each object with two more fields, NaN and infinity as null; a line of text becomes an
               object of those fields alone
    parquet    the table with two more columns

With `k=1` the fields or columns are `label` and `score`, null without a label; otherwise `labels`
and `scores`, which are lists; and for the score of one label `score` alone. `into` renames them.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np

from ffjax._internal.arguments import check_instance
from ffjax._internal.atomic_write import open_output
from ffjax._internal.extras import needs_extra
from ffjax._internal.file_arguments import check_source
from ffjax._internal.json_lines import to_json
from ffjax._internal.progress import BlockProgress, ignore
from ffjax._internal.warn import warn_user
from ffjax.embeddings.classifier import Classifier
from ffjax.embeddings.document_labels import Settings, new_columns
from ffjax.embeddings.text_file import blocks
from ffjax.kernels.tokenize import LINE_FEED
from ffjax.strings.byte_views import arrow_strings

FORMATS = ("text", "json", "parquet")
_SUFFIXES = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}
_SUFFIXES |= dict.fromkeys((".gz", ".bz2", ".xz", ".zst"), "compressed")
_ENDINGS = {None: ".txt or .jsonl", "text": ".txt", "json": ".jsonl", "parquet": ".parquet"}
_READ_BYTES = 1 << 23
# Rows of a table in memory at a time, fewer if they have more bytes.
_BATCH_ROWS, _BATCH_BYTES = 1 << 13, 1 << 24
# Answers in memory at a time. Each line, however short, takes as much memory as eight more.
_ANSWERS, _LINE_ANSWERS = 1 << 20, 8


def classify_file(
    classifier: Classifier,
    source: Any,
    target: Any,
    *,
    column: str = "text",
    into: str | tuple[str, str] | None = None,
    k: int = 1,
    threshold: float = 0.0,
    restrict: Iterable[str] | None = None,
    renormalize: bool = False,
    min_score: float | None = None,
    label: str | None = None,
    lowercase: bool = False,
    format: str | None = None,
    target_format: str | None = None,
    progress: BlockProgress | None = None,
) -> int:
    r"""Writes the labels of each document of a corpus, in constant memory.

    There is one answer for each document, whatever it contains, in the same order: a line for each
    line of text, and in JSON and Parquet two more fields, `label` and `score`, or the lists
    `labels` and `scores` unless `k` is 1. Line feeds within documents count as spaces. Documents
    that are null have no label.

    A line of JSON Lines that is blank, or not an object, becomes an object of the new fields alone,
    without a label. Documents that are not text have no label either; a warning counts both. An
    object that lacks the field counts as null. Bytes that are not UTF-8 become U+FFFD, also in
    labels, and numbers that JSON lacks, such as NaN and infinity, become null.

    Args:
        classifier: the classifier.
        source: the path of a text with one document in each line, of JSON Lines or of Parquet, by
            the ending of its name; a binary file; or an Arrow table or stream of batches.
        target: the path to write; an existing file is replaced when the new one is complete.
        column: the field or column with the documents.
        into: the names of the new fields or columns; one name leaves out the scores of labels.
        k: the maximum number of labels; -1 for all.
        threshold: the minimum probability of a label.
        restrict: as in `Classifier.predict`.
        renormalize: as in `Classifier.predict`.
        min_score: as in `Classifier.predict`.
        label: a label whose score to write for each document, in `score`, instead of the best;
            options that choose labels are then errors.
        lowercase: whether to change documents to lower case.
        format: `"text"`, `"json"` or `"parquet"`, if the name of `source` does not say.
        target_format: `"json"` for answers to text as JSON Lines, as a name of `target` that ends
            with `.jsonl` also says; otherwise as `format`.
        progress: called after each block with the bytes read and the documents in it.

    Returns:
        The number of documents.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if an option does not fit, the name of `target` says another format, or the
            source holds no JSON objects, lacks the column, or has one of the new ones.
        FormatError: if text or JSON is expected and the source is compressed, a model or a table.
        ImportError: for Parquet and Arrow, if the extra `arrow` is not installed.
        OSError: if a file cannot be read or written.
    """
    check_instance("classifier", classifier, Classifier)
    options = {"restrict": restrict, "renormalize": renormalize, "min_score": min_score}
    settings = Settings.of(classifier, k, threshold, label, lowercase, **options)
    is_arrow = hasattr(source, "__arrow_c_stream__")
    is_path = not is_arrow and check_source(source, target)
    format = format_of(source) if format is None else format
    if is_arrow and format != "parquet":
        raise ValueError(f"`format`: expected None or 'parquet' for Arrow, got {format!r}.")
    ending, expected = _by_ending(target), target_format if format == "text" else format
    if target_format is None:
        target_format = "json" if (format, ending) == ("text", "json") else format
    pair = format, target_format
    if pair not in (*((name, name) for name in FORMATS), ("text", "json")):
        raise ValueError(
            f"`format`, `target_format`: expected one of {', '.join(FORMATS)} for both, or text "
            f"and json, got {format!r} and {target_format!r}."
        )
    if ending not in (None, target_format):
        raise ValueError(
            f"`target`: expected a name that ends with {_ENDINGS[expected]}, since the output has "
            f"the format of the input, or that of `target_format`, got {os.fspath(target)!r}."
        )
    if format == "text" and column != "text":
        raise ValueError(f"`column`: expected none for text, got {column!r}. Leave it out.")
    if target_format == "text" and into is not None:
        raise ValueError(f"`into`: expected none for lines of text, got {into!r}. Leave it out.")
    usual = settings.names
    names = new_columns(into, usual, len(usual), column)
    report = progress or ignore
    with ExitStack() as stack:
        if format == "parquet":
            batches = _arrow_batches(source, is_arrow)
            schema = _new_schema(next(batches), column, dict(zip(names, usual, strict=False)))
            out = stack.enter_context(open_output(target))
            return _write_tables(settings, batches, schema, out, column, report)
        file = stack.enter_context(open(source, "rb")) if is_path else source
        out = stack.enter_context(open_output(target))
        n, n_unread, first_unread = 0, 0, 0
        most = max(1, _ANSWERS // (_LINE_ANSWERS + settings.options.k))
        text = blocks(file, _READ_BYTES, source if is_path else None)
        text = _first_with(column, text) if format == "json" else text
        for block in _few_lines(text, most):
            lines = block if block.endswith(b"\n") else block + b"\n"
            if format == "json":
                rows, numbers = _json_rows(settings, names, lines, column, n)
                answers = list(map(to_json, rows))
                n_unread += len(numbers)
                first_unread = first_unread or min(numbers, default=0)
            elif target_format == "json":
                answers = list(map(to_json, _rows(names, settings.fields(lines))))
            else:
                answers = _text_lines(settings.fields(lines))
            out.write(b"".join(answer.encode() + b"\n" for answer in answers))
            out.flush()  # the reader of a pipe may be waiting for these answers
            n += len(answers)
            report(len(block), len(answers))
    if n_unread:
        lines = f"lines without a JSON object that has text in {column!r} have no label"
        warn_user(f"{lines}: {n_unread}, the first of which is line {first_unread}")
    return n


def format_of(source: Any) -> str:
    """The format of a source by its kind or the ending of its name."""
    if hasattr(source, "__arrow_c_stream__"):
        return "parquet"
    ending = _by_ending(source)
    return ending if ending in FORMATS else "text"


def _by_ending(file: Any) -> str | None:
    """The format that the ending of a path stands for."""
    if not isinstance(file, str | bytes | os.PathLike):
        return None
    suffix = os.path.splitext(os.fsdecode(file))[1].lower()
    return "text" if suffix == ".txt" else _SUFFIXES.get(suffix)


def _few_lines(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Blocks of lines as blocks of at most so many lines."""
    for block in blocks:
        feeds = np.flatnonzero(np.frombuffer(block, np.uint8) == LINE_FEED)
        bounds = [0, *(feeds[most - 1 :: most] + 1).tolist(), len(block)]
        yield from (block[i:j] for i, j in pairwise(bounds) if i < j)


def _first_with(column: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks of JSON Lines, of which a pipe may give a line at a time: the first has the field."""
    head = b""
    for block in blocks:
        head += block
        rows = map(_json_object, block.split(b"\n"))
        if len(head) >= _READ_BYTES or any(column in row for row in rows if row):
            yield head
            yield from blocks
            return
    if head:
        yield head


def _rows(names: tuple[str, ...], fields: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The new fields of each document, as many as there are names."""
    columns = list(fields.values())[: len(names)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _text_lines(fields: dict[str, list[Any]]) -> list[str]:
    """The answers as fastText's command prints them."""
    if list(fields) == ["score"]:
        return [f"{score:.6g}" for score in fields["score"]]
    if "label" in fields:
        pairs = zip(fields["label"], fields["score"], strict=True)
        return ["" if label is None else f"{label} {score:.6g}" for label, score in pairs]
    rows = zip(fields["labels"], fields["scores"], strict=True)
    pairs = (zip(labels, scores, strict=True) for labels, scores in rows)
    return [" ".join(f"{label} {score:.6g}" for label, score in row) for row in pairs]


def _json_rows(
    settings: Settings, names: tuple[str, ...], text: bytes, column: str, first: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """The objects of lines of JSON with the new fields; and which lines hold no text."""
    objects = list(map(_json_object, text.split(b"\n")[:-1]))
    rows = [row or {} for row in objects]
    if not first and text.strip():
        row = next(filter(None, rows), None)
        is_array = text.lstrip().startswith(b"[")
        if row is None or is_array:
            hint = " `jq -c '.[]'` turns an array into lines." if is_array else ""
            expected = "expected a JSON object in each line"
            raise ValueError(f"`source`: {expected}, got {text[:40]!r}.{hint}")
        if not any(column in row for row in rows):
            expected = f"a field of the objects, such as {', '.join(row)}"
            raise ValueError(f"`column`: expected {expected}, got {column!r}.")
    texts = [row.get(column) for row in rows]
    for number, row in enumerate(rows, first + 1):
        if present := row.keys() & set(names):
            raise _taken(present, f"a field in line {number}")
    unread = [
        number
        for number, (row, text) in enumerate(zip(objects, texts, strict=True), first + 1)
        if row is None or not isinstance(text, str | None)
    ]
    fields = settings.fields([text if isinstance(text, str) else None for text in texts])
    return [row | new for row, new in zip(rows, _rows(names, fields), strict=True)], unread


def _taken(names: Iterable[str], what: str) -> ValueError:
    """The error about fields or columns that the new ones would replace."""
    return ValueError(
        f"`into`: expected new names, got {min(names)!r}, which is {what} already. Choose others."
    )


def _json_object(line: bytes) -> dict[str, Any] | None:
    """The object in a line of JSON, `None` if it is something else."""
    try:
        # A byte order mark may precede the first line.
        row = json.loads(line.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _arrow_batches(source: Any, is_arrow: bool) -> Iterator[Any]:
    """Batches of an Arrow table or stream, or of a Parquet file."""
    with needs_extra("arrow", "Arrow data" if is_arrow else "Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    if is_arrow:
        reader = pa.RecordBatchReader.from_stream(source)
        yield reader.schema
        for batch in reader:
            size = _batch_rows(batch.num_rows, batch.nbytes)
            yield from (batch.slice(i, size) for i in range(0, batch.num_rows, size))
        return
    if hasattr(source, "seekable") and not source.seekable():
        expected = "`source`: expected a Parquet file, got a pipe"
        raise ValueError(f"{expected}. Save it to a file first.")
    try:
        file = pq.ParquetFile(source)
    except pa.ArrowInvalid as error:
        raise ValueError(f"`source`: expected a Parquet file, got {source!r} ({error}).") from error
    with file:
        yield file.schema_arrow
        metadata = file.metadata
        groups = map(metadata.row_group, range(metadata.num_row_groups))
        n_bytes = sum(group.total_byte_size for group in groups)
        yield from file.iter_batches(_batch_rows(metadata.num_rows, n_bytes))


def _batch_rows(n_rows: int, n_bytes: int) -> int:
    """How many rows of a table, with so many bytes in all, to take at a time."""
    return min(_BATCH_ROWS, max(1, _BATCH_BYTES * n_rows // max(1, n_bytes)))


def _new_schema(schema: Any, column: str, names: dict[str, str]) -> Any:
    """The columns of a table, and the new ones, by names and the usual names."""
    import pyarrow as pa

    if column not in schema.names:
        expected = f"a column of the table, one of {', '.join(schema.names)}"
        raise ValueError(f"`column`: expected {expected}, got {column!r}.")
    if schema.names.count(column) > 1:
        raise ValueError(f"`column`: expected a single column {column!r}, got several.")
    try:
        arrow_strings(schema.empty_table()[column])
    except TypeError as error:
        kind = schema.field(column).type
        raise ValueError(f"`column`: expected strings in {column!r}, got {kind}.") from error
    new = {"label": pa.string(), "score": pa.float32()}
    new |= {"labels": pa.list_(new["label"]), "scores": pa.list_(new["score"])}
    if taken := names.keys() & set(schema.names):
        raise _taken(taken, "a column")
    for name, usual in names.items():
        schema = schema.append(pa.field(name, new[usual]))
    return schema


def _write_tables(
    settings: Settings,
    batches: Iterator[Any],
    schema: Any,
    out: Any,
    column: str,
    report: BlockProgress,
) -> int:
    """Writes a Parquet file of batches with the new columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in batches:
            new = settings.columns(batch.column(column))[: len(schema) - batch.num_columns]
            writer.write_batch(pa.record_batch([*batch.columns, *new], schema=schema))
            n += batch.num_rows
            report(batch.nbytes, batch.num_rows)
    return n
