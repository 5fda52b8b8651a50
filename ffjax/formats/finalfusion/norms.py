"""The chunk of the words' norms, behind identifier 6 and length.

    n_norms  u64
    type     u32   10, 32-bit floats
    padding  1 to 4
    norms    f32[n_norms]

There is one for each word, and none for n-grams.
"""

from ffjax.formats.finalfusion.floats import (
    MAX_ROWS,
    padding,
    read_floats,
    skip_padding,
    write_array,
)
from ffjax.formats.finalfusion.header import CHUNK_HEADER, TYPE_F32, ChunkId, write_chunk_header
from ffjax.formats.finalfusion.vocab_common import read_within
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.storage.norms import Norms

_FIELDS = CHUNK_HEADER + 8 + 4


def read(cursor: Cursor) -> Norms:
    """Reads the body of the chunk.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over, or holds another type.
    """
    count = read_within(cursor, "Q", "number of norms", 0, MAX_ROWS)
    read_within(cursor, "I", "type", TYPE_F32, TYPE_F32)
    skip_padding(cursor)
    norms = read_floats(cursor, "norms", (count,))
    cursor.finish()
    return Norms(norms)


def size(norms: Norms, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk if it begins at `position` in the file."""
    return _FIELDS + padding(position + _FIELDS) + 4 * len(norms)


def write(out: Output, norms: Norms) -> None:
    """Writes the whole chunk."""
    write_chunk_header(out, ChunkId.NdNorms, size(norms, out.position) - CHUNK_HEADER)
    out.pack("QI", len(norms), TYPE_F32)
    out.write(bytes(padding(out.position)))
    write_array(out, norms.array)
