"""Dictionaries of any words and counts, against a reader that takes one byte after the other."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.formats.fasttext import dictionary
from ffjax.formats.fasttext.dictionary import Dictionary
from ffjax.formats.io.binary import ByteSource, Cursor, Output
from ffjax.strings.string_table import StringTable

# Zeros within counts, counts that fill all bytes, and such that look like the end of an entry.
COUNTS = st.one_of(
    st.sampled_from(
        [
            0,
            1,
            255,
            256,
            2**16,
            2**24,
            2**32,
            2**40,
            2**48,
            2**56,
            2**63 - 1,
            -1,
            0x6100000000006261,
        ]
    ),
    st.integers(-(2**63), 2**63 - 1),
)
ENTRIES = st.lists(
    st.tuples(st.binary(max_size=6).map(lambda word: word.replace(b"\0", b"0")), COUNTS),
    max_size=40,
)


def encoded(
    words: list[tuple[bytes, int]], labels: list[tuple[bytes, int]], pruned: int = -1
) -> bytes:
    """A dictionary, entry by entry."""
    out = struct.pack("<iiiqq", len(words) + len(labels), len(words), len(labels), 99, pruned)
    for entries, kind in ((words, 0), (labels, 1)):
        for word, count in entries:
            out += word + b"\0" + struct.pack("<qb", count, kind)
    return out


def texts(entries: Dictionary) -> list[bytes]:
    """The words and labels of a dictionary."""
    bounds = zip(entries.starts, entries.ends, strict=True)
    return [entries.data[start:end].tobytes() for start, end in bounds]


@given(ENTRIES, ENTRIES, st.binary(max_size=30))
def test_read_and_write(words, labels, behind):
    data = encoded(words, labels)
    cursor = Cursor(ByteSource(None, b"head" + data + behind), 4)
    found = dictionary.read(cursor, 10)
    assert cursor.position == 4 + len(data)
    assert texts(found) == [word for word, _ in words + labels] and found.n_words == len(words)
    assert found.counts.tolist() == [count for _, count in words + labels]
    assert found.n_tokens == 99 and found.buckets is None
    offsets = [4 + 28]
    for word, _ in words + labels:
        offsets.append(offsets[-1] + len(word) + 10)
    assert found.offsets.tolist() == offsets[:-1]
    file, n = io.BytesIO(), found.n_words
    spans = ((found.starts[block], found.ends[block]) for block in (slice(n), slice(n, None)))
    tables = (StringTable.from_spans(found.data, *bounds) for bounds in spans)
    dictionary.write(Output(file), *tables, found.counts, found.n_tokens, None)
    assert file.getvalue() == data


def test_long_words_and_many_entries():
    words = [
        (b"x" * 200_000, 5),
        *((f"w{i}".encode(), i << (i % 40)) for i in range(30_000)),
        (b"y" * 100_000, 2**40),
    ]
    found = dictionary.read(Cursor(ByteSource(None, encoded(words, []))), 0)
    assert texts(found) == [word for word, _ in words]
    assert found.counts.tolist() == [count for _, count in words]


@pytest.mark.parametrize("step", [1, 2, 30, 100])
def test_labels_and_large_counts_among_others(step):
    words, labels = (
        [(f"{name}{i}".encode(), 5 if i % step else 2**33) for i in range(2000)]
        for name in ("w", "__label__")
    )
    entries = dictionary.read(Cursor(ByteSource(None, encoded(words, labels))), 0)
    assert texts(entries) == [word for word, _ in words + labels]
    assert entries.counts.tolist() == [count for _, count in words + labels]


def test_remaining_ngrams_are_in_the_order_of_their_rows():
    data = encoded([(b"tea", 3)], [], pruned=3) + struct.pack("<6i", 7, 2, 0, 0, 4, 1)
    cursor = Cursor(ByteSource(None, data))
    assert dictionary.read(cursor, 8).buckets.tolist() == [0, 4, 7]
    assert cursor.remaining == 0
    file = io.BytesIO()
    table = StringTable.from_strings(["tea"])
    empty = StringTable.from_strings([])
    buckets = np.array([0, 4, 7], np.int32)
    dictionary.write(Output(file), table, empty, np.array([3]), 99, buckets)
    assert file.getvalue() == encoded([(b"tea", 3)], [], pruned=3) + struct.pack(
        "<6i", 0, 0, 4, 1, 7, 2
    )


@pytest.mark.parametrize("n", range(1, 4))
def test_truncation_names_the_entry(n):
    data = encoded([(b"tea", 3), (b"teas", 2)], [])
    with pytest.raises(
        ffjax.FormatError, match="entry 1: expected a word, a count and a type, got the end"
    ) as caught:
        dictionary.read(Cursor(ByteSource("x.bin", data[:-n])), 0)
    assert caught.value.offset == 28 + 13
