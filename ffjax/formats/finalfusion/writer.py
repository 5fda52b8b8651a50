"""Writing finalfusion files: whole embeddings, or chunks by themselves."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Chunk, Embeddings
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
from ffjax.formats.finalfusion import (
    composed_ndarray as composed,
)
from ffjax.formats.finalfusion.composed_ndarray import Composing
from ffjax.formats.finalfusion.header import ChunkId, header_size, write_header
from ffjax.formats.io.binary import File, Output
from ffjax.storage import ComposedArray, Int8Array, NdArray, QuantizedArray, ShardedArray
from ffjax.storage.norms import Norms
from ffjax.vocab import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    SimpleVocab,
)

_FORMATS: tuple[tuple[type, ChunkId, ModuleType], ...] = (
    (Metadata, ChunkId.Metadata, metadata),
    (SimpleVocab, ChunkId.SimpleVocab, simple_vocab),
    (FinalfusionBucketVocab, ChunkId.BucketSubwordVocab, bucket_vocab),
    (FastTextVocab, ChunkId.FastTextSubwordVocab, bucket_vocab),
    (ExplicitVocab, ChunkId.ExplicitSubwordVocab, explicit_vocab),
    (FloretVocab, ChunkId.FloretSubwordVocab, floret_vocab),
    (NdArray, ChunkId.NdArray, ndarray),
    (Composing, ChunkId.NdArray, composed),
    (QuantizedArray, ChunkId.QuantizedArray, quantized),
    (Norms, ChunkId.NdNorms, norms),
)


def write_finalfusion(file: File, embeddings: Embeddings, *, drop_training: bool = False) -> None:
    """Writes embeddings as a finalfusion file; `Embeddings.write` is this.

    The old file stays whole until the new one is complete. A descriptor, a pipe or a device is written to as it is.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write. A `ComposedArray` is written as the rows that it composes, a block at a time.
        drop_training: whether to leave out `training` (counts, labels, the output matrix), which the format has no
            place for; `Embeddings.write` does.

    Raises:
        TypeError: `embeddings` are none.
        ValueError: they have `training`, and `drop_training` is not set.
        FinalfusionFormatError: the format cannot hold them: the matrix is not of 32-bit floats, words share rows or
            are not UTF-8, or n-grams of one character are left out at the edges of words.
        OSError: the file cannot be written.

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
            f"`embeddings`: expected Embeddings, got {type(embeddings).__name__}. Write parts with `write_chunks`."
        )
    if embeddings.training is not None and not drop_training:
        raise ValueError(
            "`embeddings`: expected no `training`, since finalfusion files have no place for counts, labels and output "
            "matrix. Allow them to be lost with `drop_training=True`."
        )
    chunks: list[Any] = embeddings.chunks()
    if isinstance(embeddings.storage, ComposedArray):
        composing = Composing.of(embeddings.storage)
        chunks = [composing if chunk is embeddings.storage else chunk for chunk in chunks]
        if embeddings.own_norms is None and len(composing.norms) == embeddings.vocab.n_word_rows:
            # The storage's own, which come of composing its rows.
            chunks[-1] = composing.norms
    _write(file, [_gathered(chunk) for chunk in chunks])


def write_chunks(file: File, chunks: Sequence[Chunk]) -> None:
    """Writes metadata, vocabularies, storages or norms by themselves as a finalfusion file.

    `load_metadata`, `load_vocab`, `load_storage` and `load_norms` read them. `write_chunks(file, [vocab])` is what
    finalfusion-python calls `vocab.write(file)`.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        chunks: the parts, in the order in which the file is to hold them; at least one.

    Raises:
        TypeError: an item is none of those.
        ValueError: there is no item.
        FinalfusionFormatError: the format cannot hold one of them.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.fifu"
        >>> ffjax.write_chunks(path, [ffjax.SimpleVocab(["one", "two"])])
        >>> ffjax.load_vocab(path).words
        ['one', 'two']
    """
    if isinstance(chunks, Chunk):
        raise TypeError(f"`chunks`: expected a list of chunks, got one {type(chunks).__name__}. Write `[chunk]`.")
    if not chunks:
        raise ValueError("`chunks`: expected at least one, got none.")
    _write(file, [Composing.of(chunk) if isinstance(chunk, ComposedArray) else _gathered(chunk) for chunk in chunks])


def _gathered(chunk: Any) -> Any:
    """Rows that are divided over devices in one place; anything else as it is."""
    return chunk[:] if isinstance(chunk, ShardedArray) else chunk


def _write(file: File, chunks: Sequence[Any]) -> None:
    formats = [_format(chunk, file) for chunk in chunks]
    # What cannot be stored is refused before a file is made.
    position = header_size(len(chunks))
    for chunk, (_, module) in zip(chunks, formats, strict=True):
        position += module.size(chunk, position, file=file)
    with open_output(file) as raw:
        out = Output(raw)
        write_header(out, [identifier for identifier, _ in formats])
        for chunk, (_, module) in zip(chunks, formats, strict=True):
            module.write(out, chunk)


def _format(chunk: Any, file: File) -> tuple[ChunkId, ModuleType]:
    if isinstance(chunk, Int8Array):
        raise FinalfusionFormatError(
            file,
            chunk=ChunkId.NdArray.name,
            field="type",
            expected="float32 or the codes of a product quantizer, which is all that finalfusion holds",
            got="int8 with a scale a row",
            hint="Write a snapshot, which keeps it (`ffjax.save(..., format='msgpack')`), or write the numbers that it "
            "stands for (`ffjax.reconstruct(embeddings)`).",
        )
    for kind, identifier, module in _FORMATS:
        if isinstance(chunk, kind):
            return identifier, module
    names = ", ".join(kind.__name__ for kind, _, _ in _FORMATS if kind is not Composing)
    raise TypeError(f"`chunks`: expected {names}, got {type(chunk).__name__}.")
