"""spaCy's `key2row`: a msgpack map from unsigned 64-bit keys to rows.

    map    80 | n, de u16, or df u32: the number of entries, big endian like all numbers
    key    cf u64; those of symbols 00 to 7f, cc u8 or cd u16
    row    00 to 7f, cc u8, cd u16, ce u32 or cf u64

A million entries are read at once: wherever the byte `cf` stands, a number of 8 bytes and another
number may follow. Of what looks like an entry, a chain from the end of the head has all that are.
"""

from typing import NamedTuple

import numpy as np

from ffjax.formats.io.binary import Chains, Cursor
from ffjax.kernels.spans_numpy import words_at

_U64, _KEY_BYTES = 0xCF, 9
_NUMBER_BYTES = {0xCC: 1, 0xCD: 2, 0xCE: 4, _U64: 8}
# By the first byte of a number: its bytes, 0 for other bytes; the bits of its value.
_SIZES, _BITS = np.zeros(256, np.uint8), np.zeros(256, np.uint64)
_SIZES[:0x80], _BITS[:0x80] = 1, 0x7F
for _first, _size in _NUMBER_BYTES.items():
    _SIZES[_first], _BITS[_first] = 1 + _size, (1 << 8 * _size) - 1


class KeyRows(NamedTuple):
    """The entries of a map, in order, uint64 `[n]`."""

    keys: np.ndarray
    rows: np.ndarray


def read_key_rows(cursor: Cursor) -> KeyRows:
    """Reads a map up to the end of the file."""
    n, count = read_length(cursor), 0
    keys, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    entries, chains = _find_entries(cursor.source.view(0, cursor.end))
    while count < n:
        stretch = chains.at(cursor.position)
        if stretch.stop:
            stretch = slice(stretch.start, min(stretch.stop, stretch.start + n - count))
            keys.append(entries.keys[stretch])
            rows.append(entries.rows[stretch])
            cursor.position = int(chains.ends[stretch.stop - 1])
        else:
            for numbers, what in ((keys, "key"), (rows, "row")):
                number = _read_number(cursor, f"{what} of entry {count + 1} of {n}")
                numbers.append(np.array([number], np.uint64))
        count += len(keys[-1])
    cursor.finish()
    return KeyRows(np.concatenate(keys), np.concatenate(rows))


def read_length(cursor: Cursor) -> int:
    """Reads the number of entries."""
    start = cursor.position
    first = cursor.number("B", "length")
    if 0x80 <= first <= 0x8F:
        n = first & 0xF
    elif first in (0xDE, 0xDF):
        n = int.from_bytes(cursor.take("length", 2 if first == 0xDE else 4), "big")
    else:
        raise cursor.error("length", "a map in msgpack", f"byte 0x{first:02x}", offset=start)
    cursor.claim("length", n, 2, offset=start)
    return n


def _read_number(cursor: Cursor, field: str) -> int:
    start = cursor.position
    first = cursor.number("B", field)
    if first < 0x80:
        return first
    if first not in _NUMBER_BYTES:
        raise cursor.error(field, "an unsigned number", f"byte 0x{first:02x}", offset=start)
    return int.from_bytes(cursor.take(field, _NUMBER_BYTES[first]), "big")


def _find_entries(data: np.ndarray) -> tuple[KeyRows, Chains]:
    """What looks like an entry that is followed by another one, and where it lies."""
    starts = np.flatnonzero(data[:-_KEY_BYTES] == _U64)
    first = data[starts + _KEY_BYTES]
    ends = starts + _KEY_BYTES + _SIZES[first]
    is_number = (ends > starts + _KEY_BYTES) & (ends < len(data))
    linked = np.flatnonzero(is_number & (data[np.minimum(ends, len(data) - 1)] == _U64))
    starts, ends, first = starts[linked], ends[linked], first[linked]
    if not len(starts):
        return KeyRows(starts, starts), Chains(starts, ends)
    words = words_at(data, ">u8")
    return KeyRows(words[starts + 1], words[ends - 8] & _BITS[first]), Chains(starts, ends)
