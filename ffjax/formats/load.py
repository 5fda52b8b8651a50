"""Reading embeddings in any format."""

import os
import tempfile
from collections.abc import Callable

from jax.sharding import NamedSharding

from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.detect import FORMATS, detect
from ffjax.formats.fasttext import load_fasttext
from ffjax.formats.finalfusion import load_finalfusion
from ffjax.formats.floret import load_floret
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.limits import check_limit
from ffjax.formats.snapshot import load_snapshot
from ffjax.formats.text.read import load_text, load_text_dims
from ffjax.formats.word2vec import load_word2vec
from ffjax.storage import ShardedArray
from ffjax.transforms.first_words import first_words

# The formats whose readers want a whole file, and map it.
IN_PLACE = ("finalfusion", "fasttext", "msgpack")
_PIECE = 1 << 20


def load(
    path: File,
    *,
    format: str | None = None,
    mmap: bool = False,
    lossy: bool = False,
    limit: int | None = None,
    sharding: NamedSharding | None = None,
) -> Embeddings:
    r"""Reads embeddings in any format: finalfusion, fastText, word2vec, GloVe and other text, floret, snapshots.

    The format is recognized by the content of the file, not by its name. The file may be compressed (gzip, bzip2, xz,
    zstd) or the one file in a zip or tar archive; compressed finalfusion and fastText files and snapshots are first
    inflated into a temporary file.

    Args:
        path: a path, or a descriptor, which is closed afterwards as `open` does.
        format: `"finalfusion"`, `"fasttext"`, `"word2vec"`, `"text"`, `"textdims"` (text with a first line `rows dims`)
            `"floret"` or `"msgpack"` (a snapshot), to leave nothing to be recognized.
        mmap: whether to map what can be mapped: the matrices of finalfusion and fastText files. Other formats have no
            matrices that could be, and are read. The file must not be changed in place as long as the embeddings are
            used.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to read at most; n-grams are all read.
        sharding: how to divide the rows over devices, which gives a `ShardedArray`; `PartitionSpec()` puts all rows on
            every device. Of a finalfusion file, quantized or not, each device is handed its rows straight from it;
            other formats are read first.

    Returns:
        The embeddings.

    Raises:
        FormatError: the file is in none of the formats, and the error says what was tried and what was seen; or it is
            truncated or corrupt, and the error has the byte and the field.
        TypeError: `limit` is no whole number, or a `sharding` is given for rows that are put together when they are
            read, as those of quantized fastText models with n-grams are.
        ValueError: `format` is none of those, `limit` is negative, or given for a floret table, which has no words.
        OSError: the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors"
        >>> _ = path.write_text("one 3.0 4.0\ntwo 0.5 0.0\n")
        >>> ffjax.load(path)
        Embeddings(NdArray(2 x 2), SimpleVocab(2 words), Norms(2))
        >>> ffjax.load(path, limit=1).vocab.words
        ['one']
    """
    if format is not None and format not in FORMATS:
        raise ValueError(f"`format`: expected one of {', '.join(map(repr, FORMATS))}, or None, got {format!r}.")
    check_limit(limit)
    if sharding is None:
        return _read(path, format, mmap, lossy, limit)
    read = _read(path, format, True, lossy, limit, composed=False)
    if not read.storage.row_arrays:
        raise TypeError(
            f"`sharding`: expected rows of floats or codes, got a {type(read.storage).__name__}, whose rows are put "
            "together when they are read. Load it without, and divide `np.asarray(embeddings.storage)` with "
            "`ffjax.ShardedArray`."
        )
    return read.replace(storage=ShardedArray(read.storage, sharding))


def _read(
    path: File, format: str | None, mmap: bool, lossy: bool, limit: int | None, *, composed: bool = True
) -> Embeddings:
    with open_stream(path) as stream:
        found = detect(stream) if format is None else format
        if found in IN_PLACE:
            mapped = mmap and (composed or found == "finalfusion")
            return load_in_place(stream, path, found, mmap=mapped, lossy=lossy, limit=limit)
        if found == "word2vec":
            return load_word2vec(stream, lossy, limit)
        if found == "floret":
            if limit is not None:
                raise ValueError(f"`limit`: expected None for a floret table, which has no words, got {limit}.")
            return load_floret(stream)
        return (load_text if found == "text" else load_text_dims)(stream, lossy, limit)


def load_in_place(
    stream: Stream, path: File, format: str, *, mmap: bool, lossy: bool, limit: int | None
) -> Embeddings:
    """Reads a finalfusion file, a fastText file or a snapshot, as `load` does.

    Args:
        stream: the file, opened, at its start.
        path: what `stream` was opened from.
        format: which of these it is.
        mmap: as in `load`.
        lossy: as in `load`.
        limit: as in `load`.
    """
    if format == "finalfusion":
        return _in_place(stream, path, lambda file: first_words(load_finalfusion(file, mmap=mmap), limit))
    if format == "msgpack":
        return _in_place(stream, path, lambda file: first_words(load_snapshot(file), limit))
    return _in_place(stream, path, lambda file: load_fasttext(file, mmap=mmap, lossy=lossy, limit=limit))


def _in_place(stream: Stream, path: File, read: Callable[[File], Embeddings]) -> Embeddings:
    """Reads a file that its reader wants to map: the file itself, or a temporary one with what it inflates to."""
    if not stream.wrapping and stream.size is not None:
        if not isinstance(path, int):
            return read(path)
        copy = os.dup(path)
        os.lseek(copy, 0, os.SEEK_SET)
        return _named(path, read, copy)
    with tempfile.TemporaryFile() as whole:
        while piece := stream.read(_PIECE):
            whole.write(piece)
        whole.flush()
        whole.seek(0)
        return _named(path, read, os.dup(whole.fileno()))


def _named(path: File, read: Callable[[File], Embeddings], descriptor: int) -> Embeddings:
    try:
        return read(descriptor)
    except FormatError as error:
        error.file = path  # not the number of a file that the user has never seen
        raise
