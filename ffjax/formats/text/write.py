"""Writing text: a word and its values on each line, with or without a first line `rows dims`."""

from io import BytesIO
from itertools import islice
from typing import Any, Unpack

import numpy as np

from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream
from ffjax.formats.rows import export
from ffjax.formats.text import fields
from ffjax.formats.text.format_floats import format_rows
from ffjax.formats.text.lines import IsSurplus
from ffjax.formats.text.table import open_table


def write_text(
    file: File,
    embeddings: Embeddings,
    sep: str = " ",
    *,
    unnormalize: bool = True,
    **options: Unpack[export.ExportOptions],
) -> None:
    """Writes the words and their vectors as text, without a line of dimensions.

    Numbers are the shortest that read back as the same float32; those of up to six digits that were
    scaled when they were read come back unchanged. The old file stays complete until the new one
    is. If text cannot hold something, you get an error naming the option that permits
    dropping it.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write.
        sep: what stands between a word and its values; spaces stand between values.
        unnormalize: whether to multiply the vectors by their norms. Otherwise norms are lost.
        **options: what to drop: `drop_subwords` the n-grams (the words' own vectors are written in
            any case), `drop_metadata` the metadata, `drop_training` the counts, labels and output
            matrix. `reconstruct` writes quantized vectors as the plain ones that they stand for.

    Raises:
        TypeError: if `embeddings` is something else, or an option does not exist.
        ValueError: if something would be lost without its option; there are no words, or vectors
            without numbers; a word has a line feed, or ends like `python 2.7` with what a reader
            would take for a value; the first word begins with a byte order mark; or `sep` is
            anything but spaces and tabs.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
        >>> ffjax.write_text(path, ffjax.Embeddings(rows, ffjax.SimpleVocab(["one", "two"])))
        >>> path.read_text().splitlines()
        ['one 1.0 0.0', 'two 0.0 1.0']
    """
    _write(file, embeddings, sep, unnormalize, options, header=False)


def write_text_dims(
    file: File,
    embeddings: Embeddings,
    sep: str = " ",
    *,
    unnormalize: bool = True,
    **options: Unpack[export.ExportOptions],
) -> None:
    """Writes text with a first line `rows dims`, as word2vec and fastText (`.vec`) do.

    Everything else is as in `write_text`.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write.
        sep: what stands between a word and its values; spaces stand between values.
        unnormalize: whether to multiply the vectors by their norms. Otherwise norms are lost.
        **options: what to drop, as in `write_text`.

    Raises:
        TypeError: as `write_text`.
        ValueError: as `write_text`, but there may be no words.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.vec"
        >>> rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
        >>> ffjax.write_text_dims(path, ffjax.Embeddings(rows, ffjax.SimpleVocab(["one", "two"])))
        >>> path.read_text().splitlines()
        ['2 2', 'one 1.0 0.0', 'two 0.0 1.0']
    """
    _write(file, embeddings, sep, unnormalize, options, header=True)


def check_separator(sep: Any) -> None:
    """Checks that readers split at `sep`."""
    if not isinstance(sep, str):
        raise TypeError(f"`sep`: expected a str, got {type(sep).__name__} {sep!r}.")
    if not sep or sep.strip(" \t"):
        raise ValueError(f"`sep`: expected spaces or tabs, at which readers split, got {sep!r}.")


def _write(
    path: File, embeddings: Embeddings, sep: str, unnormalize: bool, options: Any, *, header: bool
) -> None:
    check_separator(sep)
    embeddings = export.check_plain(embeddings, "text files", options)
    table, dims = embeddings.vocab.table, embeddings.dims
    export.check_without("\n", table, "text files")
    if not header and not len(table):
        raise ValueError(
            "`embeddings`: expected words, since without them text without a line of dimensions "
            "says nothing, got an empty vocabulary. Write text with dimensions."
        )
    head = f"{len(table)} {dims}\n".encode() if header else b""
    is_surplus = fields.holds_values
    for words, rows in islice(export.word_blocks(embeddings, unnormalize), 1):
        sample = words[: fields.SAMPLE_LINES]
        lines = _lines(sample, rows[: len(sample)], sep)
        is_surplus = _check_first_words(sample, head, lines, dims)
    for i in export.words_with(table, *b" \t\r").tolist():
        word = table.raw(i)
        if is_surplus(word) or (len(sep) > 1 and b" ".join(fields.FIELD.findall(word)) != word):
            raise _ambiguous(word)
    with open_output(path) as out:
        out.write(head)
        for words, rows in export.word_blocks(embeddings, unnormalize):
            out.write(b"\n".join(_lines(words, rows, sep)) + b"\n")


def _lines(words: list[bytes], rows: np.ndarray, sep: str) -> list[bytes]:
    separator, values = sep.encode(), format_rows(rows)
    return [word + separator + text for word, text in zip(words, values, strict=True)]


def _check_first_words(
    words: list[bytes], head: bytes, lines: list[bytes], dims: int
) -> IsSurplus:
    """Checks that a reader finds the words of the first lines; which words it takes for values."""
    text = head + b"\n".join(lines)
    try:
        table = open_table(Stream(None, BytesIO(text)), has_header=bool(head), limit=len(lines))
        chunk = next(table.chunks)
        first_words = table.parse(chunk, values=False).words(chunk.text)
    except FormatError as error:
        first = text.count(b"\n", len(head), error.offset)
        # A line without values in its word may fail because of the others.
        suspects = (i for i in (first, *range(len(words))) if fields.count_values(lines[i]) != dims)
        raise _ambiguous(words[next(suspects, first)]) from error
    for word, first_word in zip(words, first_words, strict=False):
        if word != first_word:
            raise _ambiguous(word)
    return table.is_surplus or fields.ends_with_value


def _ambiguous(word: bytes) -> ValueError:
    return ValueError(
        "`embeddings`: expected words that a reader can tell from values, got "
        f"{word.decode('utf-8', 'surrogateescape')!r}. "
        "Rename it, or write another format, such as finalfusion."
    )
