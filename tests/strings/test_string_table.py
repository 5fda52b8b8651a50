"""`StringTable`: the layout, and the questions about UTF-8 and duplicates."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ffjax import StringTable, pack
from ffjax.kernels import spans_numpy
from ffjax.strings import string_table
from ffjax.strings.string_table import SLACK, capacity

words = st.lists(st.text(max_size=40))
raw = st.lists(st.binary(max_size=40))
# Valid and invalid strings, and characters cut in two.
mixed = st.lists(st.one_of(st.binary(max_size=5), st.text(max_size=5).map(str.encode)), max_size=12)


def is_utf8(raw):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def raws(table):
    return [table.raw(i) for i in range(len(table))]


@given(words)
def test_a_table_holds_what_a_list_holds(strings):
    table = StringTable.from_strings(strings)
    assert table.strings == strings
    assert list(table) == strings
    assert [table[i] for i in range(len(table))] == strings
    assert [table[-i - 1] for i in range(len(table))] == strings[::-1]
    assert pack(table) == pack(strings)
    assert table.data.size >= table.offsets[-1] + SLACK


@given(raw)
def test_a_table_of_broken_utf8_keeps_its_bytes(strings):
    table = StringTable.from_strings(strings)
    assert raws(table) == strings
    assert StringTable.from_strings(table.strings) == table


def test_characters_cut_in_two_are_not_joined():
    # "é" is c3 a9: the buffer as a whole is UTF-8, neither string is.
    table = StringTable.from_strings([b"caf\xc3", b"\xa9"])
    assert table.strings == ["caf\udcc3", "\udca9"]


def test_take_repeats_and_reorders():
    table = StringTable.from_strings(["a", "", "ccc", "dd"])
    assert table.take(np.array([3, 1, 1, 2])).strings == ["dd", "", "", "ccc"]
    assert table.take(np.array([], int)).strings == []


@given(st.lists(st.one_of(st.binary(max_size=300), st.binary(max_size=4)), max_size=40), st.data())
def test_strings_of_any_length_are_taken_in_any_order(strings, data):
    table = StringTable.from_strings(strings)
    order = data.draw(st.permutations(range(len(strings))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans_numpy, "_BLOCK", 8)
        taken = table.take(np.array(order, int))
    assert raws(taken) == [strings[i] for i in order]
    assert not taken.data[taken.offsets[-1] :].any()


def test_concat_joins_tables_in_order():
    tables = [StringTable.from_strings(strings) for strings in (["a", ""], [], ["é", "bc"])]
    assert StringTable.concat(tables).strings == ["a", "", "é", "bc"]
    assert len(StringTable.concat([])) == 0


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


@pytest.mark.parametrize("n_strings", [1, 2, 3, 1 << 14])
@given(mixed)
@example([b"\xc3", b"\xa9"])
@example([b"\xe6\x9d", b"", b"\xb1x"])
@example([b"ab", b"c\xff"])
@example([b"\xc3", b"\xa9", b"\xff"])
@example([b"a", b"\x80"])
def test_the_first_string_that_is_not_utf8(n_strings, strings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(string_table, "_DECODED_STRINGS", n_strings)
        invalid = StringTable.from_strings(strings).first_invalid()
    expected = next((i for i, string in enumerate(strings) if not is_utf8(string)), None)
    if expected is None:
        assert invalid is None
        return
    with pytest.raises(UnicodeDecodeError, match="codec can't decode") as caught:
        strings[expected].decode()
    assert invalid == (expected, caught.value.start, caught.value.reason)


@given(mixed)
def test_replacing_bytes_that_are_not_utf8(strings):
    replaced = [string.decode("utf-8", "replace").encode() for string in strings]
    assert raws(StringTable.from_strings(strings).replace_invalid()) == replaced


@given(mixed)
def test_strings_that_would_become_equal_to_others_keep_their_bytes(strings):
    strings = list(dict.fromkeys(strings))
    table = StringTable.from_strings(strings).replace_invalid(distinct=True)
    taken = {string for string in strings if is_utf8(string)}
    for string, replaced in zip(strings, raws(table), strict=True):
        text = string.decode("utf-8", "replace").encode()
        if text != string:
            assert replaced == (string if text in taken else text)
            taken.add(text)
        else:
            assert replaced == string
    assert len(set(raws(table))) == len(strings)


def test_a_table_without_invalid_strings_is_returned_as_it_is():
    table = StringTable.from_strings(["tea", "é"])
    assert table.replace_invalid() is table


@given(st.lists(st.binary(max_size=2), max_size=40))
def test_duplicates_and_first_occurrences(strings):
    table = StringTable.from_strings(strings)
    first_of = {}
    again = [i for i, string in enumerate(strings) if first_of.setdefault(string, i) != i]
    expected = (first_of[strings[again[0]]], again[0]) if again else None
    assert table.first_duplicate() == expected
    assert table.first_occurrences().tolist() == list(first_of.values())


@pytest.mark.parametrize("data", [b"aba", b"abaXXXX"])
def test_nothing_needs_to_follow_the_last_string(data):
    offsets = np.array([0, 1, 2, 3, 3], np.int32)
    table = StringTable(np.frombuffer(data, np.uint8), offsets)
    assert table.first_duplicate() == (0, 2) and table.first_invalid() is None
    assert table.first_occurrences().tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: StringTable.from_buffer(b"ab", np.array([0, 3])),
            ValueError,
            "`offsets`: expected n . 1 offsets within a buffer of 2 bytes, got 2 offsets from 0",
        ),
        (
            lambda: StringTable.from_buffer(b"ab", np.array([], int)),
            ValueError,
            r"`offsets`: expected n . 1 offsets .* got an array of shape \(0,\)",
        ),
        (
            lambda: StringTable.from_buffer(b"ab", np.array([0, 2, 1, 2])),
            ValueError,
            "no decrease, got 2 and then 1",
        ),
        (
            lambda: StringTable.from_strings(["a"])[1],
            IndexError,
            "`index`: expected -1 to 0, got 1",
        ),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
