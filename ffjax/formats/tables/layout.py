"""What the head of a table says: where its words and vectors are; without JAX."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.safetensors_file import read_header
from ffjax.formats.tables.arrow import FORMATS as ARROW_FORMATS
from ffjax.formats.tables.arrow import ArrowTable, open_arrow
from ffjax.formats.tables.columns import Named, NamedArrays, choose_arrays
from ffjax.formats.tables.npy import read_npy
from ffjax.formats.tables.pytorch import open_pytorch

Layout: TypeAlias = NamedArrays | ArrowTable

WORDS_BESIDE = "{}.words.txt"
# What a file of words is called that belongs to `NAME.npy`, the first that exists.
_BESIDE = (WORDS_BESIDE, "{}.words", "{}.vocab", "{}.vocab.txt", "{}.words.npy")
_BESIDE += ("words.txt", "vocab.txt")
_MOST_ARRAYS = 64
_NO_WORDS = "none in the file; name the words with `words=`"


@contextmanager
def open_layout(
    stream: Stream, format: str, words: Any = None, vectors: str | None = None
) -> Iterator[Layout]:
    """Opens a table; `words` and `vectors` are names of its columns or arrays, if they are known.

    `words` may also be the path of a file with the words, which the caller reads.
    """
    with ExitStack() as stack:
        named = Named(stream.file, words, vectors)
        if format == "npz":
            yield _npz(stack, stream, named)
        elif format == "pytorch":
            yield open_pytorch(stack, stream, named)
        else:
            source = stack.enter_context(open_source(stream))
            if format in ARROW_FORMATS:
                yield open_arrow(source, format, named)
            elif format == "safetensors":
                yield choose_arrays(read_header(source), named)
            else:
                array = read_npy(source)
                if len(array.shape) != 2 or not array.has_numbers:
                    expected, got = "a matrix of numbers, a row for each word", str(array)
                    raise FormatError(source.name, field="shape", expected=expected, got=got)
                yield NamedArrays(array)


def _npz(stack: ExitStack, stream: Stream, named: Named) -> NamedArrays:
    folder = stream.expected_folder()
    if len(folder.names) > _MOST_ARRAYS:
        got = str(len(folder.names))
        raise stream.error(None, f"at most {_MOST_ARRAYS} arrays", got)
    arrays = {}
    for name in folder.names:
        member = stack.enter_context(folder.open(name))
        source = stack.enter_context(open_source(member))
        arrays[name.removesuffix(".npy")] = read_npy(source, name, any_kind=True)
    chosen = choose_arrays(arrays, named)
    if named.words is None and chosen.words is None:
        for name, array in arrays.items():
            if array.dtype.hasobject and array.shape == (chosen.n_rows,):
                read_npy(array.source, name)  # an error, which says that words are objects
    return chosen


def is_npz(names: list[str]) -> bool:
    """Whether these files of a folder are arrays, all of them."""
    return bool(names) and all(name.endswith(".npy") and "/" not in name for name in names)


def metadata_in(layout: Layout, file: File | None) -> dict[str, Any] | None:
    """The metadata of a table; an error if it is not TOML."""
    if layout.toml is None:
        return None
    try:
        return tomllib.loads(layout.toml)
    except (ValueError, RecursionError) as error:
        expected, got = "a TOML document", f"an error: {error}"
        raise FormatError(file, field="metadata", expected=expected, got=got) from error


def words_beside(file: Any) -> str:
    """The file of words that belongs to a file of vectors alone."""
    if isinstance(file, int) or file is None:
        raise ValueError(
            "`words`: expected the path of a file with the words, one a line, since the file of "
            "vectors has none, got None."
        )
    folder, stem = os.path.split(os.fsdecode(file).removesuffix(".npy"))
    names = [name.format(stem) for name in _BESIDE]
    for name in names:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    expected = f"a file of words beside it, one of {', '.join(names)}"
    hint = "Name one, with a word in each line, as `words=`."
    raise FormatError(file, field="words", expected=expected, got="none of these", hint=hint)


def describe(
    stream: Stream, *, format: str, words: Any = None, vectors: str | None = None
) -> dict[str, Any]:
    """The number of rows, their shape and type, and what lies beside them."""
    with open_layout(stream, format, words, vectors) as layout:
        n_rows = layout.n_rows
        facts = {"vocabulary": "SimpleVocab", "words": layout.n_words, "storage": "NdArray"}
        facts |= {"rows": n_rows, "dims": layout.dims, "dtype": layout.dtype}
        if layout.norms is not None or not layout.is_exact:
            facts["norms"] = n_rows
        if (metadata := metadata_in(layout, stream.file)) is not None:
            facts["metadata"] = list(metadata)
        if words is None and layout.words is None:
            try:
                words_beside(stream.file)
            except ValueError:  # an error of the format too
                facts |= {"vocabulary": _NO_WORDS, "words": 0}
        return facts
