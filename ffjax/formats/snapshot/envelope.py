"""What surrounds the tree of a snapshot, and reading it with bounds; arrays stay in the file.

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
from collections.abc import Callable
from typing import Any

import msgpack

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.snapshot.arrays import CHUNKED, EXT_CODES, join_chunks, unpack_array

MAGIC = b"\x83\xa5ffjax"
VERSION = 1
TAIL = b"\xaazlib_crc32\xa8"
_DIGITS = 8
_BLOCK_BYTES = 1 << 22
_MAX_DEPTH = 32
_FIRST_BYTES = 64
_VALUES = "a map, text, a whole number, a truth value, nil or an array"
_MAP_CODES = (*range(0x80, 0x90), 0xDE, 0xDF)


def read_tree(source: ByteSource) -> Any:
    """The map of a snapshot; arrays stay in the file."""
    cursor = _after_version(source)
    key_at = cursor.position
    if _unpack_scalar(cursor, "key") != "snapshot":
        raise cursor.error("key", "'snapshot'", "another", offset=key_at)
    tree = _unpack(cursor, "snapshot")
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
    version = _unpack_scalar(cursor, "version")
    if version != VERSION or type(version) is not int:
        hint = "It is of a later version of ffjax; read it with that."
        expected, got = str(VERSION), repr(version)
        raise cursor.error("version", expected, got, offset=len(MAGIC), hint=hint)
    return cursor


def _unpack(cursor: Cursor, name: str, depth: int = 0) -> Any:
    """A `dict`, `str`, `int`, `bool`, `None` or `StoredArray`; errors call it `name`."""
    offset = cursor.position
    code = cursor.take(name, 1)[0]
    cursor.position = offset
    if code in EXT_CODES:
        return unpack_array(cursor, name)
    if code not in _MAP_CODES:
        return _unpack_scalar(cursor, name)
    count = _call(cursor, name, msgpack.Unpacker.read_map_header)
    cursor.claim(name, count, 2, offset=offset)  # a key and a value have a byte each at least
    if depth == _MAX_DEPTH:
        raise cursor.error(name, f"at most {_MAX_DEPTH} nested maps", "more", offset=offset)
    entries: dict[str, Any] = {}
    for _ in range(count):
        key_at = cursor.position
        key = _unpack_scalar(cursor, name)
        if not isinstance(key, str) or key in entries:
            raise cursor.error(name, "keys of text, each once", repr(key), offset=key_at)
        entries[key] = _unpack(cursor, key, depth + 1)
    return join_chunks(cursor, name, entries, offset) if CHUNKED in entries else entries


def _unpack_scalar(cursor: Cursor, name: str) -> Any:
    """A `str`, `int`, `bool` or `None`."""
    offset = cursor.position
    value = _call(cursor, name, msgpack.Unpacker.unpack)
    if not isinstance(value, str | int | None):
        raise cursor.error(name, _VALUES, f"a {type(value).__name__}", offset=offset)
    return value


def _call(cursor: Cursor, name: str, method: Callable[[msgpack.Unpacker], Any]) -> Any:
    """What a method of an unpacker makes of the next bytes; it gets no more than it needs."""
    n_bytes = _FIRST_BYTES
    while True:
        unpacker = msgpack.Unpacker(
            max_buffer_size=0,
            max_str_len=cursor.remaining,
            max_bin_len=0,
            max_array_len=0,
            max_ext_len=0,
        )
        stop = min(cursor.position + n_bytes, cursor.end)
        unpacker.feed(cursor.source.data[cursor.position : stop])
        try:
            value = method(unpacker)
        except msgpack.OutOfData as error:
            if stop == cursor.end:
                raise cursor.error(name, "more bytes", "the end of the file") from error
            n_bytes *= 16
        except ValueError as error:
            raise cursor.error(name, _VALUES, f"an error: {error}") from error
        else:
            cursor.skip(name, unpacker.tell())
            return value
