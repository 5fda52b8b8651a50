"""Fields of single lines: what they give away about a file."""

from ffjax.formats.save import promised_format
from ffjax.formats.text import fields


def test_numbers_where_a_line_feed_is_lost() -> None:
    words = [b"b 0.3 0.4c", b"python 2.7", b". . .", b"9 11 2001"]
    assert list(map(fields.holds_values, words)) == [True, False, False, False]


def test_separators_of_other_tables() -> None:
    assert fields.stuck_separator(b"tea, 0.1, 0.2,") == ","
    assert fields.stuck_separator(b"chapter 2:") is None
    assert fields.other_separator(b"tea;0.1;0.2") == ";"
    assert fields.other_separator(b"tea 0.1 0.2") is None


def test_a_byte_order_mark_before_a_separator_is_a_word() -> None:
    texts = ["\ufeff2 3", "\ufeff 0.5", "2 3"]
    assert [fields.mark_bytes(text.encode()) for text in texts] == [3, 0, 0]


def test_lines_that_end_with_cr_alone() -> None:
    texts = [b"one 1 2\rtwo 3 4\r", b"one 1 2\r\ntwo 3 4", b"a\rb 1 2\n"]
    assert list(map(fields.ends_with_cr, texts)) == [True, False, False]


def test_the_format_that_a_name_promises() -> None:
    names = ["words.vec", "words.txt.gz", "words", "words.bin"]
    promised = ["textdims", "compressed", None, "fastText or word2vec"]
    assert list(map(promised_format, names)) == promised
