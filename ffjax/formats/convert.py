"""From one format to another, with the words and a few blocks of rows in memory.

Rows of text, word2vec and floret files, of tables and of static models pass through a temporary
file next to the target, since most formats say before the rows how many there are; so do rows that
words share if the target needs a row for each word. finalfusion and fastText files and spaCy's
folders are mapped, and matrices of snapshots in a temporary file.
"""

from functools import partial
from typing import Any

import numpy as np

from ffjax._internal.memmap import FileRows
from ffjax._internal.progress import ignore
from ffjax.embeddings.value import Embeddings
from ffjax.formats import save
from ffjax.formats.detect import open_file
from ffjax.formats.io.binary import File
from ffjax.formats.load import Progress, load_stream
from ffjax.formats.registry import FORMATS, check_format, options_of
from ffjax.formats.rows.row_blocks import to_storage
from ffjax.storage.norms import Norms
from ffjax.transforms.words import unshare_rows

_BLOCK_ROWS = 1 << 12


def convert(
    source: File,
    target: File,
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    lossy: bool = False,
    limit: int | None = None,
    dims: int | None = None,
    member: str | None = None,
    words: File | None = None,
    vectors: str | None = None,
    leave_out: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[str, ...]:
    r"""Converts a file of embeddings to another format, without holding the matrix in memory.

    From text, word2vec or tables to text, word2vec or `.npy` every number stays the same, since
    vectors are not scaled. Any other target is byte for byte what `save(load(source, mmap=True),
    target)` writes (without `mmap` if the source is a table, whose vectors are scaled).
    Warnings and errors are the same. Memory is needed for the words and for a few blocks of rows.
    Rows of text, word2vec and floret files, of tables, snapshots and static models wait in
    temporary files without names, next to the target (in the system's place for temporary files if
    the target is a descriptor). finalfusion and fastText files are mapped; compressed ones are
    first decompressed into a temporary file. The old target stays complete until the new one is.

    Args:
        source: a path, a descriptor, which is closed afterwards as `open` does, or `hf://...`, as
            in `load`.
        target: likewise.
        from_format: the format of the source as in `load`; `None` to recognize it.
        to_format: the format of the target as in `save`; without it the name decides.
        lossy: whether to replace bytes of words that are not UTF-8 by U+FFFD.
        limit: how many words to convert at most; n-grams are all kept.
        dims: how many dimensions the source has, as in `load`.
        member: the name of the file or folder in an archive, as in `load`.
        words: the column or the file of words, as in `load`.
        vectors: the column or columns of vectors, as in `load`.
        leave_out: whether to drop what the target cannot hold, as if all options that permit it
            were given, and to write quantized vectors as the plain ones that they stand for.
        progress: called now and then with the stage (`"Reading"` or `"Writing"`), how much of it is
            finished, and the total or `None`.
        **options: those of the target's own writer, for example `drop_subwords=True` of
            `write_text`.

    Returns:
        The names of what has been dropped, such as `"n-grams"`; empty without `leave_out`.

    Raises:
        FormatError: as `load`.
        TypeError: if the target's writer has no such option, or cannot write such a vocabulary; or
            as `load`.
        ValueError: if a format is unknown, or missing where the target's name does not tell it; if
            the target cannot hold something and `leave_out` is not set; or as `load`.
        OSError: if a file cannot be read or written.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "vectors.txt").write_text("one 3.0 4.0\ntwo 0.5 0.0\n")
        >>> ffjax.convert(folder / "vectors.txt", folder / "vectors.fifu")
        ()
        >>> ffjax.load_finalfusion(folder / "vectors.fifu", mmap=True).vocab.words
        ['one', 'two']
    """
    check_format("to_format", to_format)
    folder = save.target_folder(target, to_format, "target")
    progress = progress or ignore
    reading: dict[str, Any] = {"mmap": True, "lossy": lossy, "limit": limit, "dims": dims}
    reading |= {"words": words, "vectors": vectors, "unit": True}
    names = {"path_name": "source", "format_name": "from_format"}
    with open_file(source, from_format, member, reading, **names) as (stream, entry):
        if entry.blocks and "unit" in options_of(entry.blocks):
            reading["unit"] = not _holds_plain_rows(target, to_format, options)
        rows = partial(FileRows, folder=folder)
        embeddings = load_stream(stream, entry, options=reading, progress=progress, rows=rows)
    to_format = save.format_for(embeddings, target, to_format, "to_format")
    entry = FORMATS[to_format]
    if not entry.shares_rows and not entry.repeats_rows:
        embeddings = _repeat_rows(embeddings, folder)
    progress("Writing", 0, None)
    if leave_out:
        return save.save_what_fits(embeddings, target, to_format, **options)
    save.write_as(to_format, target, embeddings, options)
    return ()


def _repeat_rows(embeddings: Embeddings, folder: bytes | None) -> Embeddings:
    """Embeddings with a row for each word; plain rows are repeated in a temporary file."""
    storage, vocab = embeddings.storage, embeddings.vocab
    if vocab.shared_rows is None or storage.host_matrix() is None:
        return unshare_rows(embeddings)
    ids, norms = vocab.host_rows, embeddings.norms
    with FileRows(storage.shape[1], folder) as rows:
        for start in range(0, len(ids), _BLOCK_ROWS):
            rows.append(storage.view_rows(ids[start : start + _BLOCK_ROWS]))
        for _, block in storage.row_blocks(vocab.n_word_rows, rows=_BLOCK_ROWS):
            rows.append(block)
        repeated = to_storage(rows.finish())
    norms = None if norms is None else Norms(np.asarray(norms)[ids])
    return embeddings.replace(
        storage=repeated, vocab=vocab.with_words(vocab.table), norms=norms
    )


def _holds_plain_rows(target: File, to_format: str | None, options: dict[str, Any]) -> bool:
    """Whether the target has rows as text has them; checks it and its options for words alone."""
    to_format = save.format_of(target, to_format, name="to_format")
    entry = FORMATS[to_format]
    if entry.vocab:
        raise TypeError(
            f"`to_format`: expected a {entry.vocab} for {to_format} files, got a file of words."
        )
    save.check_options(to_format, options)
    return entry.is_plain and options.get("unnormalize", True)
