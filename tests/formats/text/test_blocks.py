"""Text in blocks: borders do not show, errors say where, and any bytes are read or refused."""

import mmap
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.formats.rows import row_blocks
from ffjax.formats.text import line_chunks
from ffjax.formats.text import lines as text_lines
from ffjax.formats.text.read import read_text_blocks
from ffjax.formats.text.table import open_table
from tests.formats.samples import open_bytes
from tests.formats.text.test_read import load, load_dims, raw_rows


@pytest.mark.parametrize("header", [False, True])
def test_truncation_at_every_byte(header: bool) -> None:
    lines = ["wört 0.5 -0.25 1e-5", "New York 1 2.0 3.5", "zürich -0.125 0.0625 -3.25"]
    raw = ("3 3\n" * header + "\n".join(lines) + "\n").encode()
    complete = raw_rows(raw, header=header, dims=3)
    for size in range(len(raw)):
        try:
            words, rows = raw_rows(raw[:size], header=header, dims=3)
        except ffjax.FormatError:
            continue
        # Without a count of rows a file cut after a line, or within a number, is a shorter file.
        assert not header or size >= len(raw) - 7, size
        assert words == complete[0][: len(words)]
        np.testing.assert_array_equal(rows[:-1], complete[1][: max(0, len(rows) - 1)])


def small_blocks(monkeypatch: pytest.MonkeyPatch, block: int, search: int, fields: int) -> None:
    monkeypatch.setattr(line_chunks, "_READ_BYTES", block)
    monkeypatch.setattr(text_lines, "_SEARCH_BYTES", search)
    monkeypatch.setattr(text_lines, "_BLOCK_NUMBERS", fields)


@pytest.mark.parametrize(
    ("block", "search", "fields"), [(1, 1, 1), (40, 7, 3), (200, 64, 10), (5000, 50, 4)]
)
def test_block_sizes_do_not_show(
    monkeypatch: pytest.MonkeyPatch, block: int, search: int, fields: int
) -> None:
    rng = np.random.default_rng(0)
    expected = rng.standard_normal((60, 5)).astype(np.float32)
    words = [f"w{i}" if i % 7 else f"two words {i}" for i in range(60)]
    raw = "".join(
        f"{word} {' '.join(map(str, row))}{' ' * (i % 3)}\n"
        for i, (word, row) in enumerate(zip(words, expected, strict=True))
    )
    small_blocks(monkeypatch, block, search, fields)
    got_words, rows = raw_rows(raw.encode(), header=False, dims=5)
    assert got_words == words
    np.testing.assert_array_equal(rows.view(np.uint32), expected.view(np.uint32))


def test_errors_in_later_blocks_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, 32, 16, 2)
    good = b"word 1.0 2.0\n"
    for bad, field_at, message in (
        (b"x 1.0\n", 0, "got 1 in 'x 1.0'"),
        (b"x 1.0 y\n", 6, "got 'y'"),
        (b"\n", 0, "an empty line"),
    ):
        with pytest.raises(ffjax.FormatError, match=message) as info:
            load(good * 20 + bad + good * 20)
        assert info.value.offset == len(good) * 20 + field_at


def test_a_line_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_chunks, "_READ_BYTES", 64)
    monkeypatch.setattr(line_chunks, "_MAX_LINE_BYTES", 256)
    with pytest.raises(
        ffjax.FormatError, match="expected lines of at most 256 bytes, got a longer one"
    ):
        load(b"a 1.0 2.0\n" + b"b" * 1000)


def test_absurd_dims_take_no_memory() -> None:
    # Two million short lines: room for 16 million values of each would be 128 TB.
    raw = b"99 16777216\n" + b"a\n" * 2_000_000
    with pytest.raises(ffjax.FormatError, match="rows: expected at most 0"):
        load_dims(raw)
    with pytest.raises(
        ffjax.FormatError, match="expected 10000000 values after the word, got 0 in 'a'"
    ):
        load(b"a\n" * 1000, dims=10_000_000)


