"""The chunk of the metadata, after identifier 5 and length.

    text  UTF-8 to the end of the chunk: a TOML document

Metadata keep their text, so that it leaves a file as it entered it, comments included.
"""

import numpy as np

from ffjax.embeddings.metadata import Metadata
from ffjax.formats.finalfusion.header import cannot_hold
from ffjax.formats.io.binary import Cursor, Output

# Documents have a few kilobytes; gigabytes would only keep the TOML parser busy.
MAX_BYTES = 1 << 22
# The parser's time grows with the dots of a key times the keys: this many take a few seconds.
_MAX_STEPS = 1 << 23


def read(cursor: Cursor) -> Metadata:
    """Reads the body of the chunk; the text is kept as it is."""
    start = cursor.position
    if cursor.remaining > MAX_BYTES:
        raise cursor.error("text", f"at most {MAX_BYTES} bytes", str(cursor.remaining))
    text = cursor.text("text", cursor.remaining)
    dots = max(line.count(".") for line in text.split("\n"))
    if dots * (text.count(".") + text.count("\n")) > _MAX_STEPS:
        got = f"a line with {dots} dots"
        raise cursor.error("text", "keys of a few parts", got, offset=start)
    try:
        return Metadata.from_toml(text)
    except RecursionError as error:
        got = "an error: nested too deeply"
        raise cursor.error("text", "a TOML document", got, offset=start) from error
    except ValueError as error:  # also for a number of more digits than Python converts
        got = f"an error: {error.__cause__ or error}"
        raise cursor.error("text", "a TOML document", got, offset=start) from error


def write(out: Output, metadata: Metadata) -> None:
    """Writes the body of the chunk."""
    length = int(metadata.length)
    if length > MAX_BYTES:
        raise cannot_hold("text", f"at most {MAX_BYTES} bytes", str(length))
    out.write(np.asarray(metadata.data)[:length])
