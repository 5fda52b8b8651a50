"""Words and vectors in the columns of Parquet and Arrow files.

    word      string                         one column of strings
    vector    fixed_size_list<float>[dims]   a column of lists, or a column of floats each
    norm      float                          the norms before vectors were scaled, if there are any

    metadata of the schema: `ffjax.version`, if ffjax wrote the file, and `ffjax.metadata`, which is
    a TOML document

Columns of other names are found by their types. Arrow's files (`ARROW1`; Feather's version 2 is the
same) and streams are described at https://arrow.apache.org/docs/format/Columnar.html, Parquet at
https://parquet.apache.org/docs/file-format/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.extras import require_arrow
from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource, File
from ffjax.formats.io.compression import ALLOWANCE_BYTES, RATIO
from ffjax.formats.tables.columns import Batch, Named

VERSION_KEY, METADATA_KEY = b"ffjax.version", b"ffjax.metadata"
FORMATS = ("parquet", "arrow", "arrow-stream")
_BLOCK_BYTES = 1 << 22
# Types by their names.
_STRINGS = ("string", "large_string", "string_view")
_FLOATS = ("halffloat", "float", "double")
_NUMBERS = (*_FLOATS, *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_LISTS = ("list<", "large_list<", "fixed_size_list<")


class ArrowTable(NamedTuple):
    """An open file, and the columns that hold words and vectors."""

    source: ByteSource
    format: str
    words: str | None  # `None` if words come from elsewhere
    vectors: list[str]
    norms: str | None
    dims: int
    dtype: str
    n_rows: int
    toml: str | None  # the metadata
    is_exact: bool  # whether ffjax wrote the file: vectors and norms are to be read as they are

    @property
    def n_words(self) -> int:
        """The number of words, one for each vector."""
        return self.n_rows

    def batches(self, n_rows: int) -> Iterator[Batch]:
        """The first rows in batches of a few megabytes."""
        names = [name for name in (self.words, *self.vectors, self.norms) if name is not None]
        step, first = max(1, _BLOCK_BYTES // max(4 * self.dims, 1)), 0
        with arrow_errors(self.source.name, self.format):
            for data in _read_batches(self.source, self.format, names, step):
                for start in range(0, data.num_rows, step):
                    batch = data.slice(start, min(step, n_rows - first))
                    words = None if self.words is None else self._words(batch, first)
                    norms = None if self.norms is None else batch.column(self.norms).to_numpy()
                    yield Batch(first, words, self._matrix(batch, first), norms)
                    self.source.release_pages(0, len(self.source))
                    first += batch.num_rows
                    if first == n_rows:
                        return
            if first < n_rows:
                raise self._error(first, "a row", "the end of the file")

    def map(self) -> np.ndarray | None:
        """The vectors as a memory map, if an Arrow file has them as floats in one batch."""
        if self.format == "parquet" or len(self.vectors) > 1 or not self.source.mappable:
            return None
        with arrow_errors(self.source.name, self.format):
            batches = _read_batches(self.source, self.format, self.vectors, self.n_rows)
            batches = [batch for batch in batches if batch.num_rows]
            if len(batches) != 1 or self.dtype not in ("float32", "float16") or not self.dims:
                return None
            rows = self._matrix(batches[0], 0)
        start = rows.ctypes.data - self.source.view(0, 1).ctypes.data
        is_in_file = 0 <= start <= len(self.source) - rows.nbytes  # not decompressed
        return self.source.map(start, rows.shape, rows.dtype) if is_in_file else None

    def _words(self, batch: Any, first: int) -> Any:
        """The words of a batch that begins with row `first`."""
        import pyarrow as pa

        column = batch.column(self.words)
        if pa.types.is_dictionary(column.type):
            column.validate(full=True)
            column = column.cast(column.type.value_type)
        # As bytes, of which Arrow checks the bounds, and not whether they are UTF-8.
        column = column.cast(pa.binary() if column.type == pa.string() else pa.large_binary())
        column.validate(full=True)
        self._check_no_null(column, self.words, first)
        return column

    def _matrix(self, batch: Any, first: int) -> np.ndarray:
        """The vectors of a batch, without a copy if the layout allows it."""
        columns = [batch.column(name) for name in self.vectors]
        for name, column in zip(self.vectors, columns, strict=True):
            self._check_no_null(column, name, first)
        if not columns:
            return np.empty((batch.num_rows, 0), np.float32)
        if str(columns[0].type) in _FLOATS:
            return np.stack([column.to_numpy() for column in columns], axis=1)
        (column,) = columns
        if not hasattr(column.type, "list_size"):
            column.validate(full=True)
            lengths = column.value_lengths().to_numpy()
            if len(wrong := np.flatnonzero(lengths != self.dims)):
                got = str(lengths[wrong[0]])
                raise self._error(first + int(wrong[0]), f"{self.dims} numbers", got)
        numbers = column.flatten()
        self._check_no_null(numbers, self.vectors[0], first, self.dims)
        return numbers.to_numpy(zero_copy_only=False).reshape(-1, self.dims)

    def _check_no_null(self, column: Any, name: Any, first: int, width: int = 1) -> None:
        """Checks values of a column, of which `width` belong to a row."""
        if column.null_count:
            i = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            expected = "a word" if name == self.words else "a value"
            raise self._error(first + i // width, expected, "null", name)

    def _error(self, row: int, expected: str, got: str, field: str | None = None) -> FormatError:
        """An error about a row, counted from 0."""
        field, chunk = field or self.vectors[0], f"row {row + 1} of {self.n_rows}"
        return FormatError(self.source.name, chunk=chunk, field=field, expected=expected, got=got)


@contextmanager
def arrow_errors(file: File | None, format: str) -> Iterator[None]:
    """Raises the errors of pyarrow as `FormatError`; those of the disk pass."""
    from pyarrow import ArrowException

    try:
        yield
    except FormatError:
        raise
    except (ArrowException, OSError, OverflowError, KeyError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        kind = "Parquet" if format == "parquet" else "Arrow"
        got = str(error).partition("\n")[0] or repr(error)
        raise FormatError(file, chunk=kind, expected=f"a complete {kind} file", got=got) from error


def open_arrow(
    source: ByteSource, format: str, named: Named, *, has_vectors: bool = True
) -> ArrowTable:
    """Opens a file and finds its columns."""
    require_arrow("reading Parquet or Arrow files")
    file = source.name
    with arrow_errors(file, format):
        with _reader(source, format) as reader:
            if format == "parquet":
                schema, n_rows = reader.schema_arrow, reader.metadata.num_rows
            else:
                schema = reader.schema
                batches = _read_batches(source, format, schema.names[:1], 0)
                n_rows = sum(batch.num_rows for batch in batches)
        fields = {field.name: field.type for field in schema}
    tags = schema.metadata or {}
    is_exact = VERSION_KEY in tags and named.words is named.vectors is None
    word = None if named.has_words_file(fields) else _word_column(fields, named)
    norm = "norm" if is_exact and "norm" in fields else None
    if norm and str(fields[norm]) not in _NUMBERS:
        raise FormatError(file, field=norm, expected="numbers", got=str(fields[norm]))
    columns, dims, dtype = [], 0, ""
    if has_vectors:
        columns = _vector_columns(fields, named)
        with arrow_errors(file, format):
            dims, dtype = _dims(source, format, fields, columns)
    limit = ALLOWANCE_BYTES + RATIO * len(source)
    if not 0 <= 4 * n_rows * dims <= limit:
        got = f"{n_rows} rows of {dims} numbers"
        raise FormatError(file, expected=f"at most {limit} bytes of vectors", got=got)
    toml = tags[METADATA_KEY].decode("utf-8", "replace") if METADATA_KEY in tags else None
    return ArrowTable(source, format, word, columns, norm, dims, dtype, n_rows, toml, is_exact)


def _reader(source: ByteSource, format: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.py_buffer(source.data)
    if format == "parquet":
        return pq.ParquetFile(pa.BufferReader(buffer), pre_buffer=False)
    return pa.ipc.open_file(buffer) if format == "arrow" else pa.ipc.open_stream(buffer)


def _read_batches(source: ByteSource, format: str, names: list[str], n_rows: int) -> Iterator[Any]:
    """The batches of a file, of about `n_rows` rows if it is Parquet, with some columns."""
    with _reader(source, format) as file:
        if format == "parquet":
            batches = file.iter_batches(n_rows, columns=names)
        elif format == "arrow":
            numbers = range(file.num_record_batches)
            batches = (file.get_batch(i).select(names) for i in numbers)
        else:
            batches = (batch.select(names) for batch in file)
        for batch in batches:
            batch.validate()  # slices of arrays with a wrong length would end the process
            yield batch


def _word_column(fields: dict[str, Any], named: Named) -> str:
    strings = []
    for column, kind in fields.items():
        is_dictionary = str(kind).startswith("dictionary<")
        if str(kind.value_type if is_dictionary else kind) in _STRINGS:
            strings.append(column)
    return named.choose("words", strings, fields)


def _vector_columns(fields: dict[str, Any], named: Named) -> list[str]:
    """The column of lists, or the columns of floats, which a pattern may name."""
    lists, columns = [], []
    for column, kind in fields.items():
        if str(kind).startswith(_LISTS) and str(kind.value_type) in _NUMBERS:
            lists.append(column)
        elif str(kind) in _FLOATS and fnmatchcase(column, named.vectors or "*"):
            columns.append(column)
    if lists and named.vectors is None:
        columns = []
    return columns or [named.choose("vectors", lists, fields)]


def _dims(
    source: ByteSource, format: str, fields: dict[str, Any], columns: list[str]
) -> tuple[int, str]:
    """The dimensions of vectors and the type of their numbers."""
    kind, dims = fields[columns[0]], 0
    if str(kind) in _FLOATS:
        return len(columns), kind.to_pandas_dtype().__name__
    if hasattr(kind, "list_size"):
        dims = kind.list_size
        if dims < 1:
            got = f"{dims} numbers"
            raise FormatError(source.name, field=columns[0], expected="vectors", got=got)
    else:
        for batch in _read_batches(source, format, columns, 1):
            if batch.num_rows and batch.column(0)[0].is_valid:
                dims = len(batch.column(0)[0])
                break
    return dims, kind.value_type.to_pandas_dtype().__name__
