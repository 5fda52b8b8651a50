"""What surrounds the tree of a snapshot.

    0x83                 a map of three entries
    "ffjax"              version, 1
    "snapshot"           a map, see `tree`
    "zlib_crc32"         text: the CRC-32, as zlib has it, of all bytes before its 8 hex digits

Any msgpack reader reads them. Arrays are encoded as in Flax's checkpoints, see `arrays`, so that
`flax.serialization.msgpack_restore` gives the arrays too. Keys are in the order of their bytes, as
Flax writes them, so that its `msgpack_serialize` makes the same bytes again. Nothing is ever
unpickled.
"""

import zlib
from typing import Any

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.snapshot.unpack import unpack, unpack_scalar

MAGIC = b"\x83\xa5ffjax"
VERSION = 1
TAIL = b"\xaazlib_crc32\xa8"
_DIGITS = 8
_BLOCK_BYTES = 1 << 22


def read_tree(source: ByteSource) -> Any:
    """The map of a snapshot; arrays stay in the file."""
    cursor = _after_version(source)
    key_at = cursor.position
    if unpack_scalar(cursor, "key") != "snapshot":
        raise cursor.error("key", "'snapshot'", "another", offset=key_at)
    tree = unpack(cursor, "snapshot")
    if n_bytes := cursor.remaining - len(TAIL) - _DIGITS:
        got = f"{n_bytes} more bytes"
        raise cursor.error("snapshot", "the checksum after it", got)
    return tree


def check_sum(source: ByteSource) -> None:
    """Compares the checksum, before anything but the version is believed."""
    cursor = _after_version(source)
    end = len(source) - _DIGITS
    tail = bytes(source.data[max(0, end - len(TAIL)) :])
    if tail[: len(TAIL)] != TAIL or len(tail) != len(TAIL) + _DIGITS:
        offset = max(0, end - len(TAIL))
        expected, hint = "the checksum at the end", "The file is truncated."
        raise cursor.error("zlib_crc32", expected, repr(tail), offset=offset, hint=hint)
    checksum = 0
    for start in range(0, end, _BLOCK_BYTES):
        stop = min(start + _BLOCK_BYTES, end)
        checksum = zlib.crc32(source.data[start:stop], checksum)
        source.release_pages(start, stop)
    if tail[len(TAIL) :] != b"%08x" % checksum:
        got = f"{checksum:08x}, the bytes before having been changed"
        expected = tail[len(TAIL) :].decode("ascii", "replace")
        raise cursor.error("zlib_crc32", expected, got, offset=end)


def _after_version(source: ByteSource) -> Cursor:
    """A cursor after the magic number and the version."""
    cursor = Cursor(source, chunk="snapshot")
    magic = bytes(cursor.source.data[: len(MAGIC)])
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic))
    cursor.skip("magic", len(MAGIC))
    version = unpack_scalar(cursor, "version")
    if version != VERSION or type(version) is not int:
        hint = "It is of a later version of ffjax; read it with that."
        expected, got = str(VERSION), repr(version)
        raise cursor.error("version", expected, got, offset=len(MAGIC), hint=hint)
    return cursor
