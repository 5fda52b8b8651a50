"""Lists of words and n-grams: the reader of all at once against one that reads them one by one."""

import contextlib
import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ffjax import FinalfusionFormatError, StringTable
from ffjax.formats.finalfusion import string_list
from ffjax.formats.finalfusion.string_list import read_strings, write_strings
from ffjax.formats.io.binary import Cursor, Output
from tests.formats.finalfusion import fifu

# Words that look like the numbers between words, beside ordinary ones.
PIECES = [
    "",
    "a",
    "\0",
    "\0\0\0",
    "\1\0\0\0",
    "b\0\0\0",
    "é",
    "東",
    "x" * 255,
    "y" * 256,
    "z" * 600,
    "\xff",
    "👍",
]
word_lists = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=30, unique=True
)
row_lists = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)), min_size=30, max_size=30
)


def one_by_one(data: bytes, count: int, *, tail: int = 0) -> tuple[list[bytes], list[int], int]:
    """The plain way to read a list; the last answer is where it ends."""
    found, rows, at = [], [], 0
    for _ in range(count):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
        if tail:
            rows += struct.unpack_from("<Q", data, at)
            at += 8
    return found, rows, at


def raw(table: StringTable) -> list[bytes]:
    return [table.raw(i) for i in range(len(table))]


@contextlib.contextmanager
def blocks(size: int | None):
    """Small blocks put their edges everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        if size:
            patch.setattr(string_list, "_SCAN_BYTES", size)
            patch.setattr(string_list, "_BLOCK_STRINGS", 3)
        yield


in_blocks = pytest.mark.parametrize("block", [None, 16], ids=["whole", "blocks"])


@in_blocks
@given(given=word_lists, behind=st.binary(max_size=20))
@example(given=["a", "", "b"], behind=b"\0" * 9)
@example(given=["a\0", "b"], behind=b"")
@example(given=["x" * 256, "a", "y" * 600], behind=b"\1\0\0\0a")
def test_words_are_those_of_the_plain_way(block, given, behind):
    with blocks(block):
        data = fifu.words(*given)
        cursor = Cursor(fifu.memory(data + behind))
        found = read_strings(cursor, len(given), "word")
        assert (
            raw(found.table) == one_by_one(data, len(given))[0] == [word.encode() for word in given]
        )
        assert cursor.position == len(data)
        assert found.rows is None
        assert found.table == StringTable.from_strings(given)
        for i, word in enumerate(given):
            at = found.offset(i)
            assert data[at : at + len(word.encode())] == word.encode()


@in_blocks
@given(given=word_lists, rows=row_lists, behind=st.binary(max_size=20))
@example(given=["a", "b", "c"], rows=[0] * 30, behind=b"")
@example(given=["abc", "b", "c"], rows=[0, 2**32, 2**63] + [0] * 27, behind=b"\0\0\0\0\1\0\0\0")
def test_ngrams_and_their_rows_are_those_of_the_plain_way(block, given, rows, behind):
    with blocks(block):
        data = b"".join(
            fifu.words(word) + struct.pack("<Q", row)
            for word, row in zip(given, rows, strict=False)
        )
        cursor = Cursor(fifu.memory(data + behind))
        found = read_strings(cursor, len(given), "n-gram", with_rows=True)
        plain, plain_rows, end = one_by_one(data, len(given), tail=8)
        assert raw(found.table) == plain == [word.encode() for word in given]
        assert found.rows.tolist() == plain_rows == rows[: len(given)]
        assert cursor.position == end == len(data)
        for i, word in enumerate(given):
            at = found.offset(i)
            assert data[at : at + len(word.encode())] == word.encode()


@in_blocks
@given(given=word_lists, rows=row_lists)
def test_what_is_written_is_the_layout(block, given, rows):
    with blocks(block):
        table = StringTable.from_strings(given)
        for with_rows in (False, True):
            out = io.BytesIO()
            ids = np.array(rows[: len(given)], np.uint64) if with_rows else None
            write_strings(Output(out), table, "word", ids)
            tails = [struct.pack("<Q", row) if with_rows else b"" for row in rows]
            expected = b"".join(
                fifu.words(word) + tail for word, tail in zip(given, tails, strict=False)
            )
            assert out.getvalue() == expected
            dry_run = Output(None, 5)
            write_strings(dry_run, table, "word", ids)
            assert dry_run.position == 5 + len(expected)


@in_blocks
@given(data=st.binary(max_size=60), count=st.integers(0, 12), with_rows=st.booleans())
def test_any_bytes_are_read_as_the_plain_way_reads_them_or_refused(block, data, count, with_rows):
    with blocks(block):
        tail = 8 if with_rows else 0
        try:
            expected, rows, end = one_by_one(data, count, tail=tail)
            fits = (
                end <= len(data)
                and not any(bad(word) for word in expected)
                and expected.count(b"") < 2
            )
        except struct.error:
            fits = False
        cursor = Cursor(fifu.memory(data), chunk="chunk")
        if not fits:
            with pytest.raises(FinalfusionFormatError, match="chunk: .*expected .*, got "):
                read_strings(cursor, count, "word", with_rows=with_rows)
            return
        found = read_strings(cursor, count, "word", with_rows=with_rows)
        assert raw(found.table) == expected
        assert cursor.position == end
        assert (found.rows is None) == (not with_rows)
        if with_rows:
            assert found.rows.tolist() == rows


def bad(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return True
    return False


def test_long_lists_cross_the_real_blocks():
    given = [f"word{i}" + "\0" * (i % 1000 == 0) for i in range(200_000)]
    data = fifu.words(*given)
    assert len(data) > 2 * string_list._SCAN_BYTES
    assert len(given) > 2 * string_list._BLOCK_STRINGS
    found = read_strings(Cursor(fifu.memory(data)), len(given), "word")
    assert found.table.strings == given
    out = io.BytesIO()
    write_strings(Output(out), found.table, "word")
    assert out.getvalue() == data


def test_chains_are_searched_for_rarely_where_they_are_short(monkeypatch):
    given = ["\3\0\0\0" * 6 + str(i) for i in range(20_000)]
    positions = []
    at = string_list.Chains.at
    monkeypatch.setattr(
        string_list.Chains, "at", lambda self, i: (positions.append(i), at(self, i))[1]
    )
    found = read_strings(Cursor(fifu.memory(fifu.words(*given))), len(given), "word")
    assert found.table.strings == given
    assert len(positions) < 100


def test_a_search_for_a_chain_copies_nothing():
    starts = np.arange(1 << 18, dtype=np.int32)
    chains = string_list.Chains(starts, starts + 1)
    tracemalloc.start()
    try:
        assert chains.at(9) == slice(9, len(starts), None)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_a_list_of_nothing_but_zeros_is_refused_at_once():
    data = bytes(40_000_000)
    with pytest.raises(
        FinalfusionFormatError,
        match="byte 8: word 1: expected each word once, got a second empty one",
    ):
        read_strings(Cursor(fifu.memory(data)), 10_000_000, "word")
