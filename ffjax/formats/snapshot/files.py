"""Snapshots as bytes and as files.

    0x83                 a map of three entries
    "ffjax"              version, 1
    "snapshot"           a map, see `values`
    "zlib_crc32"         text: the CRC-32, as zlib has it, of all bytes before its 8 hexadecimal digits

Any msgpack reader reads them; arrays are encoded as in Flax's checkpoints, see `pack`, so that
`flax.serialization.msgpack_restore` gives the arrays too. Keys are in the order of their bytes, as Flax writes them, so
that its `msgpack_serialize` makes the same bytes again. Nothing is ever unpickled.
"""

import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgpack

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import ByteSource, Cursor, File, Output
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.snapshot.decode import Node, embeddings_of
from ffjax.formats.snapshot.encode import tree_of
from ffjax.formats.snapshot.pack import pieces
from ffjax.formats.snapshot.unpack import value

MAGIC = b"\x83\xa5ffjax"
VERSION = 1
_TAIL = b"\xaazlib_crc32\xa8"
_DIGITS = 8
_BLOCK = 1 << 22


def to_bytes(embeddings: Embeddings) -> bytes:
    """Embeddings as bytes, which `from_bytes` gives back exactly: every storage, vocabulary and dtype.

    Anyone with msgpack can read them, `flax.serialization.msgpack_restore` also the arrays; the documentation of the
    formats has the layout. The same as `save(..., format="msgpack")` writes.

    Args:
        embeddings: what to keep. Rows that are divided over devices come back on one.

    Raises:
        TypeError: `embeddings` are none, or have a storage of a kind that is not ffjax's.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> ffjax.from_bytes(ffjax.to_bytes(emb)) == emb
        True
    """
    return b"".join(map(bytes, _whole(embeddings)))


def from_bytes(data: bytes | bytearray | memoryview) -> Embeddings:
    r"""Embeddings from the bytes that `to_bytes` made, or from the content of a snapshot.

    Args:
        data: the bytes.

    Raises:
        TypeError: `data` is no bytes.
        FormatError: it is no snapshot, of a later version, truncated or changed; nothing is allocated for lengths that
            the bytes do not have.

    Examples:
        >>> import ffjax
        >>> ffjax.from_bytes(b"")
        Traceback (most recent call last):
        ffjax.errors.FormatError: byte 0: snapshot: magic: expected b'\x83\xa5ffjax', got b''
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"`data`: expected bytes, got {type(data).__name__}. `ffjax.load` reads files.")
    return _read(ByteSource(None, memoryview(data).cast("B")))


def write_snapshot(file: File, embeddings: Embeddings) -> None:
    """Writes embeddings as a snapshot; the old file stays whole until the new one is complete.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write, of any kind.

    Raises:
        TypeError: as `to_bytes`.
        OSError: the file cannot be written.
    """
    made = _whole(embeddings)
    first = next(made)  # what cannot be stored is refused before a file is made
    with open_output(file) as raw:
        out = Output(raw)
        out.write(first)
        for piece in made:
            out.write(piece)


def load_snapshot(file: File | Stream) -> Embeddings:
    """Reads a snapshot.

    Args:
        file: a path; a descriptor, which is closed afterwards as `open` does; or a stream.

    Raises:
        FormatError: as `from_bytes`.
        OSError: the file cannot be read.
    """
    with open_source(file, magic=MAGIC) as source:
        return _read(source)


def _whole(embeddings: Any) -> Iterator[Any]:
    check_embeddings(embeddings)
    tree, packer = tree_of(embeddings), msgpack.Packer()
    checksum = 0
    for piece in chain([MAGIC + packer.pack(VERSION) + packer.pack("snapshot")], pieces(tree)):
        checksum = zlib.crc32(piece, checksum)
        yield piece
    yield _TAIL + b"%08x" % zlib.crc32(_TAIL, checksum)


def _read(source: ByteSource) -> Embeddings:
    cursor = Cursor(source, chunk="snapshot")
    start = bytes(source.data[: len(MAGIC)])
    if start != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(start))
    cursor.position = len(MAGIC)
    version = value(cursor, "version")
    if version != VERSION or type(version) is not int:
        hint = "It is of a later version of ffjax; read it with that." if type(version) is int else None
        raise cursor.error("version", str(VERSION), repr(version), offset=len(MAGIC), hint=hint)
    _check_sum(source, cursor)
    at = cursor.position
    if value(cursor, "key", 0) != "snapshot":
        raise cursor.error("key", "'snapshot'", "another", offset=at)
    tree = value(cursor, "snapshot")
    if more := cursor.remaining - len(_TAIL) - _DIGITS:
        raise cursor.error("snapshot", "the checksum behind it", f"{more} more bytes")
    return embeddings_of(Node(source, tree, "snapshot"))


def _check_sum(source: ByteSource, cursor: Cursor) -> None:
    """Compares the checksum, before anything else is believed."""
    end = len(source) - _DIGITS
    tail = bytes(source.data[max(0, end - len(_TAIL)) :])
    if tail[: len(_TAIL)] != _TAIL or len(tail) != len(_TAIL) + _DIGITS:
        at = max(0, end - len(_TAIL))
        hint = "The file is truncated."
        raise cursor.error("zlib_crc32", "the checksum at the end", repr(tail), offset=at, hint=hint)
    checksum = 0
    for start in range(0, end, _BLOCK):
        stop = min(start + _BLOCK, end)
        checksum = zlib.crc32(source.data[start:stop], checksum)
        source.release_pages(start, stop)
    if tail[len(_TAIL) :] != b"%08x" % checksum:
        got = f"{checksum:08x}, the bytes before having been changed"
        raise cursor.error("zlib_crc32", tail[len(_TAIL) :].decode("ascii", "replace"), got, offset=end)
