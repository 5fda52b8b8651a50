"""Lists of words and of n-grams, as vocabulary chunks hold them.

    length  u32            bytes of the string, for each string
    string  u8[length]     UTF-8
    row     u64            n-grams of an explicit vocabulary only: which row is theirs

`chain` finds out where the strings stand, without a loop over them.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer

from ffjax._internal.aligned import aligned_empty, aligned_zeros
from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion.string_starts import find_starts
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.strings.string_table import SLACK, StringTable, capacity

_BLOCK = 1 << 18
_ITEMS = 1 << 16
_ROW = 8
_MOST = np.iinfo(np.int32).max - SLACK


@dataclass(frozen=True)
class Items:
    """Strings that were read, and what errors need to name one.

    Attributes:
        table: the strings.
        rows: the row of each, if they have one.
        what: what errors call a string.
        start: where in the file the list begins.
    """

    table: StringTable
    rows: np.ndarray | None
    what: str
    start: int

    def offset(self, index: int) -> int:
        """Where in the file string number `index` begins, behind its length."""
        each = 4 + (0 if self.rows is None else _ROW)
        return self.start + int(self.table.host_offsets[index]) + index * each + 4


def read_items(cursor: Cursor, count: int, what: str, *, with_rows: bool = False) -> Items:
    """Reads a list of strings.

    Args:
        cursor: where the list begins; afterwards where it ends.
        count: how many strings the chunk declares.
        what: what errors call a string: `"word"` or `"n-gram"`.
        with_rows: whether a row follows each string.

    Raises:
        FinalfusionFormatError: the chunk is too short for the strings, or a string is not UTF-8.
    """
    tail = _ROW if with_rows else 0
    cursor.claim(f"number of {what}s", count, 4 + tail)
    start = cursor.position
    body = cursor.source.view(start, cursor.end)
    starts = find_starts(cursor, body, count, tail, what)
    end = int(starts[-1])
    cursor.position += end
    size = end - count * (4 + tail)
    if size > _MOST:
        raise cursor.error(f"{what}s", f"at most {_MOST} bytes of text", str(size), offset=start)
    table, rows = _strip(body[:end], starts, tail)
    cursor.source.release_pages(start, start + end)
    items = Items(table, rows, what, start)
    if bad := invalid_utf8(table):
        index, within, reason = bad
        offset = items.offset(index) + within
        raise cursor.error(f"{what} {index}", "UTF-8", reason, offset=offset)
    return items


def refuse_duplicates(cursor: Cursor, items: Items) -> None:
    """Names the first string of a list that occurred before.

    Raises:
        FinalfusionFormatError: there is one.
    """
    if found := first_duplicate(items.table):
        first, second = found
        raise cursor.error(
            f"{items.what} {second}",
            f"each {items.what} once",
            f"{items.table.raw(second)!r} for the second time, after {items.what} {first}",
            offset=items.offset(second),
        )


def first_duplicate(table: StringTable) -> tuple[int, int] | None:
    """The first string that occurred before, as `(earlier, later)`; `None` if all are different."""
    hashes = np.fromiter(map(hash, _each(table)), np.int64, len(table))
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    pairs = sorted((int(b), int(a)) for a, b in zip(order[:-1][same], order[1:][same], strict=True))
    return next(((a, b) for b, a in pairs if table.raw(a) == table.raw(b)), None)


def invalid_utf8(table: StringTable) -> tuple[int, int, str] | None:
    """The first string that is not UTF-8: its number, the byte within it, and why; `None` if all are."""
    offsets = table.host_offsets
    size = int(offsets[-1])
    data = memoryview(table.host_data)[:size]
    done = 0
    while done < size:
        stop = min(done + _BLOCK, size)
        try:
            done += codecs.utf_8_decode(data[done:stop], "strict", stop == size)[1]
        except UnicodeDecodeError as error:
            at = done + error.start
            index = int(np.searchsorted(offsets, at, side="right")) - 1
            return index, at - int(offsets[index]), f"byte 0x{data[at]:02x} ({error.reason})"
    # All of it is UTF-8, so a string is not only if the character before its start goes on in it.
    cut = np.flatnonzero((table.host_data[offsets[:-1]] & 0xC0) == 0x80)
    if not cut.size:
        return None
    index = int(cut[0]) - 1
    last = int(offsets[index + 1]) - 1
    while data[last] & 0xC0 == 0x80:
        last -= 1
    return index, last - int(offsets[index]), f"byte 0x{data[last]:02x} (unexpected end of data)"


def items_size(table: StringTable, *, with_rows: bool = False) -> int:
    """Bytes of a list of strings in a file."""
    return int(table.host_offsets[-1]) + len(table) * (4 + (_ROW if with_rows else 0))


def write_items(out: Output, table: StringTable, rows: Integer[np.ndarray, " n"] | None = None) -> None:
    """Writes a list of strings, each with its row if rows are given."""
    tail = 0 if rows is None else _ROW
    offsets = table.host_offsets
    for first in range(0, len(table), _ITEMS):
        bounds = offsets[first : first + _ITEMS + 1].astype(np.int64)
        lengths = np.diff(bounds)
        starts = bounds[:-1] - bounds[0] + np.arange(len(lengths)) * (4 + tail)
        block = np.empty(int(bounds[-1] - bounds[0]) + len(lengths) * (4 + tail), np.uint8)
        is_text = np.ones(block.size, bool)
        _put(block, is_text, starts, lengths.astype("<u4"))
        if rows is not None:
            _put(block, is_text, starts + 4 + lengths, rows[first : first + _ITEMS].astype("<u8"))
        block[is_text] = table.host_data[bounds[0] : bounds[-1]]
        out.write(block)


def check_text(table: StringTable, chunk: str, what: str, file: File | None) -> None:
    """Checks that strings may be stored.

    Raises:
        FinalfusionFormatError: one is not UTF-8.
    """
    if bad := invalid_utf8(table):
        index, _, reason = bad
        raise FinalfusionFormatError(
            file,
            chunk=chunk,
            field=f"{what} {index}",
            expected="UTF-8, which is all that finalfusion holds",
            got=f"{table.raw(index)!r} with {reason}",
            hint="Read the original file with `lossy=True`, or leave the word out.",
        )


def _each(table: StringTable) -> Iterator[bytes]:
    data = memoryview(table.host_data)
    for first in range(0, len(table), _ITEMS):  # a list of all offsets would take more memory than the file
        bounds = table.host_offsets[first : first + _ITEMS + 1].tolist()
        yield from (bytes(data[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True))


def _put(block: np.ndarray, is_text: np.ndarray, starts: np.ndarray, numbers: np.ndarray) -> None:
    width = numbers.dtype.itemsize
    places = starts[:, None] + np.arange(width)
    block[places] = numbers.view(np.uint8).reshape(-1, width)
    is_text[places] = False


def _strip(body: np.ndarray, starts: np.ndarray, tail: int) -> tuple[StringTable, np.ndarray | None]:
    """Leaves out the numbers between the strings; `starts` ends with the end of the list."""
    count = len(starts) - 1
    offsets = aligned_empty((count + 1,), np.int32)
    offsets[:] = starts - np.arange(count + 1, dtype=starts.dtype) * (4 + tail)
    data = aligned_zeros((capacity(int(offsets[-1]), count),), np.uint8)
    rows = np.empty(count * tail, np.uint8)
    n_text = n_rows = 0
    for first in range(0, body.size, _BLOCK):
        block = body[first : first + _BLOCK]
        # Which of the bytes around the block are starts, from three before it to eight behind it.
        marks = np.zeros(block.size + 11, bool)
        near = starts[np.searchsorted(starts, first - 3) : np.searchsorted(starts, first + block.size + 8)]
        marks[near - (first - 3)] = True
        is_text = ~_any(marks, range(4), block.size)
        if tail:
            is_row = _any(marks, range(4, 4 + tail), block.size)
            n_rows += _compress(block, is_row, rows, n_rows)
            is_text &= ~is_row
        n_text += _compress(block, is_text, data, n_text)
    return StringTable(data, offsets), rows.view("<u8") if tail else None


def _any(marks: np.ndarray, steps: range, size: int) -> np.ndarray:
    """Whether one of the marks that many steps on is set, for each of the first `size` places."""
    found = marks[steps[0] : steps[0] + size].copy()
    for step in steps[1:]:
        found |= marks[step : step + size]
    return found


def _compress(block: np.ndarray, chosen: np.ndarray, out: np.ndarray, at: int) -> int:
    count = int(np.count_nonzero(chosen))
    np.compress(chosen, block, out=out[at : at + count])
    return count
