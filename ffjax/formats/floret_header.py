"""The first line of a floret table; `floret` has the layout."""

from typing import NamedTuple

from ffjax.formats.io.streams import Stream
from ffjax.formats.text.fields import shown
from ffjax.formats.text.header import check_header_dims

_HEADER_BYTES = 4096
NO_NGRAMS = 2**31 - 1
"""The length of the n-grams of tables of words alone: more than any word has."""

_FIELDS = ("buckets", "dims", "minn", "maxn", "hashes", "seed", "bow", "eow")


class FloretHeader(NamedTuple):
    """The fields of a header, and the line that has them."""

    line: bytes
    n_rows: int
    dims: int
    min_n: int
    max_n: int
    n_hashes: int
    seed: int
    bow: str
    eow: str


def read_header(stream: Stream) -> FloretHeader:
    """Reads the first line."""
    head = stream.head(_HEADER_BYTES)
    line, feed, _ = head.partition(b"\n")
    fields = line.split()
    if not feed or not is_header(line):
        got = shown(line) if line else "an empty line" if head else "an empty file"
        raise stream.error(0, f"`{' '.join(_FIELDS)}`", got, chunk="header")
    n_rows, dims, min_n, max_n, n_hashes, seed = map(int, fields[:6])
    check_header_dims(stream, "header", dims)
    try:
        bow, eow = fields[6].decode(), fields[7].decode()
    except ValueError as error:
        raise stream.error(0, None, f"{shown(line)}: {error}", chunk="header") from error
    stream.read(len(line) + 1)
    # floret counts characters from 1, and takes words alone if `maxn` is 0.
    min_n, max_n = (max(min_n, 1), max_n) if max_n else (NO_NGRAMS, NO_NGRAMS)
    return FloretHeader(line, n_rows, dims, min_n, max_n, n_hashes, seed, bow, eow)


def is_header(line: bytes) -> bool:
    """Whether a line is a floret header: six whole numbers and two markers."""
    fields = line.split()
    numbers = fields[:6]
    return len(fields) == len(_FIELDS) and all(n.isdigit() and len(n) <= 18 for n in numbers)
