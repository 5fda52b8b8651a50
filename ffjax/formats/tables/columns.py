"""Which columns of a table, or arrays of a file, hold the words and the vectors.

ffjax writes these arrays into npz and safetensors files:

    embeddings      float [n, dims]   the vectors
    words.bytes     uint8             the words in UTF-8, one after the other
    words.offsets   int64 [n + 1]     where each word begins, and where the last ends
    norms           float32 [n]       the norms before vectors were scaled, if there are any
    metadata        uint8             a TOML document, if there is one

Files of others have a matrix and an array of strings, which are found by their types, and by their
names if there are several.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.file_arguments import counted
from ffjax.errors import FormatError
from ffjax.formats.io.binary import Array

_USUAL = {
    "words": "word words token tokens key keys term text vocab vocabulary label labels name names "
    "index __index_level_0__",
    "vectors": "vector vectors embedding embeddings matrix emb data weight weights "
    "embedding.weight embeddings.weight values arr_0",
}
_MOST_NAMES = 20
_BLOCK_BYTES = 1 << 22
_MATRIX, _BYTES, _OFFSETS = "embeddings", "words.bytes", "words.offsets"
_OPTIONAL = {"norms": ("f4", 1), "metadata": ("u1", 1)}
_REQUIRED = {_MATRIX: ("f4", 2), _BYTES: ("u1", 1), _OFFSETS: ("i8", 1)}


class Batch(NamedTuple):
    """Rows of a table as they lie in the file, and the number of the first.

    `words` are strings of Arrow or NumPy, or bytes and offsets; `None` if they come from elsewhere.
    """

    first: int
    words: Any
    rows: np.ndarray
    norms: np.ndarray | None


class Named(NamedTuple):
    """The columns or arrays of a file that the caller names; `words` may also be another file."""

    file: Any
    words: Any = None
    vectors: str | None = None

    def has_words_file(self, columns: Mapping[str, Any]) -> bool:
        """Whether `words` is a file, and not the name of a column."""
        words = self.words
        if words is None or (isinstance(words, str) and words in columns):
            return False
        return not isinstance(words, str) or os.path.exists(words)

    def choose(self, argument: str, candidates: Sequence[str], columns: Mapping[str, Any]) -> str:
        """The column to read: that of the caller, or the only candidate, or one of a usual name.

        `columns` says what each column of the file is, for errors.
        """
        name = getattr(self, argument)
        if name is not None:
            if name in candidates:
                return name
            expected = f"expected the name of the column of {argument}, one of {_listed(columns)}"
            raise ValueError(f"`{argument}`: {expected}, got {name!r}.")
        if len(candidates) == 1:
            return candidates[0]
        by_name = {candidate.lower(): candidate for candidate in reversed(candidates)}
        for likely in _USUAL[argument].split():
            if likely in by_name:
                return by_name[likely]
        got, hint = f"none in {_listed(columns) or 'an empty table'}", None
        if candidates:
            got = f"{len(candidates)}: {_listed({name: columns[name] for name in candidates})}"
            hint = f"Name it with `{argument}=`."
        expected = f"one column of {argument}"
        raise FormatError(self.file, field=argument, expected=expected, got=got, hint=hint)


def _listed(columns: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{name!r} ({what})" for name, what in list(columns.items())[:_MOST_NAMES])
    return listed + (", ..." if len(columns) > _MOST_NAMES else "")


class NamedArrays(NamedTuple):
    """The arrays of a file that are embeddings; `words` is `None` if no array holds them."""

    vectors: Array
    words: Array | None = None
    offsets: Array | None = None  # of the words, if they are bytes
    norms: Array | None = None
    metadata: Array | None = None
    is_exact: bool = False  # whether ffjax wrote them: vectors and norms are to be read as they are

    @property
    def n_rows(self) -> int:
        """The number of vectors."""
        return self.vectors.shape[0]

    @property
    def n_words(self) -> int:
        """The number of words; that of the vectors if the words come from elsewhere."""
        if self.offsets is not None:
            return self.offsets.shape[0] - 1
        return self.n_rows if self.words is None else self.words.shape[0]

    @property
    def dims(self) -> int:
        """The numbers of a vector."""
        return self.vectors.shape[1]

    @property
    def dtype(self) -> str:
        """The type of the numbers."""
        return self.vectors.dtype.name

    @property
    def toml(self) -> str | None:
        """The metadata."""
        array = self.metadata
        return None if array is None else array.view().tobytes().decode("utf-8", "replace")

    def map(self) -> np.ndarray | None:
        """The vectors as a memory map, if that is possible."""
        return self.vectors.map()

    def batches(self, n_rows: int) -> Iterator[Batch]:
        """The first rows in batches of a few megabytes."""
        rows, source = self.vectors.view(), self.vectors.source
        optional = self.words, self.offsets, self.norms
        words, offsets, norms = (None if x is None else x.view() for x in optional)
        step = max(1, _BLOCK_BYTES // max(1, 4 * self.dims))
        for start in range(0, n_rows, step):
            block = slice(start, min(start + step, n_rows))
            strings: Any = None if words is None else words[block]
            if offsets is not None:
                strings = words, offsets[start : block.stop + 1]
            yield Batch(start, strings, rows[block], None if norms is None else norms[block])
            source.release_pages(0, len(source))


def choose_arrays(arrays: Mapping[str, Array], named: Named) -> NamedArrays:
    """The arrays that are embeddings."""
    if named.words is named.vectors is None and _REQUIRED.keys() <= arrays.keys():
        return _written_arrays(arrays, named.file)
    matrices = [name for name, x in arrays.items() if x.has_numbers and len(x.shape) == 2]
    strings = [name for name, x in arrays.items() if x.dtype.kind in "SU" and len(x.shape) == 1]
    matrix = arrays[named.choose("vectors", matrices, arrays)]
    if named.has_words_file(arrays) or (named.words is None and not strings):
        return NamedArrays(matrix)
    return NamedArrays(matrix, arrays[named.choose("words", strings, arrays)])


def _written_arrays(arrays: Mapping[str, Array], file: Any) -> NamedArrays:
    """The arrays of a file that ffjax wrote, with their sizes checked."""
    layout = _REQUIRED | {name: kind for name, kind in _OPTIONAL.items() if name in arrays}
    for name, (dtype, ndim) in layout.items():
        if arrays[name].dtype != dtype or len(arrays[name].shape) != ndim:
            expected = f"{dtype} of {counted(ndim, 'dimension')}"
            raise FormatError(file, field=name, expected=expected, got=str(arrays[name]))
    n_rows = arrays[_MATRIX].shape[0]
    for name, n in ((_OFFSETS, n_rows + 1), ("norms", n_rows)):
        if name in arrays and arrays[name].shape != (n,):
            got = str(arrays[name])
            raise FormatError(file, field=name, expected=f"{n} numbers for {n_rows} rows", got=got)
    required = (arrays[name] for name in _REQUIRED)
    return NamedArrays(*required, *map(arrays.get, _OPTIONAL), is_exact=True)
