"""Reading finalfusion files: whole embeddings, or one chunk.

Every length that a file declares is checked against the bytes that remain before anything is allocated for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion import (
    bucket_vocab,
    explicit_vocab,
    floret_vocab,
    metadata,
    ndarray,
    norms,
    quantized,
    simple_vocab,
)
from ffjax.formats.finalfusion.header import (
    MAGIC,
    STORAGES,
    VOCABS,
    ChunkId,
    read_chunk_header,
    read_header,
)
from ffjax.formats.io.binary import ByteSource, Cursor, File
from ffjax.formats.io.streams import open_source
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab

# A chunk's identifier, where it begins, and its body.
FoundChunk: TypeAlias = tuple[ChunkId, int, Cursor]

_VOCAB_READERS = {
    ChunkId.SimpleVocab: simple_vocab.read,
    ChunkId.BucketSubwordVocab: bucket_vocab.read,
    ChunkId.FastTextSubwordVocab: bucket_vocab.read_fasttext,
    ChunkId.ExplicitSubwordVocab: explicit_vocab.read,
    ChunkId.FloretSubwordVocab: floret_vocab.read,
}
_STORAGE_READERS = {ChunkId.NdArray: ndarray.read, ChunkId.QuantizedArray: quantized.read}


def load_finalfusion(file: File, mmap: bool = False) -> Embeddings:
    """Reads embeddings from a finalfusion file.

    The file holds metadata (if it has any), a vocabulary, a storage and norms (if it has any), in this order. Norms
    that the header does not list are read too, since some programs wrote such files.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        mmap: whether to map the matrix, or the codes of a quantized one, instead of reading it into memory. The
            file must not be changed in place as long as the embeddings are used; what is
            not a regular file is copied to a temporary one.

    Returns:
        The embeddings; arrays that are not mapped are on the default device.

    Raises:
        FinalfusionFormatError: the file is truncated, corrupt, or has other chunks. The error
            has the file, the byte offset, the chunk and the field.
        OSError: it cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.fifu"
        >>> matrix = np.eye(2, 3, dtype=np.float32)
        >>> ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(["one", "two"])).write(path)
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
        FinalfusionFormatError: the file is corrupt, or has no vocabulary; the error names the chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.fifu"
        >>> ffjax.write_chunks(path, [ffjax.SimpleVocab(["one", "two"])])
        >>> ffjax.load_vocab(path)
        SimpleVocab(2 words)
    """
    with _open(file) as source:
        return _read_vocab(_first(source, "a vocabulary", VOCABS))


def load_storage(file: File, mmap: bool = False) -> Storage:
    """Reads the storage of a finalfusion file, the first one if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        mmap: whether to map it, as in `load_finalfusion`.

    Raises:
        FinalfusionFormatError: the file is corrupt, or has no storage; the error names the chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "storage.fifu"
        >>> ffjax.write_chunks(path, [ffjax.NdArray(np.eye(2, 3, dtype=np.float32))])
        >>> ffjax.load_storage(path, mmap=True)
        NdArray(2 x 3)
    """
    with _open(file) as source:
        return _read_storage(_first(source, "a storage", STORAGES), mmap)


def load_norms(file: File) -> Norms:
    """Reads the norms of a finalfusion file, the first ones if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.

    Raises:
        FinalfusionFormatError: the file is corrupt, or has no norms; the error names the chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "norms.fifu"
        >>> ffjax.write_chunks(path, [ffjax.Norms(np.ones(3, dtype=np.float32))])
        >>> ffjax.load_norms(path)
        Norms(3)
    """
    with _open(file) as source:
        return norms.read(_first(source, "norms", (ChunkId.NdNorms,))[2])


def load_metadata(file: File) -> Metadata:
    """Reads the metadata of a finalfusion file, the first ones if it has several.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.

    Raises:
        FinalfusionFormatError: the file is corrupt, or has no metadata; the error names the chunks that it has.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "metadata.fifu"
        >>> ffjax.write_chunks(path, [ffjax.Metadata({"corpus": "news"})])
        >>> ffjax.load_metadata(path)["corpus"]
        'news'
    """
    with _open(file) as source:
        return metadata.read(_first(source, "metadata", (ChunkId.Metadata,))[2])


def read_embeddings(source: ByteSource, *, mmap: bool = False) -> Embeddings:
    """Reads embeddings from a file that is open, or from bytes in memory; `load_finalfusion` is this for a path.

    Raises:
        FinalfusionFormatError: as `load_finalfusion`.
    """
    chunks = find_chunks(source)
    left = list(chunks)

    def following(kinds: Sequence[ChunkId]) -> FoundChunk | None:
        return left.pop(0) if left and left[0][0] in kinds else None

    has_metadata = following((ChunkId.Metadata,))
    has_vocab = following(VOCABS)
    if has_vocab is None:
        raise _not_embeddings(source, "a vocabulary", left, chunks)
    has_storage = following(STORAGES)
    if has_storage is None:
        raise _not_embeddings(source, "a storage behind the vocabulary", left, chunks)
    has_norms = following((ChunkId.NdNorms,))
    if left:
        raise _not_embeddings(source, "nothing more, or norms behind the storage", left, chunks)

    meta = None if has_metadata is None else metadata.read(has_metadata[2])
    vocab = _read_vocab(has_vocab)
    storage = _read_storage(has_storage, mmap)
    _check_rows(source, has_storage, "rows", vocab.upper_bound, storage.shape[0], "that the vocabulary addresses")
    lengths = None if has_norms is None else norms.read(has_norms[2])
    if has_norms is not None and lengths is not None:
        _check_rows(source, has_norms, "number of norms", vocab.n_word_rows, len(lengths), "word")
    return Embeddings(storage, vocab, lengths, meta)


def find_chunks(source: ByteSource) -> list[FoundChunk]:
    """Steps through a file's chunks without reading them.

    Raises:
        FinalfusionFormatError: the header is wrong or lists other chunks than follow, or one reaches beyond the end.
    """
    try:
        return _step_through(source, short_explicit=False)
    except FinalfusionFormatError:
        # finalfusion-python writes too small a length for explicit n-grams; the rest of the file shows that it did.
        with suppress(FinalfusionFormatError):
            return _step_through(source, short_explicit=True)
        raise


def _step_through(source: ByteSource, *, short_explicit: bool) -> list[FoundChunk]:
    cursor = Cursor(source)
    listed = read_header(cursor)
    found: list[FoundChunk] = []
    while cursor.remaining or len(found) < len(listed):
        start = cursor.position
        identifier, body = read_chunk_header(cursor, short_explicit=short_explicit)
        number = len(found)
        # Old versions of finalfusion left the norms out of the header.
        expected = listed[number] if number < len(listed) else ChunkId.NdNorms
        if identifier != expected or number > len(listed):
            where = "as the header lists" if number < len(listed) else "since the header lists no more"
            end = "the end of the file"
            cursor.chunk = None
            raise cursor.error(
                f"chunk {number}",
                f"{expected.name if number < len(listed) else end}, {where}",
                identifier.name,
                offset=start,
            )
        found.append((identifier, start, body))
    return found


def _open(file: File) -> Any:
    return open_source(file, magic=MAGIC, error=FinalfusionFormatError)


def _first(source: ByteSource, what: str, kinds: Sequence[ChunkId]) -> FoundChunk:
    chunks = find_chunks(source)
    for chunk in chunks:
        if chunk[0] in kinds:
            return chunk
    raise FinalfusionFormatError(source.name, expected=f"{what} in the file", got=_named(chunks))


def _read_vocab(chunk: FoundChunk) -> Vocab:
    identifier, _, cursor = chunk
    return _VOCAB_READERS[identifier](cursor)


def _read_storage(chunk: FoundChunk, mmap: bool) -> Storage:
    identifier, _, cursor = chunk
    return _STORAGE_READERS[identifier](cursor, mmap=mmap)


def _check_rows(source: ByteSource, chunk: FoundChunk, field: str, expected: int, got: int, what: str) -> None:
    if expected != got:
        raise FinalfusionFormatError(
            source.name,
            offset=chunk[1],
            chunk=chunk[0].name,
            field=field,
            expected=f"{expected}, one for each {what}",
            got=str(got),
        )


def _not_embeddings(
    source: ByteSource, expected: str, left: Sequence[FoundChunk], chunks: Sequence[FoundChunk]
) -> FinalfusionFormatError:
    return FinalfusionFormatError(
        source.name,
        offset=left[0][1] if left else len(source),
        field="chunks of embeddings",
        expected=expected,
        got=f"{left[0][0].name if left else 'the end of the file'} (the file has {_named(chunks)})",
        hint="Read one chunk with `load_vocab`, `load_storage`, `load_norms` or `load_metadata`.",
    )


def _named(chunks: Sequence[FoundChunk]) -> str:
    return ", ".join(identifier.name for identifier, _, _ in chunks)
