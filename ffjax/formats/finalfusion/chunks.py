"""The chunks of finalfusion files: what they hold, and what reads and writes them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ffjax.embeddings.metadata import Metadata
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
from ffjax.formats.finalfusion.header import ChunkId
from ffjax.formats.io.binary import Output
from ffjax.storage import NdArray, QuantizedArray
from ffjax.storage.norms import Norms
from ffjax.vocab import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    SimpleVocab,
)


class ChunkType(NamedTuple):
    """A kind of chunk, the values it holds, and the functions for its body."""

    identifier: ChunkId
    holds: type
    read: Callable[..., Any]
    write: Callable[[Output, Any], None]


_buckets = bucket_vocab
CHUNKS = (
    ChunkType(ChunkId.Metadata, Metadata, metadata.read, metadata.write),
    ChunkType(ChunkId.SimpleVocab, SimpleVocab, simple_vocab.read, simple_vocab.write),
    ChunkType(ChunkId.BucketSubwordVocab, FinalfusionBucketVocab, _buckets.read, _buckets.write),
    ChunkType(
        ChunkId.FastTextSubwordVocab, FastTextVocab, _buckets.read_fasttext, _buckets.write_fasttext
    ),
    ChunkType(
        ChunkId.ExplicitSubwordVocab, ExplicitVocab, explicit_vocab.read, explicit_vocab.write
    ),
    ChunkType(ChunkId.FloretSubwordVocab, FloretVocab, floret_vocab.read, floret_vocab.write),
    ChunkType(ChunkId.NdArray, NdArray, ndarray.read, ndarray.write),
    ChunkType(ChunkId.NdArray, ndarray.ComposedRows, ndarray.read, ndarray.write_composed),
    ChunkType(ChunkId.QuantizedArray, QuantizedArray, quantized.read, quantized.write),
    ChunkType(ChunkId.NdNorms, Norms, norms.read, norms.write),
)