def test_words_alone() -> None:
    table = open_table(open_bytes(b"a 1.0 x\nNew York 1.0 2.0\na 1 2\n"), has_header=False, dims=2)
    assert table.count_words(lossy=False) == (2, 3)
    with pytest.raises(ffjax.FormatError, match="expected 2 values after the word, got 1"):
        open_table(open_bytes(b"a 1.0 2.0\nb  1.0\n"), has_header=False).count_words(lossy=False)


def test_going_on_after_a_break_needs_no_more_than_was_read() -> None:
    with read_text_blocks(open_bytes(b"a 1.0 2.0\n" * 10), header=False) as blocks:
        block = next(iter(blocks))
    assert len(block) == 10


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8),
            st.lists(st.floats(width=32), min_size=3, max_size=3),
        ),
        max_size=8,
    )
)
def test_what_is_written_is_read(rows: list[tuple[str, list[float]]]) -> None:
    words = [word for word, _ in rows]
    raw = "".join(f"{word} {' '.join(map(str, np.array(row, np.float32)))}\n" for word, row in rows)
    got_words, got = raw_rows(f"{len(rows)} 3\n{raw}".encode(), header=True, dims=3)
    assert got_words == words
    expected = np.array([row for _, row in rows], np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(got, expected)


@given(st.binary(max_size=80))
def test_any_bytes_load_or_are_refused(raw: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # repeated words and NaN are no errors
        for read in (load, load_dims):
            try:
                emb = read(raw, lossy=True)
            except ffjax.FormatError:
                continue
            assert len(emb.norms) == emb.n_words


@pytest.mark.parametrize(
    "words",
    [["area 51", "catch 22"], ["area 51", "b"], ["a 5. ", "b 6. "], ["a\r1", "b\r2"], [" 7", " 8"]],
)
def test_words_from_which_a_reader_would_take_values_are_not_written(
    words: list[str], tmp_path: Path
) -> None:
    rows = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab(words))
    with pytest.raises(
        ValueError, match="`embeddings`: expected words that a reader can tell from values"
    ):
        ffjax.write_text(tmp_path / "x.txt", emb)
    assert not list(tmp_path.iterdir())


def test_an_integer_may_end_a_word_of_many(tmp_path: Path) -> None:
    words = ["a", "b", "windows 10", "c"]
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(4, dtype=np.float32)), ffjax.SimpleVocab(words))
    ffjax.write_text(tmp_path / "x.txt", emb)
    assert ffjax.load_text(tmp_path / "x.txt").vocab.words == words


@pytest.mark.parametrize("sep", ["", "5", ".", "\0", " 5 ", " : ", "\n"])
def test_only_spaces_and_tabs_separate(sep: str, tmp_path: Path) -> None:
    emb = ffjax.Embeddings(
        ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab(["a", "b"])
    )
    with pytest.raises(ValueError, match="`sep`: expected spaces or tabs"):
        ffjax.write_text(tmp_path / "x.txt", emb, sep=sep)


@pytest.mark.parametrize("can_resize", [True, False])
def test_rows_in_memory_grow(monkeypatch: pytest.MonkeyPatch, can_resize: bool) -> None:
    class Fixed(mmap.mmap):
        def resize(self, newsize: int) -> None:
            raise SystemError("mmap: resizing not available--no mremap()")

    if not can_resize:
        monkeypatch.setattr(row_blocks, "_allocate", lambda n_bytes: Fixed(-1, n_bytes))
    rows = np.arange(700, dtype=np.float32).reshape(100, 7)
    buffer = row_blocks.RowBuffer(7, 2)
    for start, stop in ((0, 1), (1, 2), (2, 5), (5, 60), (60, 100)):
        buffer.append(rows[start:stop])
    np.testing.assert_array_equal(buffer.finish(), rows)
    assert buffer.finish().ctypes.data % 64 == 0
