"""Lists of words and of n-grams, as vocabulary chunks hold them.

    length  u32            bytes of the string, for each string
    string  u8[length]     UTF-8
    row     u64            n-grams of an explicit vocabulary only: the row of the n-gram

A loop in Python over every word would take most of the time of opening a file. The length of an
ordinary string is a byte that is not zero before three zeros, so all positions that look like this
are collected at once. One counts only if the string before it ends there, counted from the start of
the list, which makes the result exact. Where that chain breaks (a string is empty, longer than 255
bytes or has zero bytes in it), single strings are stepped over until it goes on.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffjax.formats.finalfusion.header import cannot_hold
from ffjax.formats.io.binary import Chains, Cursor, Output
from ffjax.kernels.spans_numpy import words_at
from ffjax.strings.string_table import MAX_BYTES, StringTable

_SCAN_BYTES = 1 << 18
_BLOCK_STRINGS = 1 << 16
_LONG_CHAIN = 32
_MAX_STEPS = 1 << 12
_LENGTH_BYTES = 4
_ROW_BYTES = 8
_U32 = struct.Struct("<I")


@dataclass(frozen=True)
class StringList:
    """Strings that were read, what errors call one (`noun`), and where in the file they begin."""

    table: StringTable
    rows: np.ndarray | None
    noun: str
    start: int

    def offset(self, index: int) -> int:
        """Where in the file string number `index` begins, after its length."""
        numbers = _LENGTH_BYTES + (0 if self.rows is None else _ROW_BYTES)
        return self.start + int(self.table.host_offsets[index]) + index * numbers + _LENGTH_BYTES


def read_strings(cursor: Cursor, count: int, noun: str, *, with_rows: bool = False) -> StringList:
    """Reads a list of `count` strings, each with a row or without."""
    row_bytes = _ROW_BYTES if with_rows else 0
    cursor.claim(f"number of {noun}s", count, _LENGTH_BYTES + row_bytes)
    begin = cursor.position
    body = cursor.source.view(begin, cursor.end)
    starts = _find_starts(cursor, body, count, row_bytes, noun)
    size = int(starts[-1])
    cursor.position += size
    n_text = size - count * (_LENGTH_BYTES + row_bytes)
    if n_text > MAX_BYTES:
        most = f"at most {MAX_BYTES} bytes of text"
        raise cursor.error(f"{noun}s", most, str(n_text), offset=begin)
    ends = starts[1:] - row_bytes
    # With what follows the list, since strings are copied sixteen bytes at a time.
    data = cursor.source.view(begin, min(begin + size + 16, len(cursor.source)))
    table = StringTable.from_spans(data, starts[:-1] + _LENGTH_BYTES, ends)
    rows = words_at(data, "<u8")[ends] if with_rows else None
    cursor.source.release_pages(begin, begin + size)
    strings = StringList(table, rows, noun, begin)
    if invalid := table.first_invalid():
        got = _describe_byte(table, *invalid)
        offset = strings.offset(invalid.index) + invalid.offset
        raise cursor.error(f"{noun} {invalid.index}", "UTF-8", got, offset=offset)
    return strings


def write_strings(
    out: Output, table: StringTable, noun: str, rows: np.ndarray | None = None
) -> None:
    """Writes a list of strings, with their rows if any; `noun` is what errors call a string."""
    if invalid := table.first_invalid():
        got = f"{table.raw(invalid.index)!r} with {_describe_byte(table, *invalid)}"
        expected = "UTF-8, which is all that finalfusion holds"
        hint = "Read the original file with `lossy=True`, or leave the word out."
        raise cannot_hold(f"{noun} {invalid.index}", expected, got, hint)
    numbers = _LENGTH_BYTES + (0 if rows is None else _ROW_BYTES)
    size = int(table.host_offsets[-1]) + len(table) * numbers
    out.write_blocks(size, _with_numbers(table, rows))


def _find_starts(
    cursor: Cursor, body: np.ndarray, count: int, row_bytes: int, noun: str
) -> np.ndarray:
    """Where in `body` the length of each string stands, then where the list ends."""
    # 1024: room for the end of the last string.
    dtype = np.int32 if body.size < 2**31 - 1024 else np.int64
    likely = _likely_starts(body, row_bytes, dtype)
    ends = likely + (_LENGTH_BYTES + row_bytes)
    ends += body[likely]
    chains = Chains(likely, ends)
    starts = np.empty(count + 1, dtype)
    n = position = n_empty = 0
    n_steps = 1
    while n < count:
        chain = likely[chains.at(position)][: count - n]
        starts[n : n + chain.size] = chain
        n += chain.size
        if chain.size:
            position = _step(cursor, body, int(chain[-1]), row_bytes, f"{noun} {n - 1}")
        # Strings that are empty, long or have zeros. Where there are many of them, stepping on
        # costs less than searching for the chain.
        n_steps = 1 if chain.size > _LONG_CHAIN else min(2 * n_steps, _MAX_STEPS)
        for i in range(n, min(n + n_steps, count)):
            starts[i] = position
            position = _step(cursor, body, position, row_bytes, f"{noun} {i}")
            n_empty += position - int(starts[i]) == _LENGTH_BYTES + row_bytes
            if n_empty > 1:
                # Checked at once, since a file of zeros is a list of empty strings alone.
                offset = cursor.position + position - row_bytes
                expected, got = f"each {noun} once", "a second empty one"
                raise cursor.error(f"{noun} {i}", expected, got, offset=offset)
        n = min(n + n_steps, count)
    starts[count] = position
    return starts


def _step(cursor: Cursor, body: np.ndarray, position: int, row_bytes: int, name: str) -> int:
    """Where the string whose length stands at `position` ends, with its row."""
    remaining = body.size - position - _LENGTH_BYTES
    offset = cursor.position + position
    if remaining < 0:
        got = f"{remaining + _LENGTH_BYTES} before the end of the chunk"
        raise cursor.error(f"length of {name}", f"{_LENGTH_BYTES} bytes", got, offset=offset)
    (length,) = _U32.unpack_from(body, position)
    if length + row_bytes > remaining:
        expected = f"{length + row_bytes} more bytes"
        got = f"{remaining} before the end of the chunk"
        raise cursor.error(f"length of {name}", expected, got, offset=offset)
    return position + _LENGTH_BYTES + length + row_bytes


def _likely_starts(body: np.ndarray, row_bytes: int, dtype: Any) -> np.ndarray:
    """Where a byte that is not zero stands before three zeros, and after those that end a row."""
    before = 4 if row_bytes else 0  # rows are below 2**32, so their four high bytes are zero
    blocks = [np.zeros(0, dtype)]
    for first in range(before, body.size - 3, _SCAN_BYTES):
        size = min(_SCAN_BYTES, body.size - 3 - first)
        zero = body[first - before : first + size + 3] == 0
        likely = ~zero[before : before + size]
        for step in (*range(-before, 0), 1, 2, 3):
            likely &= zero[before + step : before + step + size]
        blocks.append((np.flatnonzero(likely) + first).astype(dtype))
    return np.concatenate(blocks)


def _with_numbers(table: StringTable, rows: np.ndarray | None) -> Iterator[np.ndarray]:
    """Blocks of strings with their lengths and rows."""
    numbers = _LENGTH_BYTES + (0 if rows is None else _ROW_BYTES)
    for first in range(0, len(table), _BLOCK_STRINGS):
        bounds = table.host_offsets[first : first + _BLOCK_STRINGS + 1].astype(np.int64)
        text = table.host_data[bounds[0] : bounds[-1]]
        lengths = np.diff(bounds)
        starts = bounds[:-1] - bounds[0] + np.arange(len(lengths)) * numbers
        block = np.empty(text.size + len(lengths) * numbers, np.uint8)
        is_text = np.ones(block.size, np.uint8)
        words_at(block)[starts], words_at(is_text)[starts] = lengths, 0
        if rows is not None:
            starts += _LENGTH_BYTES + lengths
            words_at(block, "<u8")[starts] = rows[first : first + _BLOCK_STRINGS]
            words_at(is_text, "<u8")[starts] = 0
        block[is_text.view(bool)] = text
        yield block


def _describe_byte(table: StringTable, index: int, offset: int, reason: str) -> str:
    return f"byte 0x{table.raw(index)[offset]:02x} ({reason})"
