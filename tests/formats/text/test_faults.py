"""Text that is easily misread: damaged lines, other separators, aligned columns, encodings."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.rows.encodings import likely_encoding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors"


def load(path: Path, raw: bytes, **options: object) -> ffjax.Embeddings:
    path.write_bytes(raw)
    return ffjax.load(path, **options)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            b"tea, 0.1, 0.2, 0.3\ncup, 0.4, 0.5, 0.6\n",
            "line 1: expected 1 value after the word, got more in 'tea, 0.1, 0.2, 0.3'. "
            "Values are separated by spaces or tabs alone, and here by `, `.",
        ),
        (
            b"a 0.1 0.2\nb 0.3 0.4c 0.5 0.6\nd 0.7 0.8\n",
            "line 2: .*got more in 'b 0.3 0.4c 0.5 0.6'. A line feed may be missing.",
        ),
        (
            b"2 2\na 0.1 0.2\nb 0.3 0.4c 0.5 0.6\nd 0.7 0.8\n",
            "line 3: .*A line feed may be missing. If all of 'b 0.3 0.4c' is the word",
        ),
        (
            b"2 3\n2 3\na 1 2 3\n",
            "line 2: expected a word and 3 values, got the line of dimensions",
        ),
        (b"2 2\na 0.5 1 2\nb 1 2 3\n", "line 2: expected 2 values after the word, got more"),
        (b"2 2\na 1 1 2\nb 1 2 3\n", "line 2: expected 2 values after the word, got more"),
        (b"2 3\na 0,1 0,2 0,3\nb 0,4 0,5 0,6\n", "value 1 of 3 of 'a': .*got '0,1'. Numbers have"),
        (b"1 2\na 1:0.5 2:0.25\n", "value 1 of 2 of 'a': .*got '1:0.5'"),
        (b"1 2\na [0.5 0.25]\n", r"value 1 of 2 of 'a': .*got '\[0.5'"),
        (b"1 2\na; 0.5; 0.25\n", "value 1 of 2 of 'a;': .*got '0.5;'"),
        (b"1 2\na;0.5;0.25\n", "got 0 in 'a;0.5;0.25'. Values are .* and here by ';'"),
        (b"a,0.5,0.25\nb,1.5,2\n", "Values are separated by spaces or tabs, and here by ','"),
    ],
)
def test_damaged_tables_are_errors(path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        load(path, raw)


def test_a_line_feed_lost_in_the_middle(path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 50)).round(4)
    lines = [f"w{i} " + " ".join(map(str, row)) for i, row in enumerate(rows.tolist())]
    text = "\n".join(lines).replace("\nw10000 ", "w10000 ")
    with pytest.raises(ffjax.FormatError, match="line 10000: .*A line feed may be missing"):
        load(path, text.encode())


@pytest.mark.parametrize("word", ["7", "0,0 km²", ". . .", "windows 10", "9 11 2001", "chapter 2:"])
def test_words_that_hold_numbers(path: Path, word: str) -> None:
    rows = "tea 0.5 0.25\ncup 1.5 2.5\n"
    assert load(path, f"{rows}{word} 1.0 2.0\n".encode()).vocab.words == ["tea", "cup", word]


def test_dims_settles_words_that_end_with_values(path: Path) -> None:
    raw = b"python 2.7 0.5 0.25\nruby 1 2\n"
    assert load(path, b"2 2\n" + raw).vocab.words == ["python 2.7", "ruby"]
    with pytest.raises(ffjax.FormatError, match="say so with `dims="):
        load(path, b"tea 1 2\n" + raw)
    assert load(path, raw, dims=2).vocab.words == ["python 2.7", "ruby"]
    ffjax.convert(path, path.with_suffix(".fifu"), dims=2)
    assert ffjax.load(path.with_suffix(".fifu"), dims=2).vocab.words == ["python 2.7", "ruby"]
    with pytest.raises(ValueError, match="`dims`: expected 2, as the file says, or None, got 3"):
        ffjax.load(path.with_suffix(".fifu"), dims=3)


def test_a_first_line_that_agrees_with_rows_settles_words_that_end_with_values(path: Path) -> None:
    raw = b"python 2.7 0.5 0.25\nwindows 3.11 0.3 0.4\nx 1 2"
    words = ["python 2.7", "windows 3.11", "x"]
    for end in (b"", b"\n", b"\r\n", b"\n\n"):
        emb = load(path, b"3 2\n" + raw + end)
        assert emb.words == words
    ffjax.save(emb, path, format="textdims")
    assert ffjax.load(path) == emb
    faults = {
        b"4 2\n" + raw: "expected 2 values after the word, got more",
        b"2 2\n" + raw: "expected 2 values after the word, got more",
        b"3 2\n" + raw.replace(b"x 1", b"x 3 1"): "expected 2 values after the word, got more",
        b"3 2\n3 2\n" + raw: "the line of dimensions again",
        raw: "line 3: expected 3 values after the word, got 2 in 'x 1 2'",
    }
    for fault, message in faults.items():
        with pytest.raises(ffjax.FormatError, match=message):
            load(path, fault)


@pytest.mark.parametrize(
    "raw",
    [
        b"tea  0.5 -0.25\ncup -1.5  2.5\nNew York  3.5 -4.5\n",
        b"tea\t\t0.5 -0.25\ncup \t-1.5\t 2.5 \nNew York   3.5   -4.5\n",
        b"  tea    0.5 -0.25\r\n  cup   -1.5   2.5\r\nNew York  3.5  -4.5\r\n",
    ],
)
def test_aligned_columns(path: Path, raw: bytes) -> None:
    emb = load(path, raw)
    assert emb.vocab.words == ["tea", "cup", "New York"]
    rows = np.asarray(emb.storage) * np.asarray(emb.norms)[:, None]
    np.testing.assert_allclose(rows, [[0.5, -0.25], [-1.5, 2.5], [3.5, -4.5]], rtol=1e-6)
    with pytest.raises(ffjax.FormatError, match="line 2: value 2 of 2 of 'cup'.*got 'x'") as info:
        load(path, raw.replace(b"2.5", b"x"))
    assert path.read_bytes()[info.value.offset :].startswith(b"x")


@pytest.mark.parametrize("sep", ["  ", "\t\t", " \t "])
def test_separators_of_several_characters_come_back(path: Path, sep: str) -> None:
    words = ffjax.SimpleVocab(["tea", "New York"])
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), words)
    for write in (ffjax.write_text, ffjax.write_text_dims):
        write(path, emb, sep)
        assert ffjax.load(path).vocab.words == ["tea", "New York"]
        spaced = ffjax.Embeddings(emb.storage, ffjax.SimpleVocab(["tea", "New  York"]))
        with pytest.raises(ValueError, match="words that a reader can tell from values"):
            write(path, spaced, sep)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("GB18030", "中国 我们 的 人民 学校 电脑 经济 发展"),
        ("BIG5", "中國 我們 的 人民 學校 電腦 經濟 發展"),
        ("EUC-KR", "한국 사람 학교 우리 컴퓨터 문제 경제"),
        ("SHIFT_JIS", "日本 です ます コンピュータ 学校 する"),
        ("EUC-JP", "日本 です ます コンピュータ 学校 する"),
        ("CP1251", "россия человек школа Москва"),
        ("KOI8-R", "россия человек школа Москва"),
        ("CP1252", "café niño straße Überraschung où à"),
    ],
)
def test_the_likely_encoding_is_named(path: Path, encoding: str, words: str) -> None:
    assert likely_encoding([word.encode(encoding) for word in words.split()]) == encoding
    text = "".join(f"{word} 0.5 0.25\n" for word in ["tea", *words.split()])
    with pytest.raises(ffjax.FormatError, match=f"iconv -f {encoding} -t UTF-8 OLD > NEW"):
        load(path, text.encode(encoding))


def test_a_few_words_that_are_not_utf8_are_replaced(path: Path) -> None:
    raw = "é 1 2\nß 1 2\nø 1 2\n".encode() + b"caf\xe9 1 2\n"
    with pytest.raises(ffjax.FormatError, match="`lossy=True` replaces bytes that are not UTF-8"):
        load(path, raw)


def test_one_word_that_is_not_utf8_suggests_no_encoding(path: Path) -> None:
    with pytest.raises(ffjax.FormatError, match="`lossy=True` replaces bytes") as error:
        load(path, b"zee\xc3n 1 2\n")
    assert "iconv" not in str(error.value)


@pytest.mark.parametrize("n_rows", [1, 9])
def test_a_wrong_number_of_rows_names_the_limit(path: Path, n_rows: int) -> None:
    raw = f"{n_rows} 2\na 1 2\nb 3 4\n".encode()
    with pytest.raises(ffjax.FormatError, match="`limit="):
        load(path, raw)
    assert load(path, raw, limit=2).vocab.words == ["a", "b"]


def test_a_zero_byte_in_a_word(path: Path) -> None:
    words = ffjax.SimpleVocab(["a\x00b", "c"])
    rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
    for write in (ffjax.write_text, ffjax.write_text_dims):
        write(path, ffjax.Embeddings(rows, words))
        assert ffjax.load(path).vocab.words == ["a\x00b", "c"]


def test_signaling_nan_gives_our_warning_alone(path: Path) -> None:
    row = np.array([0x7F800001, 0x3F800000], np.uint32).tobytes()
    path.write_bytes(b"1 2\na " + row + b"\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ffjax.convert(path, path.with_suffix(".txt"))
    assert [warning.category for warning in caught] == [UserWarning]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a | 0.1 | 0.2\nb | 0.3 | 0.4\n", "separated by spaces or tabs alone, and here by `| `"),
        ("a\u00a00.1 0.2\nb\u00a00.3 0.4\n", "The space before 0.1 is not an ASCII one"),
        ("3 2a 0.1 0.2\nb 0.3 0.4\n", "The line feed after a line of dimensions may be missing"),
        ("a 0,1 0,2\nb 0,3 0,4\n", "'0,2' is not a number. Numbers have a point"),
        ("a 1:0.1 2:0.2\nb 1:0.3 2:0.1\n", "'2:0.2' is not a number"),
        ("a 0.1, 0.2,\nb 0.1, 0.3,\n", "'0.2,' is not a number"),
        ('a "0.1" "0.2"\nb "0.1" "0.3"\n', "'\"0.2\"' is not a number"),
        ("word,x,y\na,0.1,0.2\n", "separated by spaces or tabs, and here by ','"),
        ("a [0.1, 0.2]\nb [0.3, 0.4]\n", "as in `tr -d '[],' < OLD"),
        ("a [0.1 0.2]\nb [0.3 0.4]\n", "'0.2]' is not a number. Remove them, as in `tr -d '[]'"),
        ("a,[0.1,0.2]\nb,[0.3,0.4]\n", "as in `tr '[],' ' ' < OLD"),
        ("0,a,0.1,0.2\n1,b,0.3,0.4\n", "`cut -d, -f2- OLD | tr ',' ' ' > NEW`"),
        ("# Notes\n\nDimension 300\nof words\n", "text, but not a table of vectors"),
        ("99999999999999999999 3\na 1 2 3\n", "a line of dimensions with too many digits"),
    ],
)
def test_tables_of_other_forms_say_what_is_wrong(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(ffjax.FormatError, match=re.escape(message)) as caught:
        ffjax.load(path)
    assert "Recognized are" not in str(caught.value)


@pytest.mark.parametrize("word", ["0,0 km²", ". . .", "a |", "New\u00a0York", "3 2nd"])
def test_words_that_look_like_tables_stay_readable(path: Path, word: str) -> None:
    path.write_text(f"{word} 0.5 0.25 1.5\ntea 0.1 0.2 0.3\n")
    assert ffjax.load(path).vocab.words == [word, "tea"]


@pytest.mark.parametrize("head", ["word d0 d1", " d0 d1", "\td0\td1"])
def test_names_of_columns_are_recognized(head: str, tmp_path) -> None:
    path = tmp_path / "table.txt"
    path.write_text(f"{head}\ntea 0.1 0.2\ncup 0.3 0.4\n")
    with pytest.raises(ffjax.FormatError, match=r"names of columns.*`tail -n \+2"):
        ffjax.load(path)


def test_prose_with_a_number_is_no_table(tmp_path) -> None:
    path = tmp_path / "README.txt"
    path.write_text("# Notes\n\nDimension 300\nof words\n")
    with pytest.raises(ffjax.FormatError, match="values on each line.*not a table of vectors"):
        ffjax.load_text(path)


def test_other_separators_are_named_where_the_format_is_given(path: Path) -> None:
    path.write_bytes(b"a,0.5,0.25\nb,1.5,2\n")
    with pytest.raises(ffjax.FormatError, match="separated by spaces or tabs, and here by ','"):
        ffjax.load(path, format="text")
