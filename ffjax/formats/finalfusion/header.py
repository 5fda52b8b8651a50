"""The beginning of a finalfusion file and of each chunk. All numbers are little endian.

    magic      4 bytes        FiFu
    version    u32            0
    n_chunks   u32
    chunks     u32[n_chunks]  identifiers of the chunks, in their order

    identifier u32            each chunk begins with
    length     u64            bytes of the chunk behind this field

A header lists all chunks that follow; old versions of finalfusion left out norms.
"""

from collections.abc import Sequence
from enum import IntEnum, unique

from ffjax.formats.io.binary import Cursor, Output

MAGIC = b"FiFu"
VERSION = 0
CHUNK_HEADER = 12
# Programs write four chunks at most; a list of millions would only keep a reader busy.
MAX_CHUNKS = 256
TYPE_U8 = 1
TYPE_F32 = 10


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


VOCABS = (
    ChunkId.SimpleVocab,
    ChunkId.BucketSubwordVocab,
    ChunkId.FastTextSubwordVocab,
    ChunkId.ExplicitSubwordVocab,
    ChunkId.FloretSubwordVocab,
)
STORAGES = (ChunkId.NdArray, ChunkId.QuantizedArray)


def read_header(cursor: Cursor) -> list[ChunkId]:
    """Reads the beginning of a file.

    Returns:
        The chunks that it lists.

    Raises:
        FinalfusionFormatError: another magic or version, no chunks or too many, or an unknown identifier.
    """
    cursor.chunk = "header"
    start = cursor.position
    magic = bytes(cursor.take("magic", len(MAGIC)))
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic), offset=start)
    version = cursor.u32("version")
    if version != VERSION:
        raise cursor.error("version", str(VERSION), str(version), offset=start + 4)
    count = cursor.u32("number of chunks")
    if not 1 <= count <= MAX_CHUNKS:
        raise cursor.error("number of chunks", f"1 to {MAX_CHUNKS}", str(count), offset=start + 8)
    cursor.claim("number of chunks", count, 4, offset=start + 8)
    return [_read_identifier(cursor) for _ in range(count)]


def header_size(n_chunks: int) -> int:
    """Bytes of the header of a file with so many chunks."""
    return len(MAGIC) + 8 + 4 * n_chunks


def write_header(out: Output, chunks: Sequence[ChunkId]) -> None:
    """Writes the beginning of a file."""
    out.write(MAGIC)
    out.pack(f"II{len(chunks)}I", VERSION, len(chunks), *chunks)


def read_chunk_header(cursor: Cursor, *, short_explicit: bool = False) -> tuple[ChunkId, Cursor]:
    """Reads the beginning of a chunk and steps over the rest.

    Args:
        cursor: where the chunk begins.
        short_explicit: whether the length of a chunk with explicit n-grams leaves out their rows, eight bytes each, as
            finalfusion-python 0.7 writes it. Its own reader does not look at the length.

    Returns:
        What it is, and a cursor over its body.

    Raises:
        FinalfusionFormatError: an unknown identifier, or a length beyond the end of the file.
    """
    cursor.chunk = "chunk header"
    identifier = _read_identifier(cursor)
    cursor.chunk = identifier.name
    at = cursor.position
    length = cursor.u64("length")
    if short_explicit and identifier == ChunkId.ExplicitSubwordVocab:
        body = Cursor(cursor.source, cursor.position, cursor.end, cursor.chunk)
        body.skip("number of words", 8)
        length += 8 * body.u64("number of n-grams")
    cursor.claim("length", length, offset=at)
    start = cursor.skip("length", length)
    return identifier, Cursor(cursor.source, start, start + length, identifier.name)


def write_chunk_header(out: Output, identifier: ChunkId, length: int) -> None:
    """Writes the beginning of a chunk with so many bytes behind it."""
    out.pack("IQ", identifier, length)


def _read_identifier(cursor: Cursor) -> ChunkId:
    at = cursor.position
    number = cursor.u32("chunk identifier")
    try:
        return ChunkId(number)
    except ValueError as error:
        raise cursor.error("chunk identifier", "1 to 9", str(number), offset=at) from error
