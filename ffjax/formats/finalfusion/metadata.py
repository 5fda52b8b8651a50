"""The chunk of the metadata, behind identifier 5 and length.

    text  UTF-8 to the end of the chunk: a TOML document

Metadata keep their text, so that it comes out of a file as it went in, comments included.
"""

import numpy as np

from ffjax.embeddings.metadata import Metadata
from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion.header import CHUNK_HEADER, ChunkId, write_chunk_header
from ffjax.formats.io.binary import Cursor, File, Output

# Documents have a few kilobytes; gigabytes would only keep the TOML reader busy.
MOST_BYTES = 1 << 22
# For each key the reader walks down all parts of its table's name: a few seconds at most.
_MOST_STEPS = 1 << 23


def read(cursor: Cursor) -> Metadata:
    """Reads the body of the chunk; the text is kept as it is.

    Raises:
        FinalfusionFormatError: it is longer than 4 MiB, not UTF-8, or not TOML.
    """
    start = cursor.position
    if cursor.remaining > MOST_BYTES:
        raise cursor.error("text", f"at most {MOST_BYTES} bytes", str(cursor.remaining))
    text = cursor.text("text", cursor.remaining)
    depth = _most_dots(text)
    if depth * (text.count(".") + text.count("\n")) > _MOST_STEPS:
        raise cursor.error("text", "keys of a few parts", f"a line with {depth} dots", offset=start)
    try:
        return Metadata.from_toml(text)
    except (ValueError, RecursionError) as error:
        # `ValueError`: also a number of more digits than Python converts.
        raise cursor.error("text", "a TOML document", f"an error: {_reason(error)}", offset=start) from error


def size(metadata: Metadata, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk, wherever it stands.

    Raises:
        FinalfusionFormatError: the text is longer than 4 MiB.
    """
    length = int(metadata.length)
    if length > MOST_BYTES:
        most = f"at most {MOST_BYTES} bytes"
        raise FinalfusionFormatError(file, chunk=ChunkId.Metadata.name, field="text", expected=most, got=str(length))
    return CHUNK_HEADER + length


def write(out: Output, metadata: Metadata) -> None:
    """Writes the whole chunk."""
    write_chunk_header(out, ChunkId.Metadata, size(metadata, out.position) - CHUNK_HEADER)
    out.write(np.asarray(metadata.data)[: int(metadata.length)])


def _most_dots(text: str) -> int:
    """The most dots in a line."""
    most = 0
    at = text.find(".")
    while at >= 0:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        most = max(most, text.count(".", at, end))
        at = text.find(".", end)
    return most


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error.__cause__ or error)
