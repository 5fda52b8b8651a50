"""word2vec's binary format: with and without line feeds, truncated, corrupted; its limits."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.formats import word2vec
from ffjax.formats.word2vec import read_word2vec_blocks
from tests.formats.samples import open_bytes

WORDS = ["eins", "zürich", "x", "word-that-is-longer", ""]
ROWS = np.array([[3, 4], [0, 0], [0.5, -1e-3], [1e30, -1e30], [-7, 24]], np.float32)
UNIT = [
    [0.6, 0.8],
    [0, 0],
    [0.5 / np.hypot(0.5, 1e-3), -1e-3 / np.hypot(0.5, 1e-3)],
    [0.5**0.5, -(0.5**0.5)],
    [-0.28, 0.96],
]
NORMS = [5, 0, np.hypot(0.5, 1e-3), 1e30 * 2**0.5, 25]


def encode(
    words: list[str | bytes], rows: np.ndarray, feed: bytes = b"\n", count: int | None = None
) -> bytes:
    """A file put together by hand; `count` lies about the rows."""
    raw = f"{len(words) if count is None else count} {rows.shape[1]}\n".encode()
    for word, row in zip(words, rows, strict=True):
        raw += (
            (word.encode() if isinstance(word, str) else word)
            + b" "
            + struct.pack(f"<{len(row)}f", *row)
            + feed
        )
    return raw


def load(raw: bytes, **options) -> ffjax.Embeddings:
    return ffjax.load_word2vec(open_bytes(raw), **options)


@pytest.mark.parametrize("feed", [b"\n", b"", b"\n\n"])
def test_with_and_without_line_feeds(feed: bytes) -> None:
    emb = load(encode(WORDS, ROWS, feed))
    assert isinstance(emb.vocab, ffjax.SimpleVocab)
    assert emb.vocab.words == WORDS
    np.testing.assert_allclose(np.asarray(emb.storage), UNIT, rtol=2e-7)
    np.testing.assert_allclose(np.asarray(emb.norms), NORMS, rtol=1e-7)


def test_line_feeds_behind_some_rows() -> None:
    header, rows = (
        encode([], ROWS[:0], count=3),
        [encode([w], ROWS[i : i + 1], b"")[4:] for i, w in enumerate(WORDS[:3])],
    )
    assert load(header + rows[0] + rows[1] + b"\n" + rows[2] + b"\n\n\n").vocab.words == WORDS[:3]


def test_rows_whose_bytes_look_like_separators() -> None:
    rows = np.frombuffer(b" \n  \n\n a b\nc \n\n\n", "<f4").reshape(2, 2)
    with read_word2vec_blocks(open_bytes(encode(["a", "b"], rows))) as blocks:
        (block,) = blocks
    assert block.words.strings == ["a", "b"]
    np.testing.assert_array_equal(block.rows.view(np.uint32), rows.view(np.uint32))


@pytest.mark.parametrize("feed", [b"\n", b""])
def test_truncation_at_every_byte(feed: bytes) -> None:
    raw = encode(WORDS, ROWS, feed)
    for size in range(len(raw) - len(feed)):
        with pytest.raises(ffjax.FormatError, match="expected"):
            load(raw[:size])


@pytest.mark.parametrize("compressed", [False, True])
def test_truncation_says_what_is_missing(compressed: bool) -> None:
    import gzip

    raw = encode(WORDS, ROWS)
    for size, offset, message in (
        (len(raw) - 3, 76, r"row 5 of 5: vector of '': expected 8 bytes, got 6 before the end"),
        (20, 18, r"row 2 of 5: word: expected a word and a space, got 'z\\\\xc3'"),
        (18, 18, "row 2 of 5: word: expected a word and a space, got the end of the file"),
    ):
        if not compressed and size < 40:
            continue  # refused for the number of rows
        with pytest.raises(ffjax.FormatError, match=message) as info:
            load(gzip.compress(raw[:size], mtime=0) if compressed else raw[:size])
        assert info.value.offset == offset, size


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "first line: expected two whole numbers, `rows dims`, got an empty file"),
        (b"1 2 3\n", "expected two whole numbers"),
        (b"1 0\na ", "dims: expected 1 to 16777216, got 0"),
        (b"1 16777217\na ", "dims: expected 1 to 16777216, got 16777217"),
        (b"1000 2\na 12345678", "rows: expected at most 1, as many as 10 bytes can hold, got 1000"),
        (b"999999999999999999 300\n", "rows: expected at most 0"),
        (
            b"1 2\na 12345678\nb 12345678\n",
            "byte 15: expected the end after 1 rows, as the first line says, got 'b 1234",
        ),
        (b"0 2\nx", "byte 4: expected the end after 0 rows"),
        (b"1 2\na 12345678\x00", "expected the end after 1 rows"),
    ],
)
def test_bad_files(raw: bytes, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        load(raw)


def test_no_rows() -> None:
    emb = load(b"0 300\n")
    assert (emb.n_words, emb.dims) == (0, 300)


def test_invalid_utf8_names_the_word_and_its_byte() -> None:
    raw = encode(["meren", b"zee\xbfn"], ROWS[:2])
    with pytest.raises(
        ffjax.FormatError, match=r"byte 19: word: expected UTF-8, got b'zee\\xbfn'.*`lossy=True`"
    ):
        load(raw)
    assert load(raw, lossy=True).vocab.words == ["meren", "zee\ufffdn"]


@pytest.mark.parametrize("header", [b"3 2\n", b"2 2\n"], ids=["truncated", "surplus"])
def test_the_first_of_two_problems_is_reported(header: bytes) -> None:
    raw = header + encode(["a", b"zee\xbfn"], ROWS[:2])[4:] + b"tea 123"
    with pytest.raises(ffjax.FormatError, match="UTF-8"):
        load(raw)
    with pytest.raises(ffjax.FormatError, match="before the end|expected the end"):
        load(raw, lossy=True)


def test_repeated_words_count_once_with_one_warning() -> None:
    with pytest.warns(UserWarning, match="2 words occur again") as caught:
        emb = load(encode(["a", "b", "a", "b"], ROWS[:4]))
    assert len(caught) == 1
    assert emb.vocab.words == ["a", "b"]
    np.testing.assert_allclose(np.asarray(emb.storage), UNIT[:2], rtol=2e-7)


def test_nan_and_infinity_are_kept_with_one_warning() -> None:
    rows = np.array([[np.nan, 1], [np.inf, -2], [3, 4]], np.float32)
    with pytest.warns(UserWarning, match="2 vectors without a finite length"):
        emb = load(encode(["a", "b", "c"], rows))
    np.testing.assert_array_equal(np.asarray(emb.storage)[:2], rows[:2])


@pytest.mark.parametrize("limit", [0, 1, 3, 5, 6])
def test_limit(limit: int) -> None:
    emb = load(encode(WORDS, ROWS), limit=limit)
    assert emb.vocab.words == WORDS[:limit]
    np.testing.assert_allclose(
        np.asarray(emb.storage), np.array(UNIT)[:limit].reshape(-1, 2), rtol=2e-7
    )


def test_limit_leaves_what_follows_unread() -> None:
    raw = encode(["a", b"\xff", "c"], ROWS[:3]) + b"and more"
    assert load(raw, limit=1).n_words == 1
    with pytest.raises(ffjax.FormatError, match="UTF-8"):
        load(raw, limit=2)
    with pytest.raises(ffjax.FormatError, match="UTF-8|the end after 3 rows"):
        load(raw, limit=3)


@pytest.mark.parametrize("block", [1, 13, 64, 200])
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(word2vec, "_READ_BYTES", block)
    rows = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    words = [f"w{i}" * (i % 5 + 1) for i in range(50)]
    raw = encode(words, rows)
    with read_word2vec_blocks(open_bytes(raw)) as blocks:
        assert (blocks.dims, blocks.n_rows) == (7, 50)
        read = list(blocks)
    assert [word for block in read for word in block.words.strings] == words
    np.testing.assert_array_equal(np.concatenate([block.rows for block in read]), rows)
    emb = load(raw)
    assert emb.vocab.words == words
    np.testing.assert_allclose(
        np.asarray(emb.storage) * np.asarray(emb.norms)[:, None], rows, rtol=3e-7
    )


def test_a_word_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word2vec, "_READ_BYTES", 64)
    monkeypatch.setattr(word2vec, "_MAX_WORD_BYTES", 256)
    with pytest.raises(ffjax.FormatError, match="row 1 of 1: word: expected a word and a space"):
        load(b"1 2\n" + b"x" * 1000)


@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(raw: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # repeated words and NaN are no errors
        for data in (raw, b"2 2\n" + raw, b"1 3\n" + raw):
            try:
                emb = load(data, lossy=True)
            except ffjax.FormatError:
                continue
            assert len(emb.norms) == emb.n_words


def test_written_files_are_byte_for_byte_what_they_were(
    tmp_path: Path, finalfusion_files: Path
) -> None:
    # finalfusion's own file has a line feed after each row, as ours; norms survive scaling.
    source = finalfusion_files / "embeddings.w2v"
    path = tmp_path / "vectors.w2v"
    with read_word2vec_blocks(source) as blocks:
        (block,) = blocks
    emb = ffjax.Embeddings(ffjax.NdArray(block.rows), ffjax.SimpleVocab(block.words))
    ffjax.write_word2vec(path, emb)
    assert path.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("word", "message"),
    [("a b", "words without spaces.*got 'a b'"), ("a\nb", "without line feeds")],
)
def test_words_that_cannot_be_written(tmp_path: Path, word: str, message: str) -> None:
    emb = ffjax.Embeddings(ffjax.NdArray(ROWS[:2]), ffjax.SimpleVocab(["x", word]))
    with pytest.raises(ValueError, match=message):
        ffjax.write_word2vec(tmp_path / "vectors.w2v", emb)
    assert not list(tmp_path.iterdir())
