"""Compressed streams and archives: any bytes are read within the bound, or refused."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from unittest.mock import patch

import zstandard  # the extra `zstd`

from ffjax import FormatError
from ffjax.formats.io import archives, compression
from tests.formats.samples import open_bytes

TEXT = b"word 0.5 0.25\n" * 3


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("folder/" * 20 + "name")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    return out.getvalue()[:4000]


def _zip(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a", TEXT)
    return out.getvalue()


SEEDS = [
    gzip.compress(TEXT, mtime=0),
    gzip.compress(TEXT, mtime=0) + gzip.compress(TEXT),
    bz2.compress(TEXT),
    lzma.compress(TEXT),
    zstandard.ZstdCompressor().compress(TEXT),
    _zip(zipfile.ZIP_STORED),
    _zip(zipfile.ZIP_DEFLATED),
    _tar(),
    gzip.compress(_tar(), mtime=0),
]


# Small, so that a short file can pass it.
@patch.object(compression, "ALLOWANCE_BYTES", 1 << 16)
@patch.object(archives, "ALLOWANCE_BYTES", 1 << 16)
def target(data: bytes) -> None:
    """Reads all that a file inflates to."""
    for size in (7, 4096):
        try:
            stream = open_bytes(data)
            while stream.read(size):
                assert stream.position <= compression.ALLOWANCE_BYTES + compression.RATIO * len(
                    data
                )
        except FormatError:
            pass
