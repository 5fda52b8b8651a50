"""Words that a reader can tell from values; byte order marks, carriage returns, first lines."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from tests.formats.samples import ROWS, simple


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["a", "b\nc"],
            "expected words without line feeds, since text files can't hold them, got 'b\\\\nc'",
        ),
        (
            ["a", "python 2.7"],
            "expected words that a reader can tell from values, got 'python 2.7'",
        ),
        (["a", "x\t-1"], "expected words that a reader can tell from values"),
    ],
)
def test_words_that_text_cannot_hold(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ffjax.write_text(
            tmp_path / "a.txt", ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(words))
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "dims", "wrong"),
    [
        (["10 2", "tea"], 2, "10 2"),
        (["2 2", "tea"], 2, "2 2"),
        (["x 1", "tea"], 1, "x 1"),
        (["x 0.5 0.25", "tea"], 3, "x 0.5 0.25"),
        (["x", "y 1", "z 1", "u 1"], 1, "y 1"),
        (["windows 10", *"abc", "python 2.7"], 2, "python 2.7"),
    ],
)
def test_errors_name_the_word_with_values(
    tmp_path: Path, words: list[str], dims: int, wrong: str
) -> None:
    emb = ffjax.from_vectors(words, np.full((len(words), dims), 0.5, np.float32))
    with pytest.raises(ValueError, match=f"tell from values, got '{wrong}'"):
        ffjax.write_text(tmp_path / "a", emb)


@pytest.mark.parametrize(
    "words",
    [["New York", ""], [" ", "\u00a0"], ["a ", " b"], ["\r", "windows 10"], ["日本", "\x00"]],
)
def test_words_that_text_can_hold(tmp_path: Path, words: list[str]) -> None:
    emb = ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(words))
    for write, read in (
        (ffjax.write_text, ffjax.load_text),
        (ffjax.write_text_dims, ffjax.load_text_dims),
    ):
        write(tmp_path / "a", emb)
        assert read(tmp_path / "a", dims=2).vocab.words == words


def test_separators(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    ffjax.write_text(path, simple(), sep="\t")
    assert path.read_bytes() == b"one\t3.0 4.0\ntwo\t0.5 -0.25\n"
    assert ffjax.load(path).vocab.words == ["one", "two"]
    for sep in ("", "\n", " \n"):
        with pytest.raises(ValueError, match="`sep`: expected spaces or tabs"):
            ffjax.write_text(path, simple(), sep=sep)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ufeff2 2\none 3 4\ntwo 1 0\n", ["one", "two"]),
        ("\ufeffone 3 4\ntwo 1 0\n", ["one", "two"]),
        ("\ufeff 3 4\ntwo 1 0\n", ["\ufeff", "two"]),  # a word of its own
        ("2 2\n\ufeffone 3 4\ntwo 1 0\n", ["\ufeffone", "two"]),
        ("one 3 4\n\ufefftwo 1 0\n", ["one", "\ufefftwo"]),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_word(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "marked"
    path.write_text(text, encoding="utf-8")
    emb = ffjax.load(path)
    assert emb.vocab.words == words
    np.testing.assert_allclose(np.asarray(emb.norms), [5, 1])


def test_errors_behind_a_byte_order_mark_have_the_byte_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_text("\ufeffone 3 4\ntwo x 0\n", encoding="utf-8")
    with pytest.raises(
        ffjax.FormatError, match="byte 15: .*expected a decimal number, got 'x'"
    ) as info:
        ffjax.load_text(path, dims=2)
    assert path.read_bytes()[info.value.offset :].startswith(b"x")


def test_a_floret_table_behind_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_text("\ufeff2 2 3 4 1 2166136261 < >\n0 1.0 0.0\n1 0.0 1.0\n", encoding="utf-8")
    assert ffjax.load(path).storage.shape == (2, 2)


@pytest.mark.parametrize("word", ["\ufeffone", "\ufeff"])
def test_a_first_word_with_a_byte_order_mark_comes_back_or_is_refused(
    tmp_path: Path, word: str
) -> None:
    path = tmp_path / "marked"
    emb = ffjax.Embeddings(
        ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab([word, "two"])
    )
    ffjax.write_text_dims(path, emb)
    assert ffjax.load(path).vocab.words == [word, "two"]
    if word == "\ufeff":
        ffjax.write_text(path, emb)
        assert ffjax.load(path).vocab.words == [word, "two"]
    else:
        with pytest.raises(
            ValueError, match="words that a reader can tell from values, got '.ufeffone'"
        ):
            ffjax.write_text(path, emb)


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        (b"one 3 4\rtwo 1 0\r", 7),
        (b"2 2\rone 3 4\rtwo 1 0", 3),
        (b"2 2 3 4 1 2166136261 < >\r0 1.0 0.0\r1 0.0 1.0\r", 24),
    ],
)
def test_lines_that_end_with_a_carriage_return_alone(tmp_path: Path, raw: bytes, at: int) -> None:
    path = tmp_path / "classic"
    path.write_bytes(raw)
    with pytest.raises(
        ffjax.FormatError, match="got lines that end with CR alone. Convert them first"
    ) as info:
        ffjax.load(path)
    assert info.value.offset == at


def test_carriage_returns_before_line_feeds_and_in_words(tmp_path: Path) -> None:
    path = tmp_path / "dos"
    path.write_bytes(b"one 3 4\r\nt\rwo 1 0\r\n")
    assert ffjax.load(path).vocab.words == ["one", "t\rwo"]
    path.write_bytes(b"t\rwo 1 0\n")
    assert ffjax.load(path).vocab.words == ["t\rwo"]
    words = ffjax.SimpleVocab(["x 1\ry"])
    with pytest.raises(ValueError, match="words that a reader can tell from values"):
        ffjax.write_text(path, ffjax.Embeddings(ffjax.NdArray(np.ones((1, 2), np.float32)), words))


@pytest.mark.parametrize(
    "raw", [b"3 1\nfoo 1\n", b"3 1\nfoo-with-a-long-name 1\n", b"1 1\nfoo 1\nbar 2\n"]
)
def test_a_first_line_that_may_be_a_row(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(raw)
    with pytest.raises(
        ffjax.FormatError, match="If that line is a word and its value, .* with `format=`"
    ):
        ffjax.load(path)
    assert ffjax.load(path, format="text").n_words == raw.count(b"\n")
