"""What a finalfusion file holds, by the first numbers of its chunks."""

import struct
import tomllib
from typing import Any

from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion.header import (
    MAGIC,
    STORAGES,
    VOCABS,
    ChunkId,
    ChunkInFile,
    find_chunks,
)
from ffjax.formats.io.streams import Stream, open_source

# The numbers with which the body of a chunk begins; the module of each chunk has its layout.
_HEADS = {
    ChunkId.SimpleVocab: ("Q", ["words"]),
    ChunkId.BucketSubwordVocab: ("QIII", ["words", "min_n", "max_n", "exponent"]),
    ChunkId.FastTextSubwordVocab: ("QIII", ["words", "min_n", "max_n", "buckets"]),
    ChunkId.ExplicitSubwordVocab: ("QQII", ["words", "ngrams", "min_n", "max_n"]),
    ChunkId.FloretSubwordVocab: ("IIQI", ["min_n", "max_n", "buckets", "hashes"]),
    ChunkId.NdArray: ("QI", ["rows", "dims"]),
    ChunkId.QuantizedArray: (
        "IIIIIQ",
        ["rotated", "row_norms", "codes_per_row", "dims", "centroids", "rows"],
    ),
    ChunkId.NdNorms: ("Q", ["norms"]),
}


def describe(stream: Stream) -> dict[str, Any]:
    """The chunks of a file, and the numbers that they begin with."""
    with open_source(stream, magic=MAGIC, error=FinalfusionFormatError) as source:
        chunks = find_chunks(source)
        first = {chunk.identifier: chunk for chunk in reversed(chunks)}
        facts: dict[str, Any] = {"chunks": [chunk.identifier.name for chunk in chunks]}
        for kind in (*VOCABS, *STORAGES, ChunkId.NdNorms):
            if kind in first:
                facts |= _head(first[kind])
        if "ngrams" in facts and "rows" in facts:
            facts["ngram_rows"] = facts["rows"] - facts["words"]
        if ChunkId.Metadata in first:
            facts["metadata"] = _metadata_keys(first[ChunkId.Metadata])
        return facts


def _head(chunk: ChunkInFile) -> dict[str, Any]:
    kind = chunk.identifier
    code, names = _HEADS[kind]
    raw = chunk.body.take("head", struct.calcsize(f"<{code}"))
    facts: dict[str, Any] = dict(zip(names, struct.unpack(f"<{code}", raw), strict=True))
    if kind in VOCABS:
        facts = {"vocabulary": kind.name, "words": 0, **facts}
    if "min_n" in facts:
        facts["ngram_lengths"] = f"{facts.pop('min_n')} to {facts.pop('max_n')}"
    if kind == ChunkId.BucketSubwordVocab:
        facts["buckets"] = 1 << min(facts.pop("exponent"), 63)
    if kind in STORAGES:
        facts["storage"] = kind.name
    if kind == ChunkId.NdArray:
        facts["dtype"] = "float32"
    if kind == ChunkId.QuantizedArray:
        facts |= {name: bool(facts[name]) for name in ("rotated", "row_norms")}
    return facts


def _metadata_keys(chunk: ChunkInFile) -> list[str]:
    text = chunk.body.text("text", chunk.body.remaining)
    try:
        return list(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise chunk.body.error("text", "a TOML document", f"an error: {error}") from error
