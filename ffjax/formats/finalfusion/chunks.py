"""The kinds of chunks, each with the functions that read and write its body.

The chunk of metadata, after identifier 5 and length, is a TOML document in UTF-8. Its text is kept
as it is, comments included.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ffjax.embeddings.metadata import Metadata
from ffjax.formats.finalfusion import arrays, vocabs
from ffjax.formats.finalfusion.header import ChunkId, cannot_hold
from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage import NdArray, QuantizedArray
from ffjax.storage.norms import Norms
from ffjax.vocab import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    SimpleVocab,
)

# Documents have a few kilobytes; gigabytes would only keep the TOML parser busy.
_MAX_BYTES = 1 << 22
# The parser's time grows with the dots of a key times the keys: this many take a few seconds.
_MAX_STEPS = 1 << 23


class ChunkType(NamedTuple):
    """A kind of chunk, the values it holds, and the functions for its body."""

    identifier: ChunkId
    holds: type
    read: Callable[..., Any]
    write: Callable[[Output, Any], None]


def read_metadata(cursor: Cursor) -> Metadata:
    """Reads the body of chunk 5."""
    start = cursor.position
    if cursor.remaining > _MAX_BYTES:
        raise cursor.error("text", f"at most {_MAX_BYTES} bytes", str(cursor.remaining))
    text = cursor.text("text", cursor.remaining)
    dots = max(line.count(".") for line in text.split("\n"))
    if dots * (text.count(".") + text.count("\n")) > _MAX_STEPS:
        got = f"a line with {dots} dots"
        raise cursor.error("text", "keys of a few parts", got, offset=start)
    try:
        return Metadata.from_toml(text)
    except (RecursionError, ValueError) as error:  # also for a number of more digits than allowed
        problem = error.__cause__ or error
        got = "nested too deeply" if isinstance(error, RecursionError) else problem
        raise cursor.error("text", "a TOML document", f"an error: {got}", offset=start) from error


def write_metadata(out: Output, metadata: Metadata) -> None:
    """Writes the body of chunk 5."""
    length = int(metadata.length)
    if length > _MAX_BYTES:
        raise cannot_hold("text", f"at most {_MAX_BYTES} bytes", str(length))
    out.write(np.asarray(metadata.data)[:length])


CHUNKS = (
    ChunkType(ChunkId.Metadata, Metadata, read_metadata, write_metadata),
    ChunkType(ChunkId.SimpleVocab, SimpleVocab, vocabs.read_simple, vocabs.write_simple),
    ChunkType(
        ChunkId.BucketSubwordVocab,
        FinalfusionBucketVocab,
        vocabs.read_buckets,
        vocabs.write_buckets,
    ),
    ChunkType(
        ChunkId.FastTextSubwordVocab, FastTextVocab, vocabs.read_fasttext, vocabs.write_buckets
    ),
    ChunkType(
        ChunkId.ExplicitSubwordVocab, ExplicitVocab, vocabs.read_explicit, vocabs.write_explicit
    ),
    ChunkType(ChunkId.FloretSubwordVocab, FloretVocab, vocabs.read_floret, vocabs.write_floret),
    ChunkType(ChunkId.NdArray, NdArray, arrays.read_matrix, arrays.write_matrix),
    ChunkType(ChunkId.NdArray, arrays.ComposedRows, arrays.read_matrix, arrays.write_composed),
    ChunkType(
        ChunkId.QuantizedArray, QuantizedArray, arrays.read_quantized, arrays.write_quantized
    ),
    ChunkType(ChunkId.NdNorms, Norms, arrays.read_norms, arrays.write_norms),
)
