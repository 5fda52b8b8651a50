"""The next value of a snapshot, with bounds and errors that say where; arrays stay in the file."""

from collections.abc import Callable
from typing import Any

import msgpack

from ffjax.formats.io.binary import Cursor
from ffjax.formats.snapshot.arrays import CHUNKED, EXT_CODES, join_chunks, unpack_array

_MAX_DEPTH = 32
_FIRST_BYTES = 64
_VALUES = "a map, text, a whole number, a truth value, nil or an array"
_MAP_CODES = (*range(0x80, 0x90), 0xDE, 0xDF)


def unpack(cursor: Cursor, name: str, depth: int = 0) -> Any:
    """A `dict`, `str`, `int`, `bool`, `None` or `StoredArray`; errors call it `name`."""
    offset = cursor.position
    code = cursor.take(name, 1)[0]
    cursor.position = offset
    if code in EXT_CODES:
        return unpack_array(cursor, name)
    if code not in _MAP_CODES:
        return unpack_scalar(cursor, name)
    count = _call(cursor, name, msgpack.Unpacker.read_map_header)
    cursor.claim(name, count, 2, offset=offset)  # a key and a value have a byte each at least
    if depth == _MAX_DEPTH:
        raise cursor.error(name, f"at most {_MAX_DEPTH} nested maps", "more", offset=offset)
    entries: dict[str, Any] = {}
    for _ in range(count):
        key_at = cursor.position
        key = unpack_scalar(cursor, name)
        if not isinstance(key, str) or key in entries:
            raise cursor.error(name, "keys of text, each once", repr(key), offset=key_at)
        entries[key] = unpack(cursor, key, depth + 1)
    return join_chunks(cursor, name, entries, offset) if CHUNKED in entries else entries


def unpack_scalar(cursor: Cursor, name: str) -> Any:
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
