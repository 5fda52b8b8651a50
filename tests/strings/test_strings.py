import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax import Strings, StringTable, pack, unpack
from ffjax.strings.strings import SLACK, capacity

words = st.lists(st.text(max_size=40))
raw = st.lists(st.binary(max_size=40))


@given(words)
def test_pack_and_unpack_give_the_words_back(given_words):
    assert unpack(pack(given_words)) == given_words


@given(raw)
def test_bytes_come_back_whatever_they_are(given_bytes):
    batch = pack(given_bytes)
    rows = [row[:n].tobytes() for row, n in zip(batch.bytes, batch.lengths, strict=True) if n >= 0]
    assert rows == given_bytes
    assert pack(unpack(batch)) == batch


@given(words)
def test_padding_is_zero_and_sizes_are_few(given_words):
    batch = pack(given_words)
    count, width = batch.bytes.shape
    assert width >= 16 and width & (width - 1) == 0
    assert count & (count - 1) == 0
    behind = np.arange(width) >= batch.lengths[:, None]
    assert not batch.bytes[behind].any()
    assert (batch.lengths[len(given_words) :] == -1).all()


@given(words)
def test_a_table_holds_what_a_list_holds(given_words):
    table = StringTable.from_strings(given_words)
    assert table.strings == given_words
    assert list(table) == given_words
    assert [table[i] for i in range(len(table))] == given_words
    assert [table[-i - 1] for i in range(len(table))] == given_words[::-1]
    assert pack(table) == pack(given_words)
    assert table.data.size >= table.offsets[-1] + SLACK


@given(raw)
def test_a_table_of_broken_utf8_keeps_its_bytes(given_bytes):
    table = StringTable.from_strings(given_bytes)
    assert [table.raw(i) for i in range(len(table))] == given_bytes
    assert StringTable.from_strings(table.strings) == table


def test_characters_cut_in_two_are_not_joined():
    # "é" is c3 a9: the buffer as a whole is UTF-8, neither string is.
    table = StringTable.from_strings([b"caf\xc3", b"\xa9"])
    assert table.strings == ["caf\udcc3", "\udca9"]


def test_lone_surrogates_from_bytes_become_those_bytes_again():
    assert pack(["a\udcff", "é"]).bytes[0, :3].tolist() == [0x61, 0xFF, 0]


def test_take_repeats_and_reorders():
    table = StringTable.from_strings(["a", "", "ccc", "dd"])
    assert table.take(np.array([3, 1, 1, 2])).strings == ["dd", "", "", "ccc"]
    assert table.take(np.array([], int)).strings == []


def test_tables_compare_by_their_strings_not_their_buffers():
    table = StringTable.from_strings(["a", "bc"])
    wide = StringTable(np.concatenate([table.data, np.ones(8, np.uint8)]), table.offsets)
    assert table == wide
    assert table != StringTable.from_strings(["ab", "c"])
    assert table != StringTable.from_strings(["a", "bd"])


def test_arrow_layout_with_a_first_offset():
    table = StringTable.from_buffer(b"xxParisBerlin", np.array([2, 7, 13], np.int64))
    assert table.strings == ["Paris", "Berlin"]


def test_capacities_are_few_and_leave_room():
    sizes = {capacity(n, 10) for n in range(5000)}
    assert all(capacity(n, 10) >= n + SLACK for n in range(5000))
    assert len(sizes) < 20
    assert {capacity(n, 10) for n in range(161)} == {160 + SLACK}


def test_sizes_given():
    batch = pack(["tea"], width=5, count=3)
    assert batch.bytes.shape == (3, 5)
    assert batch.lengths.tolist() == [3, -1, -1]
    assert len(pack(["a", "b", "c"], count=3)) == 3


def test_no_words():
    batch = pack([])
    assert batch.bytes.shape == (0, 16)
    assert unpack(batch) == []
    assert unpack(pack([], count=2)) == []
    assert isinstance(batch, Strings)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pack("tea"), TypeError, "`words`: expected a list of words, got the single word 'tea'"),
        (lambda: pack(["tea", 3]), TypeError, "`word`: expected str or bytes, got int 3"),
        (lambda: pack(["tea", None]), TypeError, "`word`: expected str or bytes, got NoneType None"),
        (lambda: pack(["a\ud800"]), ValueError, "`word`: expected text that UTF-8 can hold"),
        (lambda: pack(["a" * 20], width=16), ValueError, r"`width`: expected at least .*\(20\), got 16"),
        (lambda: pack(["a", "b"], count=1), ValueError, r"`count`: expected at least .*\(2\), got 1"),
        (lambda: StringTable.from_buffer(b"ab", np.array([0, 3])), ValueError, "`offsets`: expected n . 1 offsets"),
        (lambda: StringTable.from_buffer(b"ab", np.array([], int)), ValueError, "`offsets`: expected n . 1 offsets"),
        (lambda: StringTable.from_buffer(b"ab", np.array([0, 2, 1, 2])), ValueError, "no decrease, got 2 and then 1"),
        (lambda: StringTable.from_strings(["a"])[1], IndexError, "`index`: expected -1 to 0, got 1"),
        (lambda: ffjax.SimpleVocab("tea"), TypeError, "`words`: expected a list of words"),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
