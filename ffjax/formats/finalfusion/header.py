"""The beginnings of a finalfusion file and of its chunks. All numbers are little endian.

    magic      4 bytes        FiFu
    version    u32            0
    n_chunks   u32
    chunks     u32[n_chunks]  identifiers of the chunks, in order

Each chunk begins with

    identifier u32
    length     u64            bytes of the chunk after this field

The header lists every chunk that follows; old versions of finalfusion left out norms.

Chunk 5, metadata, is a TOML document in UTF-8. Its text is kept as it is, comments included.
"""

import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum, unique
from typing import Any, NamedTuple

from ffjax.errors import FinalfusionFormatError, FormatError
from ffjax.formats.io.binary import ByteSource, Cursor, Output
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.io.toml import parse_toml
from ffjax.formats.registry import FORMATS

(MAGIC,) = FORMATS["finalfusion"].magics
VERSION = 0
CHUNK_HEADER_BYTES = 12
# Programs write at most four chunks; a list of millions would only keep a reader busy.
MAX_CHUNKS = 256
# Documents have a few kilobytes; gigabytes would only keep the TOML parser busy.
MAX_TOML_BYTES = 1 << 22


@unique
class ChunkId(IntEnum):
    """What a chunk holds."""

    SimpleVocab = 1
    NdArray = 2
    BucketSubwordVocab = 3
    QuantizedArray = 4
    Metadata = 5
    NdNorms = 6
    FastTextSubwordVocab = 7
    ExplicitSubwordVocab = 8
    FloretSubwordVocab = 9


_IDENTIFIERS = int(min(ChunkId)), int(max(ChunkId))
VOCABS = tuple(kind for kind in ChunkId if kind.name.endswith("Vocab"))
STORAGES = (ChunkId.NdArray, ChunkId.QuantizedArray)
# The numbers with which the body of a chunk begins, and their codes in `struct`.
_HEADS = {
    ChunkId.SimpleVocab: "words=Q",
    ChunkId.BucketSubwordVocab: "words=Q min_n=I max_n=I exponent=I",
    ChunkId.FastTextSubwordVocab: "words=Q min_n=I max_n=I buckets=I",
    ChunkId.ExplicitSubwordVocab: "words=Q ngrams=Q min_n=I max_n=I",
    ChunkId.FloretSubwordVocab: "min_n=I max_n=I buckets=Q hashes=I",
    ChunkId.NdArray: "rows=Q dims=I",
    ChunkId.QuantizedArray: "rotated=I row_norms=I codes_per_row=I dims=I centroids=I rows=Q",
    ChunkId.NdNorms: "norms=Q",
}


class ChunkInFile(NamedTuple):
    """A chunk that has not been read: what it is, where it begins, and its body."""

    identifier: ChunkId
    start: int
    body: Cursor


def read_header(cursor: Cursor) -> list[ChunkId]:
    """Reads the beginning of a file and returns the chunks that it lists."""
    cursor.chunk = "header"
    start = cursor.position
    magic = bytes(cursor.take("magic", len(MAGIC)))
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic), offset=start)
    cursor.number("I", "version", VERSION, VERSION)
    count = cursor.number("I", "number of chunks", 1, MAX_CHUNKS)
    cursor.claim("number of chunks", count, 4, offset=start + 8)
    return [_read_identifier(cursor) for _ in range(count)]


def write_header(out: Output, chunks: Sequence[ChunkId]) -> None:
    """Writes the beginning of a file."""
    out.write(MAGIC)
    out.pack(f"II{len(chunks)}I", VERSION, len(chunks), *chunks)


def read_chunk_header(cursor: Cursor, *, short_explicit: bool = False) -> tuple[ChunkId, Cursor]:
    """Reads the beginning of a chunk and steps over its body, for which it returns a cursor."""
    cursor.chunk = "chunk header"
    identifier = _read_identifier(cursor)
    cursor.chunk = identifier.name
    length_at = cursor.position
    length = cursor.u64("length")
    if short_explicit and identifier == ChunkId.ExplicitSubwordVocab:
        body = Cursor(cursor.source, cursor.position, cursor.end, cursor.chunk)
        body.skip("number of words", 8)
        length += 8 * body.u64("number of n-grams")
    cursor.claim("length", length, offset=length_at)
    start = cursor.skip("length", length)
    return identifier, Cursor(cursor.source, start, start + length, identifier.name)


def find_chunks(source: ByteSource) -> list[ChunkInFile]:
    """Steps through a file's chunks without reading them."""
    try:
        return _step_through(source, short_explicit=False)
    except FinalfusionFormatError:
        # finalfusion-python writes too small a length for explicit n-grams; if it did so here, the
        # rest of the file fits the right length.
        with suppress(FinalfusionFormatError):
            return _step_through(source, short_explicit=True)
        raise


def read_toml(cursor: Cursor, parse: Callable[[str], Any]) -> Any:
    """Reads the body of chunk 5."""
    start = cursor.position
    if cursor.remaining > MAX_TOML_BYTES:
        raise cursor.error("text", f"at most {MAX_TOML_BYTES} bytes", str(cursor.remaining))
    text = cursor.text("text", cursor.remaining)
    try:
        return parse_toml(text, parse)
    except ValueError as error:  # also for a number of more digits than allowed
        got = f"an error: {error.__cause__ or error}"
        raise cursor.error("text", "a TOML document", got, offset=start) from error


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
            facts["metadata"] = list(read_toml(first[ChunkId.Metadata].body, tomllib.loads))
        return facts


def _step_through(source: ByteSource, *, short_explicit: bool) -> list[ChunkInFile]:
    cursor = Cursor(source)
    listed = read_header(cursor)
    chunks: list[ChunkInFile] = []
    while cursor.remaining or len(chunks) < len(listed):
        start, number = cursor.position, len(chunks)
        identifier, body = read_chunk_header(cursor, short_explicit=short_explicit)
        expected = None
        if number < len(listed):
            if identifier != listed[number]:
                expected = f"{listed[number].name}, as the header lists"
        elif identifier != ChunkId.NdNorms or number > len(listed):
            # Old versions of finalfusion left norms out of the header, but nothing else.
            expected = "the end of the file, since the header lists no more"
        if expected:
            cursor.chunk = None
            raise cursor.error(f"chunk {number}", expected, identifier.name, offset=start)
        chunks.append(ChunkInFile(identifier, start, body))
    return chunks


def _read_identifier(cursor: Cursor) -> ChunkId:
    return ChunkId(cursor.number("I", "chunk identifier", *_IDENTIFIERS))


def cannot_hold(field: str, expected: str, got: str, hint: str | None = None) -> FormatError:
    """The error about a value that a chunk cannot hold."""
    return FinalfusionFormatError(None, field=field, expected=expected, got=got, hint=hint)


def _head(chunk: ChunkInFile) -> dict[str, Any]:
    kind = chunk.identifier
    facts: dict[str, Any] = {}
    for field in _HEADS[kind].split():
        name, code = field.split("=")
        facts[name] = chunk.body.number(code, name)
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
