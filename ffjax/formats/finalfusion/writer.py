"""Writing finalfusion files: whole embeddings, or chunks by themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Chunk, Embeddings
from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion import arrays, vocabs
from ffjax.formats.finalfusion.header import (
    CHUNK_HEADER_BYTES,
    MAX_TOML_BYTES,
    ChunkId,
    cannot_hold,
    write_header,
)
from ffjax.formats.io.binary import File, Output
from ffjax.storage import ComposedArray, ShardedArray, Storage

# Storages that are written as something else: rows on several devices in one place.
_AS_WRITTEN: Any = {ComposedArray: arrays.ComposedRows, ShardedArray: lambda storage: storage[:]}


def write_finalfusion(path: File, embeddings: Embeddings, *, drop_training: bool = False) -> None:
    """Writes embeddings as a finalfusion file; `Embeddings.write` is this.

    The old file stays complete until the new one is. Descriptors, pipes and devices are written to
    directly.

    Args:
        path: the path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write. A `ComposedArray` is written as the rows that it composes, a
            block at a time.
        drop_training: whether to leave out `training` (counts, labels, the output matrix), for
            which the format has no place. `Embeddings.write` does.

    Raises:
        TypeError: if `embeddings` is not an `Embeddings`.
        ValueError: if it has `training`, and `drop_training` is not set.
        FinalfusionFormatError: if the format cannot hold it: the matrix is not of 32-bit floats,
            words share rows or are not UTF-8, or n-grams of one character are left out at the
            edges of words.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.fifu"
        >>> matrix = np.eye(2, 3, dtype=np.float32)
        >>> emb = ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(["one", "two"]))
        >>> ffjax.write_finalfusion(path, emb)
        >>> ffjax.load_finalfusion(path) == emb
        True
    """
    if not isinstance(embeddings, Embeddings):
        raise TypeError(
            f"`embeddings`: expected Embeddings, got {type(embeddings).__name__}. "
            "Write parts with `write_chunks`."
        )
    if embeddings.training is not None and not drop_training:
        raise ValueError(
            "`embeddings`: expected no `training`, since finalfusion files have no place for "
            "counts, labels and output matrix. Drop them with `drop_training=True`."
        )
    chunks = [_as_written(chunk) for chunk in embeddings.chunks()]
    for chunk in chunks:
        if isinstance(chunk, arrays.ComposedRows) and embeddings.stored_norms is None:
            # The norms come out of composing the rows, which should happen once.
            if len(chunk.norms) == embeddings.vocab.n_word_rows:
                chunks[-1] = chunk.norms
    _write(path, chunks)


def write_chunks(path: File, chunks: Sequence[Chunk]) -> None:
    """Writes metadata, vocabularies, storages or norms by themselves as a finalfusion file.

    `load_metadata`, `load_vocab`, `load_storage` and `load_norms` read them.
    `write_chunks(file, [vocab])` is what finalfusion-python calls `vocab.write(file)`.

    Args:
        path: the path, or a descriptor, which is closed afterwards as `open` does.
        chunks: the parts, in the order in which the file is to hold them; at least one.

    Raises:
        TypeError: if an item is something else.
        ValueError: if there is no item.
        FinalfusionFormatError: if the format cannot hold one of them.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.fifu"
        >>> ffjax.write_chunks(path, [ffjax.SimpleVocab(["one", "two"])])
        >>> ffjax.load_vocab(path).words
        ['one', 'two']
    """
    if isinstance(chunks, Chunk):
        name = type(chunks).__name__
        raise TypeError(f"`chunks`: expected a list of chunks, got one {name}. Write `[chunk]`.")
    if not chunks:
        raise ValueError("`chunks`: expected at least one, got none.")
    _write(path, [_as_written(chunk) for chunk in chunks])


def finalfusion_size(embeddings: Embeddings) -> int:
    """The bytes of the file that `write_finalfusion` would write, by the shapes of arrays alone."""
    return _size([_as_written(chunk) for chunk in embeddings.chunks()])


def _write_metadata(out: Output, metadata: Metadata) -> None:
    length = int(metadata.length)
    if length > MAX_TOML_BYTES:
        raise cannot_hold("text", f"at most {MAX_TOML_BYTES} bytes", str(length))
    out.write(np.asarray(metadata.data)[:length])


_WRITERS = {Metadata: (ChunkId.Metadata, _write_metadata), **vocabs.WRITERS, **arrays.WRITERS}


def write_chunk(out: Output, value: Any) -> None:
    """Writes a chunk with its header."""
    identifier, write = _writer_of(value)
    length = vocabs.declared_length(value, _body_bytes(value, out.position))
    out.pack("IQ", identifier, length)
    write(out, value)


def _write(path: File, values: Sequence[Any]) -> None:
    try:
        _size(values)  # what cannot be stored is an error before there is a file
    except FinalfusionFormatError as error:
        error.file = path
        raise
    with open_output(path) as raw:
        out = Output(raw)
        write_header(out, [_writer_of(value)[0] for value in values])
        for value in values:
            write_chunk(out, value)


def _size(values: Sequence[Any]) -> int:
    out = Output(None)
    write_header(out, [ChunkId.NdArray] * len(values))
    for value in values:
        out.position += CHUNK_HEADER_BYTES + _body_bytes(value, out.position)
    return out.position


def _body_bytes(value: Any, position: int) -> int:
    """The length of a chunk without its header, which begins at `position`."""
    identifier, write = _writer_of(value)
    out = Output(None, position + CHUNK_HEADER_BYTES)
    try:
        write(out, value)
    except FinalfusionFormatError as error:
        error.chunk = identifier.name
        raise
    return out.position - position - CHUNK_HEADER_BYTES


def _as_written(chunk: Any) -> Any:
    return _AS_WRITTEN.get(type(chunk), lambda value: value)(chunk)


def _writer_of(value: Any) -> tuple[ChunkId, Any]:
    for kind in type(value).__mro__:
        if kind in _WRITERS:
            return _WRITERS[kind]
    name = type(value).__name__
    if isinstance(value, Storage):
        error = cannot_hold(
            "type",
            "a matrix of float32 or the codes of a product quantizer, which is all that "
            "finalfusion holds",
            f"the rows of {name}",
            "Write a snapshot, which keeps them (`ffjax.save(..., format='msgpack')`), or plain "
            "vectors (`ffjax.reconstruct(embeddings)`).",
        )
        error.chunk = ChunkId.NdArray.name
        raise error
    names = ", ".join(kind.__name__ for kind in _WRITERS if kind is not arrays.ComposedRows)
    raise TypeError(f"`chunks`: expected {names}, got {name}.")
