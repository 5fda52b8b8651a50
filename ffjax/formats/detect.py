"""Which format a file is in, by its content."""

import re
from typing import Any

from ffjax.formats.fasttext.layout import MAGIC as FASTTEXT_MAGIC
from ffjax.formats.finalfusion.header import MAGIC as FINALFUSION_MAGIC
from ffjax.formats.floret import is_header
from ffjax.formats.io.streams import Stream
from ffjax.formats.snapshot.files import MAGIC as SNAPSHOT_MAGIC
from ffjax.formats.text.fields import count_values, mark_bytes
from ffjax.formats.text.header import HEADER

FORMATS = ("finalfusion", "fasttext", "word2vec", "text", "textdims", "floret", "msgpack")

# Enough for a first line, and for a long one if it is text.
_HEAD_BYTES = 1 << 16
_LONG_HEAD_BYTES = 1 << 24
_SAMPLE_LINES = 16
_NUMBERS = re.compile(rb"[0-9eEaAfFiInN+. \t\r\n-]*")
_EXPECTED = (
    "finalfusion (begins with `FiFu`), fastText (begins with the bytes ba 16 4f 2f), a snapshot "
    "(begins with the bytes 83 a5 and `ffjax`), word2vec or text with dimensions (a first line "
    "`rows dims`), floret (a first line of six whole numbers and two markers), or text (a word and "
    "its values on each line)"
)
_UTF16 = (
    "It may be text in UTF-16. Convert it to UTF-8, as in `iconv -f UTF-16 -t UTF-8 OLD > NEW`."
)
# Files that are mistaken for embeddings.
_HINTS = {
    b"\x80": "It may be a pickle, as gensim's own `save` writes. Save it with "
    "`save_word2vec_format` instead.",
    b"\x93NUMPY": "It is a NumPy array, which has no words.",
    b"\x89HDF": "It is an HDF5 file.",
    b"version https://git-lfs": "It is the pointer of a Git LFS file; fetch the file itself with "
    "`git lfs pull`.",
    b"<": "It may be a web page, downloaded instead of the file.",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"\x1f\x8b": "It is compressed twice, or in an unknown way. Decompress it first.",
    b"PK\x03\x04": "It is an archive in an archive. Unpack it first.",
}


def check_format(name: str, format: Any) -> None:
    """Checks that `format`, which errors call `name`, is one of `FORMATS` or `None`."""
    if format is not None and (not isinstance(format, str) or format not in FORMATS):
        names = ", ".join(map(repr, FORMATS))
        raise ValueError(f"`{name}`: expected one of {names}, or None, got {format!r}.")


def detect(stream: Stream) -> str:
    r"""Recognizes the format of a stream at its start; the bytes do not count as read.

    Both word2vec files and text with dimensions begin with a line `rows dims`; it is text if the
    first row ends with so many numbers in text. If all rows have one value, and there are not as
    many as the first line says, then that line is a word with its value. So is a first line like
    floret's if it ends with numbers, not with markers, and the next line is not a row of a table.

    Examples:
        >>> from ffjax.formats.io.streams import open_bytes
        >>> detect(open_bytes(b"1 2\none 0.5 0.25\n")), detect(open_bytes(b"one 0.5 0.25\n"))
        ('textdims', 'text')
    """
    head = stream.head(_HEAD_BYTES)
    for magic, format in (
        (FINALFUSION_MAGIC, "finalfusion"),
        (FASTTEXT_MAGIC, "fasttext"),
        (SNAPSHOT_MAGIC, "msgpack"),
    ):
        if head.startswith(magic):
            return format
    if b"\n" not in head and b"\x00" not in head and len(head) == _HEAD_BYTES:
        head = stream.head(_LONG_HEAD_BYTES)
    mark = mark_bytes(head)
    head = head[mark:]
    if _is_floret(head):
        return "floret"
    if (header := HEADER.match(head)) is not None:
        return _with_dims(stream, int(header[1]), int(header[2]), mark + header.end())
    lines = head.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
    if b"\x00" not in head and any(map(count_values, lines)):
        return "text"
    got = f"{head[:32]!r}{'...' if len(head) > 32 else ''}" if head else "an empty file"
    hint = "If it is one of them after all, say which with `format=`." if head else None
    for magic, advice in _HINTS.items():
        if head.startswith(magic):
            hint = advice
    raise stream.error(0, expected=_EXPECTED, got=got, hint=hint)


def _is_floret(head: bytes) -> bool:
    line, _, rest = head.partition(b"\n")
    if not is_header(line):
        return False
    fields, row = line.split(), rest.partition(b"\n")[0].split()
    if count_values(b" ".join(fields[5:])) < 2:
        return True
    # The markers are numbers, so it may be a word and seven values as well.
    return not row or (row[0] == b"0" and len(row) == 1 + int(fields[1]))


def _with_dims(stream: Stream, n_rows: int, dims: int, start: int) -> str:
    """The format of a file whose first line `rows dims` ends at byte `start`."""
    head = stream.head(_HEAD_BYTES)[start:]
    if b"\n" not in head and len(head) + start == _HEAD_BYTES:
        head = stream.head(_LONG_HEAD_BYTES)[start:]
    line = head.partition(b"\n")[0]
    values = count_values(line)
    if values >= dims or not n_rows or not head:
        return "textdims"
    if values == 1 and dims > 1 and HEADER.fullmatch(line + b"\n"):
        return "text"  # vectors of one number, and numbers for words
    if values and (counts := _value_counts(head)):
        lines = head.removesuffix(b"\n").count(b"\n") + 1
        return "text" if set(counts) == {1} and dims > 1 and lines != n_rows else "textdims"
    # If a row is too short, the reader of text says so; binary numbers do not look like this.
    vector = head.partition(b" ")[2][: 4 * dims]
    return "textdims" if vector and _NUMBERS.fullmatch(vector) else "word2vec"


def _value_counts(head: bytes) -> list[int]:
    """How many values each of the first lines has, if all of them have some."""
    lines = head.removesuffix(b"\n").split(b"\n")
    if len(lines) > 1 and not head.endswith(b"\n"):
        lines.pop()  # it may be cut short
    counts = list(map(count_values, lines[:_SAMPLE_LINES]))
    return counts if all(counts) and b"\x00" not in head else []
