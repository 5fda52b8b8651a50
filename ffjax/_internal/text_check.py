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
_MODELS = {"a fastText model": rb"\xba\x16\x4f\x2f", "a finalfusion file": rb"FiFu\x00\x00\x00\x00"}
# The first page of a column, or the footer, begins with a field of type i32.
_PARQUET = rb"PAR1\x15"


def check_text(data: bytes, file: Any = None, model_hint: str | None = None) -> None:
    """Checks by its head that a file is text, which may contain any stray byte further on."""
    expected = "text"
    for kind, magic in (MAGICS | {"zip": _ZIP}).items():
        if re.match(magic, data):
            pipe = f"`{_PROGRAMS[kind]} FILE | ffjax classify MODEL -`"
            hint = f"Decompress it first; commands also read a pipe, as in {pipe}."
            got = f"a file compressed by {kind}"
            raise FormatError(file, expected=expected, got=got, hint=hint)
    if re.match(_PARQUET, data):
        hint = "`ffjax classify -f parquet` reads it."
        raise FormatError(file, expected=expected, got="a Parquet file", hint=hint)
    for got, magic in _MODELS.items():
        if re.match(magic, data):
            raise FormatError(file, expected=expected, got=got, hint=model_hint)
