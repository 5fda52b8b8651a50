"""Writing embeddings as text: a word and its values on each line, with or without a first line `rows dims`."""

from collections import Counter
from typing import Any

from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File
from ffjax.formats.rows.export import check_line_feeds, check_plain, word_blocks, words_with
from ffjax.formats.text.format_floats import format_rows
from ffjax.formats.text.lines import (
    SAMPLE_LINES,
    count_values,
    ends_with_cr,
    ends_with_value,
    mark_bytes,
)

_SPACE, _TAB, _CR = 32, 9, 13


def write_text(
    file: File,
    embeddings: Embeddings,
    sep: str = " ",
    *,
    unnormalize: bool = True,
    drop_subwords: bool = False,
    drop_metadata: bool = False,
    drop_training: bool = False,
    reconstruct: bool = False,
) -> None:
    """Writes the words and their vectors as text, without a line of dimensions.

    Numbers are the shortest that read back as the same float32. The old file stays whole until the new one is complete.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write.
        sep: what stands between a word and its values; spaces stand between values.
        unnormalize: whether to give the vectors the lengths that the norms say. Without that the norms are left out.
        drop_subwords: whether to leave n-grams out; the words' own vectors are written in any case.
        drop_metadata: whether to leave metadata out.
        drop_training: whether to leave counts, labels and the output matrix out.
        reconstruct: whether to write quantized vectors as the plain ones that they stand for.

    Raises:
        TypeError: `embeddings` is something else.
        ValueError: `embeddings` has n-grams, metadata, `training` or quantized vectors and the option that allows for
            it is not set; there are no words, or vectors without numbers; a word has a line feed, or ends like
            `python 2.7` with what a reader would take for a value; the first word begins with a byte order mark; or
            `sep` is empty or has a line feed.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab(["one", "two"]))
        >>> ffjax.write_text(path, emb)
        >>> path.read_text().splitlines()
        ['one 1.0 0.0', 'two 0.0 1.0']
    """
    options = {
        "drop_subwords": drop_subwords,
        "drop_metadata": drop_metadata,
        "drop_training": drop_training,
        "reconstruct": reconstruct,
    }
    _write(file, embeddings, sep, unnormalize, options, dims=False)


def write_text_dims(
    file: File,
    embeddings: Embeddings,
    sep: str = " ",
    *,
    unnormalize: bool = True,
    drop_subwords: bool = False,
    drop_metadata: bool = False,
    drop_training: bool = False,
    reconstruct: bool = False,
) -> None:
    """Writes the words and their vectors as text with a first line `rows dims`, as word2vec and fastText (`.vec`) do.

    As `write_text` in everything else.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write.
        sep: what stands between a word and its values; spaces stand between values.
        unnormalize: whether to give the vectors the lengths that the norms say. Without that the norms are left out.
        drop_subwords: whether to leave n-grams out; the words' own vectors are written in any case.
        drop_metadata: whether to leave metadata out.
        drop_training: whether to leave counts, labels and the output matrix out.
        reconstruct: whether to write quantized vectors as the plain ones that they stand for.

    Raises:
        TypeError: as `write_text`.
        ValueError: as `write_text`.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.vec"
        >>> emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab(["one", "two"]))
        >>> ffjax.write_text_dims(path, emb)
        >>> path.read_text().splitlines()
        ['2 2', 'one 1.0 0.0', 'two 0.0 1.0']
    """
    options = {
        "drop_subwords": drop_subwords,
        "drop_metadata": drop_metadata,
        "drop_training": drop_training,
        "reconstruct": reconstruct,
    }
    _write(file, embeddings, sep, unnormalize, options, dims=True)


def _write(file: File, embeddings: Any, sep: str, unnormalize: bool, options: dict[str, bool], *, dims: bool) -> None:
    if not isinstance(sep, str):
        raise TypeError(f"`sep`: expected a str, got {type(sep).__name__} {sep!r}.")
    if not sep or sep.strip(" \t"):
        raise ValueError(f"`sep`: expected spaces or tabs, which is what readers separate values at, got {sep!r}.")
    embeddings = check_plain(embeddings, "text files", **options)
    table = embeddings.vocab.table
    if not dims and not len(table):
        raise ValueError(
            "`embeddings`: expected words, since text without a line of dimensions says nothing if there are none, got "
            "an empty vocabulary. Write text with dimensions."
        )
    check_line_feeds(table, "text files")
    for i in words_with(table, _SPACE, _TAB, _CR).tolist():
        if ends_with_value(table.raw(i)):
            raise _unreadable(table[i])
    between = sep.encode()
    if not dims:
        _check_first_lines(embeddings, unnormalize, between)
    with open_output(file) as out:
        if dims:
            out.write(f"{len(table)} {embeddings.dims}\n".encode())
        for words, rows in word_blocks(embeddings, unnormalize):
            values = format_rows(rows)
            lines = [word + between + text for word, text in zip(words, values, strict=True)]
            out.write(b"\n".join(lines) + b"\n")


def _check_first_lines(embeddings: Embeddings, unnormalize: bool, between: bytes) -> None:
    """Refuses words at the top from which a reader, who has no line of dimensions, would take the wrong number.

    An integer may end a word, as in `windows 10`, but not most of the first words.
    """
    words, rows = next(word_blocks(embeddings, unnormalize))
    few = words[:SAMPLE_LINES]
    lines = [word + between + text for word, text in zip(few, format_rows(rows[: len(few)]), strict=True)]
    if mark_bytes(lines[0]) or ends_with_cr(b"\n".join(lines)):
        raise _unreadable(few[0].decode("utf-8", "surrogateescape"))
    counts = list(map(count_values, lines))
    usual = Counter(filter(None, counts)).most_common(1)
    if usual and usual[0][0] != embeddings.dims:
        first = next(word for word, count in zip(few, counts, strict=True) if count != embeddings.dims)
        raise _unreadable(first.decode("utf-8", "surrogateescape"))


def _unreadable(word: str) -> ValueError:
    return ValueError(
        f"`embeddings`: expected words that a reader can tell from values, got {word!r}. "
        "Rename it, or write another format, such as text with dimensions."
    )
