"""Which format a file is in: found out by its content, or said with `format=`."""

from pathlib import Path

import pytest

import ffjax
from ffjax.formats.detect import detect
from ffjax.formats.registry import FORMATS
from tests.formats.samples import open_bytes


@pytest.mark.parametrize(
    ("raw", "format"),
    [
        (b"FiFu", "finalfusion"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", "fasttext"),
        (b"1 2\nx \x00\x00\x00\x00\x00\x00\x80\x3f\n", "word2vec"),
        (b"1 2\nx \n\n\n\n\x01\n\n\n", "word2vec"),
        (b"1 2\nx", "word2vec"),
        (b"1 300\nx " + b"\x3d\x3e1." * 300, "word2vec"),
        (b"1 2\nx 0.5 1\n", "textdims"),
        (b"1 2\nNew York 0.5 1\n", "textdims"),
        (b"1 2 \r\nx 0.5 1 \r\n", "textdims"),
        (b"1 2\nx 0.5\n", "textdims"),  # a value is missing, which the reader of text says
        (b"1 2\nx 0.5 1", "textdims"),
        (b"0 300\n", "textdims"),
        (b"5 1\n6 2\n7 3\n8 1\n9 2\n0 1\n", "textdims"),
        (b"5 3\n6 2\n", "text"),  # numbers for words, and one value each
        (b"x 0.5 1\n", "text"),
        (b"x 0.5", "text"),
        (b"PAR1 0.5 1\n", "text"),
        (b"FiFu 0.5 1\n", "text"),
        (b"\x83\xa5ffjax\x01\xa6a = 1\n", "msgpack"),
        (b"5 0.5\n", "text"),
        (b"broken\nx 0.5 1\n", "text"),
        ("\u00a0 0.5 1\n".encode(), "text"),
        (b"\xff\xfe 0.5 1\n", "text"),
        (b"x" + b" 0.25" * 20_000 + b"\n", "text"),  # one line longer than what is looked at first
        (b"1 20000\nx" + b" 0.25" * 20_000 + b"\n", "textdims"),
        (b"2 2 3 4 1 2166136261 < >\n0 1 2\n1 3 4\n", "floret"),
        (b"2 2 3 4 1 2166136261 < >", "floret"),
        (b"2 2 3 4 1 2166136261 1 2\n0 1 2\n1 3 4\n", "floret"),  # digits for markers
        (b"1 2 3 4 5 6 7 8\n2 3 4 5 6 7 8 9\n", "text"),  # a word and seven whole numbers
        (b"0 2 3 4 5 6 7 8\n1 2 3 4 5 6 7 8\n", "text"),
        (b"3 2\nfoo 1\nbar 5", "text"),  # one value each, and neither three rows nor two values
        (b"9 300\nfoo 1\nbar 5\n", "text"),
        (b"2 2\nfoo 1\nbar 5\n", "textdims"),  # two rows, as the first line says, of too few values
        (b"3 2\nfoo 1\nNew York 5\nbar 2 4\n", "textdims"),
        ("\ufeff1 2\nx 0.5 1\n".encode(), "textdims"),
        ("\ufeffx 0.5 1\n".encode(), "text"),
        ("\ufeff2 2 3 4 1 2166136261 < >\n0 1 2\n1 3 4\n".encode(), "floret"),
    ],
)
def test_detection(raw: bytes, format: str) -> None:
    stream = open_bytes(raw)
    assert detect(stream) == format
    assert stream.position == 0
    assert format in FORMATS


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "got an empty file$"),
        (
            b"\x00\x01\x02",
            r"got b'\\x00\\x01\\x02'. If it is a supported format, name it with `format=`. "
            "Recognized are finalfusion .*, fastText .*, word2vec or text .*, floret .*, and text",
        ),
        (b"no numbers here\nand none there\n", "got b'no numbers here"),
        (b"<!DOCTYPE html>", "got a web page. The download failed"),
        ("x 0.5\n".encode("utf-16"), "got text, probably in UTF-16. Convert it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize x\n", "Git LFS"),
        (b"x 0.5\x00 1\n", "got b'x 0.5"),
    ],
)
def test_unknown_files(raw: bytes, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=f"expected embeddings, .*{message}") as info:
        detect(open_bytes(raw))
    assert info.value.offset == 0


def test_the_name_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vectors.fifu"
    path.write_bytes(b"1 2\nx 0.5 1\n")
    assert ffjax.load(path).vocab.words == ["x"]


def test_format_overrides(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"5 3\n6 2\n")
    assert ffjax.load(path).vocab.words == ["5", "6"]
    with pytest.raises(ffjax.FormatError, match="expected 5 rows|rows: expected"):
        ffjax.load(path, format="textdims")
    with pytest.raises(ffjax.FormatError, match="magic"):
        ffjax.load(path, format="finalfusion")
    with pytest.raises(ffjax.FormatError, match="magic"):
        ffjax.load(path, format="fasttext")
    with pytest.raises(ffjax.FormatError, match="rows: expected"):
        ffjax.load(path, format="word2vec")
    with pytest.raises(ffjax.FormatError, match="header: expected"):
        ffjax.load(path, format="floret")
    with pytest.raises(
        ValueError, match="`format`: expected one of 'finalfusion', .*, or None, got 'glove'"
    ):
        ffjax.load(path, format="glove")
