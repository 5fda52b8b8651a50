"""Files that are not text, by the bytes that they begin with."""

import re
from typing import Any

from ffjax.errors import FormatError

# How compressed files begin.
MAGICS = {
    "gzip": rb"\x1f\x8b\x08",
    # The level is followed by a block or, in an empty stream, by the end.
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz": rb"\xfd7zXZ\x00",
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\*M\x18",
}
_ZIP = rb"PK(\x03\x04|\x05\x06)"
_PROGRAMS = {"gzip": "zcat", "bzip2": "bzcat", "xz": "xzcat", "zstd": "zstdcat", "zip": "unzip -p"}
# What is not text: how it begins, and what to do, by default what the caller says.
_OTHERS = {
    # The first page of a column, or the footer, begins with a field of type i32.
    "a Parquet file": (rb"PAR1\x15", "`ffjax classify -f parquet` reads it."),
    "an Arrow file": (rb"ARROW1\x00\x00", "Save it as Parquet, which `ffjax classify` reads."),
    "an Arrow stream": (rb"\xff\xff\xff\xff", "Save it as Parquet, which `ffjax classify` reads."),
    "UTF-16": (rb"\xff\xfe|\xfe\xff", "Convert it, as in `iconv -f UTF-16 -t UTF-8 FILE`."),
    "a fastText model": (rb"\xba\x16\x4f\x2f", None),
    "a finalfusion file": (rb"FiFu\x00\x00\x00\x00", None),
    "a NumPy file": (rb"\x93NUMPY", None),
}


def check_text(data: bytes, file: Any = None, model_hint: str | None = None) -> None:
    """Checks by its head that a file is text, which may contain any stray byte further on."""
    for kind, magic in (MAGICS | {"zip": _ZIP}).items():
        if re.match(magic, data):
            hint = f"Decompress it first, as in `{_PROGRAMS[kind]} FILE | ffjax ... -`."
            got = f"a file compressed by {kind}"
            raise FormatError(file, expected="text", got=got, hint=hint)
    for got, (magic, hint) in _OTHERS.items():
        if re.match(magic, data):
            raise FormatError(file, expected="text", got=got, hint=hint or model_hint)
