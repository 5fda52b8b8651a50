"""The chunk of the metadata, behind identifier 5 and length.

    text  UTF-8 to the end of the chunk: a TOML document

Metadata keep their text, so that it comes out of a file as it went in, comments included.
"""

import numpy as np

from ffjax.formats.binary import Cursor, File, Output
from ffjax.formats.finalfusion.header import CHUNK_HEADER, ChunkId, write_chunk_header
from ffjax.metadata import Metadata

# The TOML reader takes time in the square of the parts of a dotted key. This is some seconds, or a line with 11,000
# full stops in a text.
_MOST_WORK = 1 << 27


def read(cursor: Cursor) -> Metadata:
    """Reads the body of the chunk; the text is kept as it is.

    Raises:
        FinalfusionFormatError: it is not UTF-8, or not TOML.
    """
    start = cursor.position
    text = cursor.text("text", cursor.remaining)
    dots = [line.count(".") for line in text.split("\n") if "." in line]
    if sum(count * count for count in dots) > _MOST_WORK:
        raise cursor.error("text", "keys of a reasonable depth", f"a line with {max(dots)} dots", offset=start)
    try:
        return Metadata.from_toml(text)
    except (ValueError, RecursionError) as error:
        # `ValueError`: also a number of more digits than Python converts.
        raise cursor.error("text", "a TOML document", f"an error: {_reason(error)}", offset=start) from error


def size(metadata: Metadata, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk, wherever it stands."""
    return CHUNK_HEADER + int(metadata.length)


def write(out: Output, metadata: Metadata) -> None:
    """Writes the whole chunk."""
    write_chunk_header(out, ChunkId.Metadata, size(metadata, out.position) - CHUNK_HEADER)
    out.write(np.asarray(metadata.data)[: int(metadata.length)])


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error.__cause__ or error)
