"""What the head of a table says: where its words and vectors are; without JAX."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource, File
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.safetensors_file import read_header
from ffjax.formats.tables.arrow import FORMATS as ARROW_FORMATS
from ffjax.formats.tables.arrow import ArrowTable, open_arrow
from ffjax.formats.tables.named_arrays import NamedArrays, choose_arrays
from ffjax.formats.tables.npy import Array, read_npy
from ffjax.formats.tables.pytorch import open_pytorch

Layout: TypeAlias = NamedArrays | ArrowTable

WORDS_BESIDE = "{}.words.txt"
# What a file of words is called that belongs to `NAME.npy`, the first that exists.
_BESIDE = (WORDS_BESIDE, "{}.words", "{}.vocab", "{}.vocab.txt", "{}.words.npy")
_BESIDE_ALL = ("words.txt", "vocab.txt")
_MOST_ARRAYS = 64


@contextmanager
def open_layout(
    stream: Stream, format: str, words: Any = None, vectors: str | None = None
) -> Iterator[Layout]:
    """Opens a table; `words` and `vectors` are names of its columns or arrays, if they are known.

    `words` may also be the path of a file with the words, which the caller reads.
    """
    if format in ("npz", "pytorch"):
        open_arrays = _npz if format == "npz" else open_pytorch
        with open_arrays(stream, words, vectors) as arrays:
            yield arrays
        return
    with open_source(stream) as source:
        if format in ARROW_FORMATS:
            yield open_arrow(source, format, words, vectors)
        elif format == "safetensors":
            yield _safetensors(source, words, vectors)
        else:
            yield NamedArrays(_matrix(source))


def metadata_in(layout: Layout, file: File | None) -> dict[str, Any] | None:
    """The metadata of a table; an error if it is not TOML."""
    if layout.toml is None:
        return None
    try:
        return tomllib.loads(layout.toml)
    except (ValueError, RecursionError) as error:
        expected, got = "a TOML document", f"an error: {error}"
        raise FormatError(file, field="metadata", expected=expected, got=got) from error


def _matrix(source: ByteSource) -> Array:
    array = read_npy(source)
    if len(array.shape) != 2 or not array.has_numbers:
        expected = "a matrix of numbers, a row for each word"
        raise FormatError(source.name, field="shape", expected=expected, got=str(array))
    return array


@contextmanager
def _npz(stream: Stream, words: Any, vectors: str | None) -> Iterator[NamedArrays]:
    folder = stream.expected_folder()
    names = folder.names
    if len(names) > _MOST_ARRAYS:
        expected = f"at most {_MOST_ARRAYS} arrays"
        raise stream.error(None, expected, str(len(names)))
    arrays = {}
    with ExitStack() as stack:
        for name in names:
            member = stack.enter_context(folder.open(name))
            source = stack.enter_context(open_source(member))
            arrays[name.removesuffix(".npy")] = read_npy(source, name, any_kind=True)
        chosen = choose_arrays(arrays, words, vectors, stream.file)
        for name, array in arrays.items():
            is_of_words = array.dtype.hasobject and array.shape == (chosen.n_rows,)
            if words is None and chosen.words is None and is_of_words:
                read_npy(array.source, name)  # an error, which says that words are objects
        yield chosen


def is_npz(names: list[str]) -> bool:
    """Whether these files of a folder are arrays, all of them."""
    return bool(names) and all(name.endswith(".npy") and "/" not in name for name in names)


def _safetensors(source: ByteSource, words: Any, vectors: str | None) -> NamedArrays:
    tensors = read_header(source).tensors
    arrays = {name: Array(source, x.start, x.dtype, x.shape) for name, x in tensors.items()}
    return choose_arrays(arrays, words, vectors, source.name)


def words_beside(file: Any) -> str:
    """The file of words that belongs to a file of vectors alone."""
    if isinstance(file, int) or file is None:
        raise ValueError(
            "`words`: expected the path of a file with the words, one a line, since the file of "
            "vectors has none, got None."
        )
    path = os.fsdecode(file)
    folder, stem = os.path.split(path.removesuffix(".npy"))
    names = [name.format(stem) for name in _BESIDE] + list(_BESIDE_ALL)
    for name in names:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise FormatError(
        file,
        field="words",
        expected=f"a file of words beside it, one of {', '.join(names)}",
        got="none of these",
        hint="Name one, with a word in each line, as `words=`.",
    )
