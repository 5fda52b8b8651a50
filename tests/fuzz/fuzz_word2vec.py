"""word2vec's binary format, against a reader that takes one row after the other."""

from unittest.mock import patch

from ffjax import FormatError
from ffjax._internal import cpus
from ffjax.formats import word2vec
from ffjax.formats.text.header import HEADER
from ffjax.formats.word2vec import read_word2vec_blocks
from tests.formats.samples import open_bytes
from tests.fuzz.reference import same, word2vec_rows

SEEDS = [
    b"2 1\na \x00\x00\x80?\nb \x00\x00\x00\xbf\n",
    b"2 1\na \x00\x00\x80?b \x00\x00\xc0\x7f",
    b"1 3\n\n\nz\xc3\xbcrich   \n \n\n    \n\n",
    b"0 2\n\n",
    b"3 2\n 12345678\nx\xff 12345678abc 12345678",
]


@patch.object(cpus, "_MAX_IN_ORDER", 1)
@patch.object(word2vec, "_READ_BYTES", 24)
@patch.object(word2vec, "_MAX_WORD_BYTES", 64)
def target(data: bytes) -> None:
    """Reads a file; what is read must be what the slow reader reads."""
    for lossy in (False, True):
        try:
            with read_word2vec_blocks(open_bytes(data), lossy=lossy) as reader:
                if open_bytes(data).wrapping:
                    return
                blocks = list(reader)
        except FormatError:
            continue
        header = HEADER.match(data)
        assert header is not None
        words, rows = word2vec_rows(data[header.end() :], int(header[1]), int(header[2]))
        if lossy:
            words = [word.decode(errors="replace").encode() for word in words]
        same(words, rows, blocks)
        with read_word2vec_blocks(open_bytes(data), lossy=lossy, limit=1, unit=True) as again:
            assert sum(map(len, again)) == min(1, len(words))
