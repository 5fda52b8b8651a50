"""floret's table, against a reader that takes one line after the other."""

from unittest.mock import patch

from ffjax import FormatError
from ffjax._internal import cpus
from ffjax.formats.floret import read_floret_blocks
from ffjax.formats.text import line_chunks
from ffjax.formats.text import lines as text_lines
from tests.formats.samples import open_bytes
from tests.fuzz.reference import same, text_rows

SEEDS = [
    b"3 2 2 3 2 2166136261 < >\n0 1.0 -0.5 \n1 0.25 1e-05 \n2 3 4 \n",
    b"1 1 1 1 1 0 \xc2\xab \xc2\xbb\n0 nan",
    b"2 4 3 6 4 4294967295 << >>\r\n0 1 2 3 4\n1 0.5 0.5 0.5 0.5\n",
]


@patch.object(cpus, "_MAX_IN_ORDER", 1)
@patch.object(line_chunks, "_READ_BYTES", 48)
@patch.object(text_lines, "_SEARCH_BYTES", 16)
@patch.object(text_lines, "_BLOCK_NUMBERS", 4)
def target(data: bytes) -> None:
    """Reads a table; what is read must be what the slow reader reads."""
    try:
        with read_floret_blocks(open_bytes(data)) as reader:
            if open_bytes(data).wrapping:
                return
            blocks = list(reader)
    except FormatError:
        return
    words, rows = text_rows(data.partition(b"\n")[2], reader.dims)
    assert words == [str(i).encode() for i in range(reader.vocab.upper_bound)]
    same(words, rows, blocks)
