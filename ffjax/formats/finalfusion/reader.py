"""Reading finalfusion files: whole embeddings, or one chunk.

Each length in a file is checked against the bytes that remain before anything is allocated for it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FinalfusionFormatError, FormatError
from ffjax.formats.finalfusion import arrays, vocabs
from ffjax.formats.finalfusion.header import (
    MAGIC,
    STORAGES,
    VOCABS,
    ChunkId,
    ChunkInFile,
    find_chunks,
    read_toml,
)
from ffjax.formats.io.binary import ByteSource, Cursor, File
from ffjax.formats.io.streams import Stream, open_source
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab


def load_finalfusion(file: File | Stream, mmap: bool = False) -> Embeddings:
    """Reads embeddings from a finalfusion file.

    The file holds metadata (if it has any), a vocabulary, a storage and norms (if it has any), in
    this order. Norms that the header does not list are read too, since some programs wrote such
    files.

    Args:
        file: a path; a descriptor, which is closed afterwards as `open` does; or a stream.
        mmap: whether to map the matrix, or the codes of a quantized one, instead of reading it into
            memory. The file must not be changed in place while the embeddings are used. What is not
            a regular file is copied to a temporary one.

    Returns:
        The embeddings; arrays that are not mapped are on the default device.

    Raises:
        FinalfusionFormatError: if the file is truncated, corrupt, or has other chunks. The error
            has the file, the byte offset, the chunk and the field.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.fifu"
        >>> storage = ffjax.NdArray(np.eye(2, 3, dtype=np.float32))
        >>> ffjax.Embeddings(storage, ffjax.SimpleVocab(["one", "two"])).write(path)
        >>> ffjax.load_finalfusion(path)["two"]
        array([0., 1., 0.], dtype=float32)
    """
    with _open(file) as source:
        return read_embeddings(source, mmap=mmap)


def load_vocab(file: File) -> Vocab:
    """Reads the vocabulary of a finalfusion file, the first one if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.

    Raises:
        FinalfusionFormatError: if the file is corrupt, or has no vocabulary; the error names the
            chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.fifu"
        >>> ffjax.write_chunks(path, [ffjax.SimpleVocab(["one", "two"])])
        >>> ffjax.load_vocab(path)
        SimpleVocab(2 words)
    """
    return _load_first(file, "a vocabulary", VOCABS)


def load_storage(file: File, mmap: bool = False) -> Storage:
    """Reads the storage of a finalfusion file, the first one if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        mmap: whether to map it, as in `load_finalfusion`.

    Raises:
        FinalfusionFormatError: if the file is corrupt, or has no storage; the error names the
            chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "storage.fifu"
        >>> ffjax.write_chunks(path, [ffjax.NdArray(np.eye(2, 3, dtype=np.float32))])
        >>> ffjax.load_storage(path, mmap=True)
        NdArray(2 x 3)
    """
    return _load_first(file, "a storage", STORAGES, mmap)


def load_norms(file: File) -> Norms:
    """Reads the norms of a finalfusion file, the first ones if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.

    Raises:
        FinalfusionFormatError: if the file is corrupt, or has no norms; the error names the chunks
            that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "norms.fifu"
        >>> ffjax.write_chunks(path, [ffjax.Norms(np.ones(3, dtype=np.float32))])
        >>> ffjax.load_norms(path)
        Norms(3)
    """
    return _load_first(file, "norms", (ChunkId.NdNorms,))


def load_metadata(file: File) -> Metadata:
    """Reads the metadata of a finalfusion file, the first if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.

    Raises:
        FinalfusionFormatError: if the file is corrupt, or has no metadata; the error names the
            chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "metadata.fifu"
        >>> ffjax.write_chunks(path, [ffjax.Metadata({"corpus": "news"})])
        >>> ffjax.load_metadata(path)["corpus"]
        'news'
    """
    return _load_first(file, "metadata", (ChunkId.Metadata,))


def read_embeddings(source: ByteSource, *, mmap: bool = False) -> Embeddings:
    """Reads embeddings from an open file or from bytes; `load_finalfusion` is this for a path."""
    chunks = find_chunks(source)
    remaining = list(chunks)
    metadata_chunk = _next(remaining, ChunkId.Metadata)
    if (vocab_chunk := _next(remaining, *VOCABS)) is None:
        raise _not_embeddings(source, chunks, remaining, "a vocabulary")
    if (storage_chunk := _next(remaining, *STORAGES)) is None:
        raise _not_embeddings(source, chunks, remaining, "a storage after the vocabulary")
    norms_chunk = _next(remaining, ChunkId.NdNorms)
    if remaining:
        raise _not_embeddings(source, chunks, remaining, "nothing more, or norms after the storage")

    metadata = metadata_chunk and _read(metadata_chunk)
    vocab, storage = _read(vocab_chunk), _read(storage_chunk, mmap)
    if len(storage) != vocab.upper_bound:
        expected = f"{vocab.upper_bound}, one for each that the vocabulary addresses"
        body, start = storage_chunk.body, storage_chunk.start
        raise body.error("rows", expected, str(len(storage)), offset=start)
    norms: Any = norms_chunk and _read(norms_chunk)
    if norms_chunk and len(norms) != vocab.n_word_rows:
        expected, got = f"{vocab.n_word_rows}, one for each word", str(len(norms))
        body, start = norms_chunk.body, norms_chunk.start
        raise body.error("number of norms", expected, got, offset=start)
    return Embeddings(storage, vocab, norms, metadata)


def _next(chunks: list[ChunkInFile], *kinds: ChunkId) -> ChunkInFile | None:
    """Takes the first chunk from a list if it is of one of these kinds."""
    return chunks.pop(0) if chunks and chunks[0].identifier in kinds else None


def _not_embeddings(
    source: ByteSource, chunks: list[ChunkInFile], remaining: list[ChunkInFile], expected: str
) -> FormatError:
    name, offset = "the end of the file", len(source)
    if remaining:
        name, offset = remaining[0].identifier.name, remaining[0].start
    got = f"{name} (the file has {_names(chunks)})"
    hint = "Read one chunk with `load_vocab`, `load_storage`, `load_norms` or `load_metadata`."
    return Cursor(source, offset).error("chunks of embeddings", expected, got, hint=hint)


def read_metadata(cursor: Cursor) -> Metadata:
    """Reads the body of chunk 5."""
    return read_toml(cursor, Metadata.from_toml)


_READERS = {ChunkId.Metadata: read_metadata, **vocabs.READERS, **arrays.READERS}


def _read(chunk: ChunkInFile, mmap: bool = False) -> Any:
    """Reads a chunk; storages may be mapped."""
    options = {"mmap": True} if mmap and chunk.identifier in STORAGES else {}
    value = _READERS[chunk.identifier](chunk.body, **options)
    chunk.body.finish()
    return value


def _open(path: File | Stream) -> AbstractContextManager[ByteSource]:
    return open_source(path, magic=MAGIC, error=FinalfusionFormatError)


def _load_first(path: File, what: str, kinds: Sequence[ChunkId], mmap: bool = False) -> Any:
    with _open(path) as source:
        chunks = find_chunks(source)
        for chunk in chunks:
            if chunk.identifier in kinds:
                return _read(chunk, mmap)
        expected = f"{what} in the file"
        raise FinalfusionFormatError(source.name, expected=expected, got=_names(chunks))


def _names(chunks: Sequence[ChunkInFile]) -> str:
    return ", ".join(chunk.identifier.name for chunk in chunks)
