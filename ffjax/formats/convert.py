"""From one format to another, in memory for the words and a few blocks of rows.

Rows of text, word2vec and floret files pass through a temporary file beside the target, since most formats say before
the rows how many there are. finalfusion and fastText files are mapped.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ffjax._internal.arguments import check_limit
from ffjax._internal.atomic_write import output_folder
from ffjax._internal.memmap import FileRows
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.detect import detect
from ffjax.formats.floret import collect_table, read_floret_blocks
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.load import IN_PLACE, check_format, check_no_limit, load_stream
from ffjax.formats.rows.row_blocks import Block, Blocks, collect
from ffjax.formats.save import save_what_fits, writer
from ffjax.formats.text.read import read_text_blocks
from ffjax.formats.word2vec import read_word2vec_blocks
from ffjax.storage import NdArray
from ffjax.vocab import FastTextVocab, SimpleVocab

# What is being done, how much of it is done, and how much there is, if that is known.
Progress = Callable[[str, int, int | None], None]


def convert(
    source: File,
    target: File,
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    lossy: bool = False,
    limit: int | None = None,
    leave_out: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[str, ...]:
    r"""Turns a file of embeddings into one of another format, without holding the matrix in memory.

    The target is byte for byte what `save(load(source, mmap=True), target)` writes, with the same warnings and errors.
    Memory is needed for the words and for a few blocks of rows. Rows of text, word2vec and floret files wait in a
    temporary file without a name, beside the target (in the system's place for temporary files if the target is no
    path). finalfusion and fastText files are mapped; compressed ones are first inflated into a temporary file. The old
    target stays whole until the new one is complete.

    Args:
        source: a path, or a descriptor, which is closed afterwards as `open` does.
        target: likewise.
        from_format: the format of the source as in `load`, to leave nothing to be recognized.
        to_format: the format of the target as in `save`; by its name without it.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to convert at most; n-grams are all kept.
        leave_out: whether to leave out what the target has no place for, as if all options that allow for it were
            given, and to write quantized vectors as the plain ones that they stand for.
        progress: called now and then with what is being done (`"Reading"` or `"Writing"`), how much of it is done, and
            how much there is or `None`.
        **options: those of the target's own writer, for example `drop_subwords=True` of `write_text`.

    Returns:
        The names of what has been left out, such as `"n-grams"`; empty without `leave_out`.

    Raises:
        FormatError: as `load`.
        TypeError: the target's writer has no such option, or cannot write such a vocabulary; or as `load`.
        ValueError: a format is none, or missing where the target's name does not say it; the target cannot hold
            something and `leave_out` is not set; or as `load`.
        OSError: a file cannot be read or written.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "vectors.txt").write_text("one 3.0 4.0\ntwo 0.5 0.0\n")
        >>> ffjax.convert(folder / "vectors.txt", folder / "vectors.fifu")
        ()
        >>> ffjax.load_finalfusion(folder / "vectors.fifu", mmap=True).vocab.words
        ['one', 'two']
    """
    check_format("from_format", from_format)
    check_format("to_format", to_format)
    check_limit(limit)
    folder = output_folder(target)
    progress = progress or (lambda what, done, total: None)
    with open_stream(source) as stream:
        found = _detected(stream) if from_format is None else from_format
        if found in IN_PLACE:
            progress("Reading", 0, None)  # as one piece
            emb = load_stream(stream, found, mmap=True, lossy=lossy, limit=limit)
        else:
            if found != "floret":
                _rehearse(target, to_format, options)
            progress("Reading", 0, stream.size)
            emb = _in_file(stream, found, folder, lossy, limit, progress)
    progress("Writing", 0, None)
    if leave_out:
        return save_what_fits(emb, target, to_format, name="to_format", **options)
    fasttext = isinstance(emb.vocab, FastTextVocab)
    writer(target, to_format, fasttext=fasttext, name="to_format")[1](target, emb, **options)
    return ()


def _detected(stream: Stream) -> str:
    try:
        return detect(stream)
    except FormatError as error:
        error.hint = error.hint and error.hint.replace("`format=`", "`from_format=`")
        raise


def _rehearse(target: File, to_format: str | None, options: dict[str, Any]) -> None:
    """Finds what is wrong with the target's format or options before minutes of reading.

    Raises:
        TypeError: the format's writer has no such option, or cannot write words without n-grams of its own.
        ValueError: the format is missing, or an option has a value that it cannot have.
    """
    _, write = writer(target, to_format, name="to_format")
    write(os.devnull, Embeddings(NdArray(np.zeros((1, 1), np.float32)), SimpleVocab(["a"])), **options)


def _in_file(
    stream: Stream, format: str, folder: bytes | None, lossy: bool, limit: int | None, progress: Progress
) -> Embeddings:
    """Reads a file that gives its rows in order; the rows are in a temporary file and mapped."""
    if format == "floret":
        check_no_limit(limit)
        with read_floret_blocks(stream) as table, FileRows(table.dims, folder) as rows:
            return collect_table(_watched(table, stream, progress), table.vocab, rows)
    if format == "word2vec":
        reading = read_word2vec_blocks(stream, lossy=lossy, limit=limit, unit=True)
    else:
        reading = read_text_blocks(stream, header=format == "textdims", lossy=lossy, limit=limit, unit=True)
    with reading as blocks, FileRows(blocks.dims, folder) as rows:
        return collect(_watched(blocks, stream, progress), rows)


def _watched(blocks: Blocks, stream: Stream, progress: Progress) -> Blocks:
    """The same blocks; `progress` is told of each."""

    def go_through() -> Iterator[Block]:
        for block in blocks:
            yield block
            progress("Reading", stream.position, stream.size)

    return Blocks(blocks.dims, blocks.n_rows, go_through())
