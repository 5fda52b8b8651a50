"""What precedes the rows of a file: a byte order mark, a first line `rows dims` or floret's."""

import re
from typing import Any, NamedTuple

from ffjax.formats.foreign import other_format
from ffjax.formats.io.streams import Stream
from ffjax.formats.text.fields import ends_with_cr, mark_bytes, shown

_HEAD_BYTES = 1 << 16
# Far more than any embeddings have; a larger number is a mistake in the file.
_MAX_DIMS = 1 << 24
# The longest header that is read, and its form.
HEADER_BYTES = 64
HEADER = re.compile(rb"[ \t]*([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t]*\r?\n")
_FLORET_BYTES = 4096
MATRIX = {"storage": "NdArray", "dtype": "float32"}
# The length of the n-grams of floret tables of words alone: more than any word has.
NO_NGRAMS = 2**31 - 1
_FLORET_FIELDS = ("buckets", "dims", "minn", "maxn", "hashes", "seed", "bow", "eow")


def begin_text(stream: Stream) -> None:
    """Skips a byte order mark."""
    head = stream.head(_HEAD_BYTES)
    if (kind := other_format(head)) is not None:
        raise stream.error(0, "a word and its values", kind.name, hint=kind.advice)
    if ends_with_cr(head):
        expected = "lines that end with LF, or with CR and LF"
        hint = r"Convert them first, as in `tr '\r' '\n' < OLD > NEW`."
        got = "lines that end with CR alone"
        raise stream.error(head.index(b"\r"), expected, got, hint=hint)
    stream.read(mark_bytes(head))


def read_header(stream: Stream) -> tuple[int, int]:
    """Reads the line `rows dims`."""
    head = stream.head(HEADER_BYTES)
    match = HEADER.match(head)
    if match is None:
        if (kind := other_format(head)) is not None:
            raise stream.error(0, "two whole numbers", kind.name, hint=kind.advice)
        got = shown(head.split(b"\n", 1)[0]) if head else "an empty file"
        raise stream.error(0, "two whole numbers, `rows dims`", got, chunk="first line")
    rows, dims = int(match[1]), int(match[2])
    check_header_dims(stream, "first line", dims)
    stream.read(match.end())
    return rows, dims


def check_header_dims(stream: Stream, chunk: str, dims: int) -> None:
    """Checks that a number of dimensions is one that embeddings may have."""
    if not 1 <= dims <= _MAX_DIMS:
        raise stream.error(0, f"1 to {_MAX_DIMS}", str(dims), chunk=chunk, field="dims")


def check_rows(
    stream: Stream, n_rows: int, row_bytes: int, limit: int | None = None, hint: str | None = None
) -> None:
    """Checks that the rest of the file can hold all rows, or `limit`, of `row_bytes` or more."""
    remaining = stream.remaining
    n_read = n_rows if limit is None else min(limit, n_rows)
    # The last row may lack its line feed.
    if remaining is not None and n_read * row_bytes > remaining + 1:
        most = (remaining + 1) // row_bytes
        expected = f"at most {most}, as many as {remaining} bytes can hold"
        hint = hint or (
            "The file is probably truncated. If it is complete, pass the number of its rows as "
            "`limit=`."
        )
        raise stream.error(0, expected, str(n_rows), chunk="first line", field="rows", hint=hint)


def no_header_hint(dims: int) -> str | None:
    """What may be wrong if the rows contradict a first line that has the form of a row."""
    if dims != 1:
        return None
    return (
        "If that line is a word and its value, say that the file is text without dimensions with "
        "`format=`."
    )


def limit_hint(n_rows: int) -> str:
    """How to read the rows of a file whose first line is wrong about them."""
    return f"If the first line is wrong, `limit={n_rows}` reads the {n_rows} that there are."


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


def read_floret_header(stream: Stream) -> FloretHeader:
    """Reads the first line of a floret table; `floret` has its layout."""
    head = stream.head(_FLORET_BYTES)
    line, feed, _ = head.partition(b"\n")
    fields = line.split()
    if not feed or not is_floret_header(line):
        got = shown(line) if line else "an empty line" if head else "an empty file"
        raise stream.error(0, f"`{' '.join(_FLORET_FIELDS)}`", got, chunk="header")
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


def is_floret_header(line: bytes) -> bool:
    """Whether a line is a floret header: six whole numbers and two markers."""
    fields = line.split()
    numbers = fields[:6]
    return len(fields) == len(_FLORET_FIELDS) and all(n.isdigit() and len(n) <= 18 for n in numbers)


def facts(n_words: int, dims: int) -> dict[str, Any]:
    """What `info` says about words with a row each."""
    sizes = {"words": n_words, "rows": n_words, "norms": n_words, "dims": dims}
    return {"vocabulary": "SimpleVocab", **MATRIX, **sizes}
