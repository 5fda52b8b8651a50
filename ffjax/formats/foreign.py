"""Files that are mistaken for embeddings: what they are, and what to do with them."""

import re
from dataclasses import dataclass

from ffjax._internal.text_check import MAGICS
from ffjax.formats.registry import by_head
from ffjax.formats.text.fields import count_values


@dataclass(frozen=True)
class Foreign:
    """A kind of file that no reader here reads, by the bytes that it begins with."""

    magic: bytes
    name: str
    advice: str


_UTF16 = "Convert it to UTF-8, as in `iconv -f UTF-16 -t UTF-8 OLD > NEW`."
_AS_VECTORS = "Read it with the program that wrote it, and write words and vectors as text."
_COMPRESSED = b"|".join(MAGICS.values())

_FOREIGN = (
    Foreign(
        rb"version https://git-lfs",
        "the pointer of a Git LFS file, not the file itself",
        "Fetch the file with `git lfs pull`.",
    ),
    Foreign(
        rb"(?i)\s*<(!doctype|html|head|\?xml|!--)",
        "a web page",
        "The download failed or needs a login: open the address in a browser to see what it says.",
    ),
    Foreign(
        rb"SQLite format 3\x00",
        "an SQLite database, such as a `.magnitude` file",
        "Read it with `pymagnitude`, or download the same vectors as text.",
    ),
    Foreign(
        rb"ORC|FEA1",
        "an ORC table, or Feather of version 1",
        "Read it with pandas, and write it with `to_parquet`.",
    ),
    Foreign(
        rb"\s*(\{\s*(\"|\})|\[\s*[\[\{\"\-\d])",
        "JSON",
        "Read it with Python's `json`, and give words and rows to `ffjax.from_vectors`.",
    ),
    Foreign(rb"7z\xbc\xaf'\x1c", "a 7z archive", "Unpack it first, as in `7z x FILE`."),
    Foreign(rb"Rar!\x1a\x07", "a RAR archive", "Unpack it first, as in `unrar x FILE`."),
    Foreign(rb"\x04\x22\x4d\x18", "compressed by lz4", "Decompress it first with `lz4 -d`."),
    Foreign(rb"\x89HDF", "an HDF5 file", _AS_VECTORS),
    Foreign(rb"GGUF", "a language model in GGUF", "It holds no embeddings of words."),
    Foreign(rb"%PDF", "a PDF document", "Download the file of vectors instead."),
    Foreign(rb"\xff\xfe|\xfe\xff", "text, probably in UTF-16", _UTF16),
    Foreign(rb"[\x20-\x7e]\x00[\x20-\x7e]\x00", "text, probably in UTF-16", _UTF16),
    Foreign(_COMPRESSED, "compressed twice, or in an unknown way", "Decompress it first."),
    Foreign(rb"PK\x03\x04", "an archive in an archive", "Unpack it first."),
)

_WRAPPED = Foreign(
    _COMPRESSED + rb"|PK\x03\x04",
    "a compressed file or an archive",
    "`ffjax.load` reads it, or says what is in it.",
)


def foreign_file(head: bytes) -> Foreign | None:
    """What the first bytes of a file announce, if it is something that is not read here."""
    if count_values(head.partition(b"\n")[0]):
        return None  # a row, whatever its word looks like
    return next((kind for kind in _FOREIGN if re.match(kind.magic, head, re.DOTALL)), None)


def other_format(head: bytes, *, may_be_wrapped: bool = False) -> Foreign | None:
    """What a file is that the reader of one format does not read, if its first bytes tell."""
    if count_values(head.partition(b"\n")[0]):
        return None
    if (format := by_head(head)) is not None:
        return Foreign(b"", format.title, format.advice)
    if may_be_wrapped and re.match(_WRAPPED.magic, head):
        return _WRAPPED
    return foreign_file(head)
