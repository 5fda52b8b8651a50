"""The chunk of the words' norms, after identifier 6 and length.

    n_norms  u64
    type     u32   10, 32-bit floats
    padding  1 to 4
    norms    f32[n_norms]

Each word has one; n-grams have none.
"""

from collections.abc import Iterator

import numpy as np

from ffjax.formats.finalfusion import floats
from ffjax.formats.finalfusion.header import TYPE_F32
from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage.norms import Norms


def read(cursor: Cursor) -> Norms:
    """Reads the body of the chunk."""
    count = cursor.number("Q", "number of norms", 0, floats.MAX_ROWS)
    cursor.number("I", "type", TYPE_F32, TYPE_F32)
    floats.skip_padding(cursor)
    norms = floats.read_floats(cursor, "norms", (count,))
    cursor.finish()
    return Norms(norms)


def write(out: Output, norms: Norms) -> None:
    """Writes the body of the chunk."""
    out.pack("QI", len(norms), TYPE_F32)
    floats.write_padding(out)
    out.write_blocks(4 * len(norms), _blocks(norms))


def _blocks(norms: Norms) -> Iterator[np.ndarray]:
    # A generator: the norms of composed rows are known only when those have been written.
    yield from floats.host_blocks(norms.array)
