"""The functions that read and write the bodies of chunks.

The chunk of metadata, after identifier 5 and length, is a TOML document in UTF-8. Its text is kept
as it is, comments included.
"""

import numpy as np

from ffjax.embeddings.metadata import Metadata
from ffjax.formats.finalfusion import arrays, vocabs
from ffjax.formats.finalfusion.header import ChunkId, cannot_hold
from ffjax.formats.io.binary import Cursor, Output

# Documents have a few kilobytes; gigabytes would only keep the TOML parser busy.
_MAX_BYTES = 1 << 22
# The parser's time grows with the dots of a key times the keys: this many take a few seconds.
_MAX_STEPS = 1 << 23


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


READERS = {ChunkId.Metadata: read_metadata} | vocabs.READERS | arrays.READERS
WRITERS = {Metadata: (ChunkId.Metadata, write_metadata)} | vocabs.WRITERS | arrays.WRITERS
