"""The words of tables: columns, arrays, and files of words, one a line."""

from typing import Any

import numpy as np

from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.io.streams import open_source, open_stream
from ffjax.formats.registry import by_head
from ffjax.formats.tables.arrow import FORMATS as ARROW_FORMATS
from ffjax.formats.tables.arrow import ArrowTable, import_pyarrow, open_arrow, row_error
from ffjax.formats.tables.named_arrays import NamedArrays
from ffjax.formats.tables.npy import Array, read_npy
from ffjax.strings.byte_views import byte_views
from ffjax.strings.string_table import StringTable


def column_words(batch: Any, table: ArrowTable, first: int) -> StringTable:
    """The words of a batch that begins with row `first`."""
    pa = import_pyarrow()
    column = batch.column(table.words)
    if pa.types.is_dictionary(column.type):
        column.validate(full=True)
        column = column.cast(column.type.value_type)
    # As bytes, of which Arrow checks the bounds, and not whether they are UTF-8.
    column = column.cast(pa.binary() if column.type == pa.string() else pa.large_binary())
    column.validate(full=True)
    if column.null_count:
        i = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise row_error(table, first + i, "a word", "null", table.words)
    return _joined(column)


def _joined(strings: Any) -> StringTable:
    views = byte_views(strings)
    from_spans = StringTable.from_spans
    return StringTable.concat([from_spans(x.data, x.starts, x.starts + x.lengths) for x in views])


def array_words(arrays: NamedArrays, file: Any) -> StringTable:
    """The words of a file of arrays, which has some."""
    assert arrays.words is not None
    if arrays.offsets is None:
        return _array_words(arrays.words)
    try:
        return StringTable.from_buffer(arrays.words.view(), arrays.offsets.view())
    except ValueError as error:
        expected, got = "where each word begins", str(error)
        raise FormatError(file, field="words.offsets", expected=expected, got=got) from error


def _array_words(array: Array) -> StringTable:
    try:
        return _joined(array.view())
    except ValueError as error:  # code points that do not exist
        name, expected = array.source.name, "strings"
        raise FormatError(name, field="words", expected=expected, got=str(error)) from error


def read_words(file: Any) -> StringTable:
    r"""The words of a file: one a line, an array of strings (`.npy`), or a column of a table.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.txt"
        >>> _ = path.write_bytes(b"one\r\ntwo\r\n")
        >>> read_words(path).strings
        ['one', 'two']
    """
    with open_stream(file) as stream:
        format = by_head(stream.head(8))
        with open_source(stream) as source:
            if format is None or format.name not in ("npy", *ARROW_FORMATS):
                return _lines(source)
            if format.name == "npy":
                return _array_words(_strings(read_npy(source)))
            table = open_arrow(source, format.name, has_vectors=False)
            return StringTable.concat([column_words(batch, table, 0) for batch in table.batches()])


def _strings(array: Array) -> Array:
    if len(array.shape) != 1 or array.dtype.kind not in "SU":
        name, expected = array.source.name, "one dimension of strings"
        raise FormatError(name, field="shape", expected=expected, got=str(array))
    return array


def _lines(source: ByteSource) -> StringTable:
    data = source.view(0, len(source))
    ends = np.flatnonzero(data == ord("\n"))
    if len(data) and data[-1] != ord("\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    if len(ends) and (ends > starts).all() and (data[ends - 1] == ord("\r")).all():
        ends = ends - 1
    return StringTable.from_spans(data, starts, ends)
