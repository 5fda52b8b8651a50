"""finalfusion files written with `struct` alone: the layout, without ffjax's writer."""

import struct

import numpy as np

from ffjax import FinalfusionFormatError
from ffjax.formats.io.binary import ByteSource


def words(*items: str | bytes) -> bytes:
    """A list of words."""
    raw = [item.encode() if isinstance(item, str) else item for item in items]
    return b"".join(struct.pack("<I", len(item)) + item for item in raw)


def ngrams(rows: dict[str, int]) -> bytes:
    """A list of n-grams, each with its row."""
    return b"".join(words(ngram) + struct.pack("<Q", row) for ngram, row in rows.items())


def chunk(identifier: int, body: bytes, *, length: int | None = None) -> bytes:
    """A chunk; `length` lies about it."""
    return struct.pack("<IQ", identifier, len(body) if length is None else length) + body


def simple(*items: str | bytes, count: int | None = None) -> bytes:
    """A chunk of a simple vocabulary; `count` lies about its words."""
    return chunk(1, struct.pack("<Q", len(items) if count is None else count) + words(*items))


def header(
    *identifiers: int, magic: bytes = b"FiFu", version: int = 0, count: int | None = None
) -> bytes:
    """The beginning of a file; `count` lies about the chunks."""
    count = len(identifiers) if count is None else count
    return magic + struct.pack(f"<II{len(identifiers)}I", version, count, *identifiers)


def floats(position: int, fields: bytes, array: np.ndarray) -> bytes:
    """A chunk's body that ends in floats: fields, padding by the place in the file, numbers."""
    padding = 4 - (position + 12 + len(fields)) % 4
    return fields + bytes(padding) + array.astype("<f4").tobytes()


def matrix(position: int, array: np.ndarray, *, kind: int = 10) -> bytes:
    """A chunk of a matrix that begins at `position` in the file."""
    return chunk(2, floats(position, struct.pack("<QII", *array.shape, kind), array))


def norms(position: int, array: np.ndarray, *, kind: int = 10) -> bytes:
    """A chunk of norms that begins at `position` in the file."""
    return chunk(6, floats(position, struct.pack("<QI", len(array), kind), array))


def small(*, with_norms: bool = True) -> bytes:
    """A whole file: metadata, three words, a matrix of three rows and two columns, norms."""
    data = header(5, 1, 2, *([6] if with_norms else []))
    data += chunk(5, b'name = "small" # with a comment\n')
    data += simple("one", "zwei", "три")
    data += matrix(len(data), np.arange(6, dtype=np.float32).reshape(3, 2))
    if with_norms:
        data += norms(len(data), np.array([1.0, 2.0, 3.0]))
    return data


def memory(data: bytes) -> ByteSource:
    """The bytes as a file that is open."""
    return ByteSource(None, data, FinalfusionFormatError)
