"""What precedes the rows of a file: a byte order mark, and a first line `rows dims`."""

import re

from ffjax.formats.io.streams import Stream
from ffjax.formats.text.fields import ends_with_cr, mark_bytes, shown

_HEAD_BYTES = 1 << 16

# Far more than any embeddings have; a larger number is a mistake in the file.
MAX_DIMS = 1 << 24
# The longest header that is read, and its form.
HEADER_BYTES = 64
HEADER = re.compile(rb"[ \t]*([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t]*\r?\n")


def begin_text(stream: Stream) -> None:
    """Skips a byte order mark."""
    head = stream.head(_HEAD_BYTES)
    if ends_with_cr(head):
        raise stream.error(
            head.index(b"\r"),
            expected="lines that end with LF, or with CR and LF",
            got="lines that end with CR alone",
            hint=r"Convert them first, as in `tr '\r' '\n' < OLD > NEW`.",
        )
    stream.read(mark_bytes(head))


def read_header(stream: Stream) -> tuple[int, int]:
    """Reads the line `rows dims`."""
    head = stream.head(HEADER_BYTES)
    match = HEADER.match(head)
    if match is None:
        got = shown(head.split(b"\n", 1)[0]) if head else "an empty file"
        expected = "two whole numbers, `rows dims`"
        raise stream.error(0, chunk="first line", expected=expected, got=got)
    rows, dims = int(match[1]), int(match[2])
    check_header_dims(stream, "first line", dims)
    stream.read(match.end())
    return rows, dims


def check_header_dims(stream: Stream, chunk: str, dims: int) -> None:
    """Checks that a number of dimensions is one that embeddings may have."""
    if not 1 <= dims <= MAX_DIMS:
        raise stream.error(0, chunk=chunk, field="dims", expected=f"1 to {MAX_DIMS}", got=str(dims))


def check_rows(stream: Stream, n_rows: int, row_bytes: int, hint: str | None = None) -> None:
    """Checks that the rest of the file can hold a number of rows, at `row_bytes` each or more."""
    # The last row may lack its line feed.
    if stream.remaining is not None and n_rows * row_bytes > stream.remaining + 1:
        limit = (stream.remaining + 1) // row_bytes
        raise stream.error(
            0,
            chunk="first line",
            field="rows",
            expected=f"at most {limit}, as many as {stream.remaining} bytes can hold",
            got=str(n_rows),
            hint=hint,
        )
