"""Reading text: words and values of a line, bad lines, and where errors say they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax._internal.file_arguments import check_dims, check_limit
from ffjax.formats.text.read import read_text_blocks
from tests.formats.samples import open_bytes


def load(raw: bytes, **options) -> ffjax.Embeddings:
    return ffjax.load_text(open_bytes(raw), **options)


def load_dims(raw: bytes, **options) -> ffjax.Embeddings:
    return ffjax.load_text_dims(open_bytes(raw), **options)


def raw_rows(raw: bytes, **options) -> tuple[list[str], np.ndarray]:
    """Words and rows as they are in the file."""
    words, rows = [], []
    with read_text_blocks(open_bytes(raw), **options) as blocks:
        for block in blocks:
            words += block.words.strings
            rows.append(block.rows)
        empty = np.empty((0, blocks.dims), np.float32)
    return words, np.concatenate(rows or [empty])


def test_vectors_get_unit_length_and_norms_their_lengths() -> None:
    emb = load(b"one 3.0 4.0\ntwo 0.0 0.0\nthree 0.5 -1e-3\n")
    assert isinstance(emb.vocab, ffjax.SimpleVocab)
    assert emb.vocab.words == ["one", "two", "three"]
    np.testing.assert_array_equal(emb["one"], np.array([0.6, 0.8], np.float32))
    # finalfusion-python divides zero by zero here.
    np.testing.assert_array_equal(emb["two"], np.zeros(2, np.float32))
    np.testing.assert_array_equal(np.asarray(emb.norms)[:2], np.array([5, 0], np.float32))
    rows = np.asarray(emb.storage) * np.asarray(emb.norms)[:, None]
    np.testing.assert_allclose(rows, [[3, 4], [0, 0], [0.5, -1e-3]], rtol=1e-6)


def test_lengths_outside_of_float32_squares_are_right() -> None:
    emb = load(b"big 3e30 4e30\nsmall 3e-30 4e-30\n")
    np.testing.assert_allclose(np.asarray(emb.norms), [5e30, 5e-30], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(emb.storage), [[0.6, 0.8]] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    "raw",
    [
        b"a 0.5 1.25\nb -1.0 2.0\n",
        b"a 0.5 1.25\nb -1.0 2.0",  # no line feed at the end
        b"a 0.5 1.25 \nb -1.0 2.0 \n",  # a space after each line, as fastText writes
        b"a 0.5 1.25\r\nb -1.0 2.0\r\n",
        b"a 0.5 1.25 \r\nb -1.0 2.0   \r\n",
        b"a\t0.5\t1.25\nb\t-1.0\t2.0\n",
        b"a\t0.5 1.25\nb\t-1.0 2.0\n",
        b"a 0.5  1.25\nb   -1.0 2.0\n".replace(b"b   ", b"b "),  # two spaces between values
        b"a .5 1.25e0\nb -1 +2\n",
        b"a 0.50000000000000000000 1.25\nb -1.0 2.0\n",
        b"a 0.5 1.25\nb -1.0 2.0\n\n\r\n \n",  # empty lines at the end
        b"a 0.5 1.25       \nb -1.0 2.0\n",
    ],
)
def test_ways_to_write_the_same(raw: bytes) -> None:
    words, rows = raw_rows(raw, header=False)
    assert words == ["a", "b"]
    np.testing.assert_array_equal(rows, np.array([[0.5, 1.25], [-1, 2]], np.float32))


@pytest.mark.parametrize(
    "word",
    [
        "New York",
        " ",
        "\u00a0",
        ". . .",
        "at name@domain.com",
        "a\u00a0b",
        "",
        "\u2028",
        "3",
        "0.25",
        "windows 10",
    ]
    + [" x", "x ", "a\tb", "\x0b", "\x1c", "a\rb", "日本 語", "-", "e", "nan"],
)
def test_words_are_what_precedes_the_values(word: str) -> None:
    raw = f"first 1.0 2.0\n{word} 0.5 0.25\nlast -1.0 -2.0\n".encode()
    words, rows = raw_rows(raw, header=False)
    assert words == ["first", word, "last"]
    np.testing.assert_array_equal(rows[1], np.array([0.5, 0.25], np.float32))
    assert raw_rows(b"3 2\n" + raw, header=True)[0] == ["first", word, "last"]


def test_the_first_line_need_not_be_typical() -> None:
    words, rows = raw_rows(b"New York 1.0 2.0\nb 3.0 4.0\nc 5.0 6.0\n", header=False)
    assert words == ["New York", "b", "c"]
    assert rows.shape == (3, 2)


@pytest.mark.parametrize("word", ["python 2.7", "x -1", "y 1e5", "z .5", "nan nan", "a\t0.5"])
def test_a_word_that_ends_with_a_value_needs_dims(word: str) -> None:
    raw = f"a 1.0 2.0\nb 1.0 2.0\n{word} 0.5 0.25\n".encode()
    with pytest.raises(
        ffjax.FormatError,
        match="byte 20: line 3: expected 2 values after the word, got more.*`dims=2`",
    ) as info:
        load(raw)
    assert info.value.offset == 20
    assert load(raw, dims=2).vocab.words == ["a", "b", word]
    assert load_dims(b"3 2\n" + raw).vocab.words == ["a", "b", word]  # which the first line settles


@pytest.mark.parametrize(
    ("raw", "offset", "message"),
    [
        (b"a 1.0 2.0\nb 1.0\n", 10, "expected 2 values after the word, got 1 in 'b 1.0'"),
        (b"a 1.0 2.0\nb\nc 1.0 2.0\n", 10, "expected 2 values after the word, got 0 in 'b'"),
        (b"a 1.0 2.0\n1.0 2.0\nc 1.0 2.0\n", 10, "expected 2 values after the word, got 1"),
        (
            b"a 1.0 2.0\nb 1.0 x\nc 1.0 2.0\n",
            16,
            "value 2 of 2 of 'b': expected a decimal number, got 'x'",
        ),
        (b"a 1.0 2.0\nb 1.0 0x1\nc 1.0 2.0\n", 16, "expected a decimal number, got '0x1'"),
        (
            b"a 1.0 2.0\nb 1_0 2.0\nc 1.0 2.0\n",
            12,
            "value 1 of 2 of 'b': expected a decimal number, got '1_0'",
        ),
        (b"a 1.0 2.0\nb 1,0 2.0\nc 1.0 2.0\n", 12, "expected a decimal number, got '1,0'"),
        (b"a 1.0 2.0\nb 1.0 \x002.0\nc 1.0 2.0\n", 16, "expected a decimal number"),
        (b"a 1.0 2.0\nb 1.0 \xd9\xa1\nc 1.0 2.0\n", 16, "expected a decimal number"),
        (b"a 1.0 2.0\nb 1.0\x0b2.0\nc 1.0 2.0\n", 10, "expected 2 values after the word, got 1"),
        (
            b"a 1.0 2.0\nb 1.0 2.0 \x1a\nc 1.0 2.0\n",
            10,
            "expected 2 values after the word, got more",
        ),
        (b"a 1.0 2.0\n\nc 1.0 2.0\n", 10, "expected a word and 2 values, got an empty line"),
        (b"a 1.0 2.0\n \r\n\nc 1.0 2.0\n", 10, "expected a word and 2 values, got an empty line"),
        (b"\na 1.0 2.0\n", 0, "expected a word and 2 values, got an empty line"),
        (b"", 0, "expected a word and its values on each line, got an empty file"),
        (b"\n\n", 0, "expected a word and its values on each line"),
        (
            b"only words\nhere you see\n",
            0,
            "expected a word and its values on each line, got 'only words'",
        ),
        (
            b"2 3\na 1.0 2.0 3.0\nb 1.0 2.0 3.0\n",
            0,
            "expected a word and 3 values, got '2 3'. .*load_text_dims",
        ),
    ],
)
def test_bad_lines(raw: bytes, offset: int, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message) as info:
        load(raw)
    assert info.value.offset == offset


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "first line: expected two whole numbers, `rows dims`, got an empty file"),
        (b"one 1.0 2.0\n", "expected two whole numbers, `rows dims`, got 'one 1.0 2.0'"),
        (b"2\n", "expected two whole numbers"),
        (b"1 2", "expected two whole numbers"),
        (b"1 2 3\n", "expected two whole numbers"),
        (b"-1 2\na 1 1\n", "expected two whole numbers"),
        (b"1 0\na\n", "dims: expected 1 to 16777216, got 0"),
        (b"1 99999999999\na 1\n", "dims: expected 1 to 16777216, got 99999999999"),
        (b"1 9999999999999999999999\na 1\n", "expected two whole numbers"),
        (
            b"1000000 2\na 1.0 2.0\n",
            "rows: expected at most 2, as many as 10 bytes can hold, got 1000000",
        ),
        (b"999999999999999999 16777216\na 1.0 2.0\n", "rows: expected at most 0"),
        (b"2 2\na 1.0 2.0\n", "expected 2 rows, as the first line says, got 1 up to the end"),
        (b"1 2\na 1.0 2.0\nb 1.0 2.0\n", "expected 1 rows, as the .* says, got 2.*`limit=2`"),
        (b"0 2\na 1.0 2.0\n", "expected 0 rows, as the first line says, got 1"),
        (b"2 3\na 1.0 2.0\nb 1.0 2.0\n", "expected 3 values after the word, got 2 in 'a 1.0 2.0'"),
    ],
)
def test_bad_headers(raw: bytes, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        load_dims(raw)


@pytest.mark.parametrize("dims", [1, 2, 300])
def test_no_rows(dims: int) -> None:
    emb = load_dims(f"0 {dims}\n".encode())
    assert (emb.n_words, emb.dims, len(emb.norms)) == (0, dims, 0)


def test_invalid_utf8_names_the_word_and_its_byte() -> None:
    raw = b"meren 1.0 2.0\nzee\xc3n 1.0 2.0\n"
    with pytest.raises(
        ffjax.FormatError, match=r"byte 14: word: expected UTF-8, got b'zee\\xc3n'.*`lossy=True`"
    ):
        load(raw)
    assert load(raw, lossy=True).vocab.words == ["meren", "zee\ufffdn"]


def test_a_character_cut_in_two_by_the_border_of_words() -> None:
    # The last byte of one word and the first of the next would make a character together.
    raw = b"a\xc3 1.0 2.0\n\xa9b 1.0 2.0\n"
    with pytest.raises(ffjax.FormatError, match="byte 0: word: expected UTF-8"):
        load(raw)
    assert load(raw, lossy=True).vocab.words == ["a\ufffd", "\ufffdb"]


def test_repeated_words_count_once_with_one_warning() -> None:
    raw = b"a 1.0 0.0\nb 0.0 2.0\na 0.0 3.0\nb 4.0 0.0\na 0.0 5.0\nc 0.0 6.0\n"
    with pytest.warns(
        UserWarning, match="3 words occur again; the first vector of each counts"
    ) as caught:
        emb = load(raw)
    assert len(caught) == 1
    assert emb.vocab.words == ["a", "b", "c"]
    np.testing.assert_array_equal(
        np.asarray(emb.storage), np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    )
    np.testing.assert_array_equal(np.asarray(emb.norms), np.array([1, 2, 6], np.float32))


def test_words_that_become_equal_by_lossy_reading() -> None:
    with pytest.warns(UserWarning, match="1 word occurs again"):
        emb = load(b"x\xff 1.0 0.0\nx\xfe 0.0 2.0\n", lossy=True)
    assert emb.vocab.words == ["x\ufffd"]
    np.testing.assert_array_equal(np.asarray(emb.norms), np.array([1], np.float32))


def test_nan_and_infinity_are_kept_with_one_warning() -> None:
    raw = b"a nan 1.0\nb inf -2.0\nc 3.0 4.0\nd 1e39 0.5\ne -NaN -Infinity\n"
    with pytest.warns(
        UserWarning, match="4 vectors without a finite length; kept as read, with norm 1"
    ) as caught:
        emb = load(raw)
    assert len(caught) == 1
    expected = np.array(
        [[np.nan, 1], [np.inf, -2], [0.6, 0.8], [np.inf, 0.5], [np.nan, -np.inf]], np.float32
    )
    np.testing.assert_array_equal(np.asarray(emb.storage), expected)
    np.testing.assert_array_equal(np.asarray(emb.norms), np.array([1, 1, 5, 1, 1], np.float32))


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 100])
@pytest.mark.parametrize("header", [False, True])
def test_limit(limit: int, header: bool) -> None:
    raw = b"a 1.0 2.0\nb 3.0 4.0\nc 5.0 6.0\n"
    emb = load_dims(b"3 2\n" + raw, limit=limit) if header else load(raw, limit=limit)
    assert emb.vocab.words == ["a", "b", "c"][:limit]
    assert emb.dims == 2


def test_limit_leaves_what_follows_unread() -> None:
    assert load(b"a 1.0 2.0\nb 1.0 2.0\nbroken\n", limit=2).n_words == 2
    with pytest.raises(ffjax.FormatError, match="expected 2 values"):
        load(b"a 1.0 2.0\nb 1.0 2.0\nbroken\n", limit=3)


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        (
            check_limit,
            -1,
            ValueError,
            "`limit`: expected the number of words to read, or None .*, at least 0, got -1",
        ),
        (
            check_limit,
            1.5,
            TypeError,
            "`limit`: expected the number of words to read, or None for all, got float 1.5",
        ),
        (check_limit, True, TypeError, "`limit`: expected"),
        (
            check_dims,
            0,
            ValueError,
            "`dims`: expected the number of values a line, or None .*, at least 1, got 0",
        ),
        (check_dims, "3", TypeError, "`dims`: expected the number of values a line.*got str '3'"),
    ],
)
def test_bad_arguments(
    check: Callable, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check(value)


def test_arguments_are_checked_before_the_file_is_touched() -> None:
    with pytest.raises(ValueError, match="`limit`: expected"):
        ffjax.load_text("no such file", limit=-1)


def test_dims_that_the_header_contradicts() -> None:
    with pytest.raises(
        ValueError, match="`dims`: expected 2, as the file's first line says, got 3"
    ):
        load_dims(b"1 2\na 1.0 2.0\n", dims=3)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"a 1.0 2.0\nb 1.0\n")
    with pytest.raises(ffjax.FormatError, match="vectors.txt: byte 10: line 2: expected 2") as info:
        ffjax.load_text(path)
    assert info.value.file == path
