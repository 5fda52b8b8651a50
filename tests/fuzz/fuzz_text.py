"""Text with and without a line of dimensions, against a reader of one line after the other."""

from unittest.mock import patch

from ffjax import FormatError
from ffjax._internal import cpus
from ffjax.formats.detect import detect
from ffjax.formats.text import line_chunks
from ffjax.formats.text import lines as text_lines
from ffjax.formats.text.header import HEADER
from ffjax.formats.text.read import read_text_blocks
from ffjax.formats.text.table import open_table
from tests.formats.samples import open_bytes
from tests.fuzz.reference import same, text_rows

SEEDS = [
    b"the 0.418 0.24968 -0.41242\nof 1 -2.5e-3 +.5\n",
    b"2 3\nNew York 0.1 0.2 0.3 \nz\xc3\xbcrich nan -inf 1e39 \n",
    b"a\t1.0\t2.0\r\nb 123456789.125 0.000000000012345\r\n\r\n",
    b"  0.5\n\xc2\xa0 0.25\npython 2.7 1.0\n",
    b"3 1\na 9007199254740993\nb -0.0\nc 1_0\n",
    b"x 1.5 2.5\ny 1.5  2.5\nz  1.5 2.5\n\n\n",
]


# One thread, and blocks so small that their borders are everywhere.
@patch.object(cpus, "_MAX_IN_ORDER", 1)
@patch.object(line_chunks, "_READ_BYTES", 48)
@patch.object(text_lines, "_SEARCH_BYTES", 16)
@patch.object(text_lines, "_BLOCK_NUMBERS", 4)
def target(data: bytes) -> None:
    """Reads a file in all ways; what is read must be what the slow reader reads."""
    if not data:
        return
    first, raw = data[0], data[1:]
    dims = None if first & 1 else first % 7 + 1
    for header in (False, True):
        try:
            with read_text_blocks(open_bytes(raw), header=header, dims=dims) as reader:
                if open_bytes(raw).wrapping:
                    return
                blocks = list(reader)
        except (FormatError, ValueError) as error:
            assert isinstance(error, FormatError) or "`dims`" in str(error)
            continue
        body = raw[HEADER.match(raw).end() :] if header else raw  # type: ignore[union-attr]
        words, rows = text_rows(body, reader.dims)
        same(words, rows, blocks)
        # Without values, in one piece, and of unit length: the same words.
        table = open_table(open_bytes(raw), has_header=header, dims=dims)
        assert table.count_words(lossy=False) == (len(set(words)), len(words))
        with read_text_blocks(
            open_bytes(raw), header=header, dims=dims, limit=1, unit=True
        ) as again:
            assert sum(map(len, again)) == min(1, len(words))
    try:
        detect(open_bytes(raw))
    except FormatError:
        pass
