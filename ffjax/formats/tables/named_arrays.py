"""Embeddings as named arrays, in npz and safetensors files.

    embeddings      float [n, dims]   the vectors
    words.bytes     uint8             the words in UTF-8, one after the other
    words.offsets   int64 [n + 1]     where each word begins, and where the last ends
    norms           float32 [n]       the norms before vectors were scaled, if there are any
    metadata        uint8             a TOML document, if there is one

That is what ffjax writes. Files of others have a matrix and an array of strings, which are found by
their types, and by their names if there are several.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ffjax.errors import FormatError
from ffjax.formats.tables.columns import VECTORS, WORDS, choose, is_words_file
from ffjax.formats.tables.npy import Array

_MATRIX, _BYTES, _OFFSETS = "embeddings", "words.bytes", "words.offsets"
_OPTIONAL = {"norms": ("f4", 1), "metadata": ("u1", 1)}
_REQUIRED = {_MATRIX: ("f4", 2), _BYTES: ("u1", 1), _OFFSETS: ("i8", 1)}


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
        if self.metadata is None:
            return None
        return self.metadata.view().tobytes().decode("utf-8", "replace")

    def map(self) -> np.ndarray | None:
        """The vectors as a memory map, if that is possible."""
        return self.vectors.map()


def choose_arrays(
    arrays: Mapping[str, Array], words: Any, vectors: str | None, file: Any
) -> NamedArrays:
    """The arrays that are embeddings; `words` may be a file with the words instead."""
    if words is vectors is None and _REQUIRED.keys() <= arrays.keys():
        return _written_arrays(arrays, file)
    matrices = [name for name, x in arrays.items() if x.has_numbers and len(x.shape) == 2]
    strings = [name for name, x in arrays.items() if x.dtype.kind in "SU" and len(x.shape) == 1]
    matrix = arrays[choose("vectors", vectors, matrices, VECTORS, arrays, file)]
    if is_words_file(words, arrays) or (words is None and not strings):
        return NamedArrays(matrix)
    return NamedArrays(matrix, arrays[choose("words", words, strings, WORDS, arrays, file)])


def _written_arrays(arrays: Mapping[str, Array], file: Any) -> NamedArrays:
    """The arrays of a file that ffjax wrote, with their sizes checked."""
    layout = _REQUIRED | {name: kind for name, kind in _OPTIONAL.items() if name in arrays}
    for name, (dtype, ndim) in layout.items():
        if arrays[name].dtype != dtype or len(arrays[name].shape) != ndim:
            expected = f"{dtype} of {ndim} dimensions"
            raise FormatError(file, field=name, expected=expected, got=str(arrays[name]))
    n_rows = arrays[_MATRIX].shape[0]
    for name, n in ((_OFFSETS, n_rows + 1), ("norms", n_rows)):
        if name in arrays and arrays[name].shape != (n,):
            got = str(arrays[name])
            raise FormatError(file, field=name, expected=f"{n} numbers for {n_rows} rows", got=got)
    required = (arrays[name] for name in _REQUIRED)
    return NamedArrays(*required, *map(arrays.get, _OPTIONAL), is_exact=True)
