"""Tables that others write: words and vectors are found, and errors list the columns."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.io.streams import open_source
from ffjax.formats.tables.npy import read_npy

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

WORDS = ["tea", "coffee", "日本"]
ROWS = np.array([[3, 4], [0.5, -0.25], [1, 0]], np.float32)
EXPECTED = ffjax.from_vectors(WORDS, ROWS)


def lists(kind: "pa.DataType | None" = None) -> "pa.Array":
    return pa.array(ROWS.tolist(), kind or pa.list_(pa.float32(), 2))


@pytest.mark.parametrize(
    "columns",
    [
        {"word": WORDS, "vector": lists()},
        {"anything": pa.array(WORDS, pa.large_string()), "v": lists(pa.list_(pa.float64()))},
        {"w": pa.array(WORDS).dictionary_encode(), "v": lists(pa.large_list(pa.float32()))},
        {"id": [7, 8, 9], "text": WORDS, "language": ["en", "en", "ja"], "embedding": lists()},
        {"token": WORDS, "other": lists(), "vectors": lists()},
        {"0": ROWS[:, 0], "1": ROWS[:, 1].astype(np.float64), "n": [1, 2, 3], "w": WORDS},
        {"v": lists(pa.list_(pa.float16(), 2)), "w": pa.array(WORDS, pa.string_view())},
    ],
    ids=lambda columns: "-".join(columns),
)
@pytest.mark.parametrize("format", ["parquet", "arrow", "stream"])
def test_columns_are_found_by_type_and_name(columns, format: str, tmp_path: Path) -> None:
    path = write(pa.table(columns), tmp_path / "words", format)
    assert ffjax.load(path) == EXPECTED
    assert describe(path)["words"] == 3 and describe(path)["dims"] == 2
    check_mapped(ffjax.load(path, mmap=True))


def check_mapped(emb: ffjax.Embeddings) -> None:
    """Vectors that are scaled when they are read are those that were scaled, within rounding."""
    assert emb.vocab == EXPECTED.vocab
    np.testing.assert_allclose(np.asarray(emb.storage), np.asarray(EXPECTED.storage), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(emb.norms), np.asarray(EXPECTED.norms), rtol=1e-6)


def write(table: "pa.Table", path: Path, format: str) -> Path:
    if format == "parquet":
        if pa.types.is_string_view(table.schema.field(table.num_columns - 1).type):
            table = table.set_column(1, "w", table.column(1).cast(pa.string()))
        pq.write_table(table, path)
        return path
    new = pa.ipc.new_file if format == "arrow" else pa.ipc.new_stream
    with new(path, table.schema) as writer:
        writer.write_table(table)
    return path


def test_a_frame_of_pandas_with_words_for_its_index(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, index=WORDS, columns=["0", "1"])
    frame.to_parquet(tmp_path / "words.parquet")
    assert ffjax.load(tmp_path / "words.parquet") == EXPECTED
    frame.reset_index(names="word").to_feather(tmp_path / "words.feather")
    assert ffjax.load(tmp_path / "words.feather") == EXPECTED  # compressed by lz4


def test_columns_that_are_named(tmp_path: Path) -> None:
    columns = {"a": WORDS, "b": ["x", "y", "z"], "u": lists(), "v_0": ROWS[:, 0], "v_1": ROWS[:, 1]}
    path = write(pa.table(columns), tmp_path / "words", "parquet")
    listed = r"'a' \(string\), 'b' \(string\), 'u' \(fixed_size_list.*\), 'v_0' \(float\), .*"
    got = r"one column of words, got 2: 'a' \(string\), 'b' \(string\)\. "
    with pytest.raises(ffjax.FormatError, match=got):
        ffjax.load(path)
    with pytest.raises(ValueError, match=f"`words`: expected .*, one of {listed}, got 'c'"):
        ffjax.load(path, words="c")
    message = "`vectors`: expected the name of the column of vectors, one of .*, got 'a'"
    with pytest.raises(ValueError, match=message):
        ffjax.load(path, words="a", vectors="a")
    assert ffjax.load(path, words="a") == EXPECTED
    assert ffjax.load(path, words="b", vectors="v_*").vocab.words == ["x", "y", "z"]
    assert describe(path, words="a", vectors="v_*")["dims"] == 2
    ffjax.convert(path, tmp_path / "words.npz", words="a", vectors="v_*")
    assert ffjax.load(tmp_path / "words.npz") == EXPECTED
    with pytest.raises(ValueError, match="`words`: expected None for text files, .*got 'a'"):
        (tmp_path / "text").write_text("one 0.5\n")
        ffjax.load(tmp_path / "text", words="a")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"v": lists()}, "words: expected one column of words, got none in 'v'"),
        ({"w": WORDS, "n": [1, 2, 3]}, "expected one column of vectors, got none in .*'n' .int64"),
        ({"w": ["a", None, "b"], "v": lists()}, "row 2 of 3: w: expected a word, got null"),
        ({"w": WORDS, "v": pa.array([[1.0], [1.0, 2.0], [3.0]])}, "row 2 of 3: v: expected 1 num"),
        ({"w": WORDS, "v": pa.array([[1.0], None, [3.0]])}, "row 2 of 3: v: expected a value"),
        ({"w": WORDS, "v": pa.array([[1.0], [3.0], [None]])}, "row 3 of 3: v: expected a value"),
        ({"w": WORDS, "v": pa.array([1.0, None, 2.0])}, "row 2 of 3: v: expected a value, got nul"),
    ],
)
@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_tables_that_are_no_embeddings(columns, message: str, format: str, tmp_path: Path) -> None:
    path = write(pa.table(columns), tmp_path / "words", format)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"words": np.array(WORDS), "vectors": ROWS},
        {"w": np.array([word.encode() for word in WORDS]), "m": ROWS.astype(">f8")},
        {"vocab": np.array(WORDS), "notes": np.array(WORDS[:1]), "embeddings": ROWS.T.copy().T},
        {"words": np.array(WORDS), "data": ROWS.astype(np.float16), "ids": np.arange(3)},
        {"w": np.array(WORDS), "m": ROWS, "cube": np.ones((2, 2, 2)), "mask": ROWS > 0},
        {"w": np.array(WORDS), "m": ROWS, "options": np.array({"a": 1}, object), "n": np.array(3)},
        {"w": np.array(WORDS), "m": ROWS, "day": np.array(["2026-11-29"], "M8[D]")},
        {"w": np.array(WORDS), "m": ROWS, "pairs": np.zeros(3, [("a", "i4"), ("b", "f4")])},
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_others(arrays, save, tmp_path: Path) -> None:
    save(tmp_path / "words.npz", **arrays)
    assert ffjax.load(tmp_path / "words.npz") == EXPECTED
    check_mapped(ffjax.load(tmp_path / "words.npz", mmap=True))


def test_arrays_that_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array(WORDS), b=np.array(["x", "y", "z"]), c=ROWS, d=ROWS + 1)
    listed = r"one column of vectors, got 2: 'c' \(float32 [^)]*\), 'd' \(float32 [^)]*\)\. "
    with pytest.raises(ffjax.FormatError, match=listed):
        ffjax.load(tmp_path / "a.npz")
    assert ffjax.load(tmp_path / "a.npz", words="a", vectors="c") == EXPECTED
    np.savez(tmp_path / "a.npz", words=np.array(WORDS, object), vectors=ROWS)
    with pytest.raises(ffjax.FormatError, match="words: descr: expected .* are not read. Save"):
        ffjax.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"`words`: expected the name .* \(object \[3\]\)"):
        ffjax.load(tmp_path / "a.npz", words="words")


def test_words_beside_a_matrix(tmp_path: Path) -> None:
    np.save(tmp_path / "glove.npy", ROWS)
    with pytest.raises(ffjax.FormatError, match="a file of words .*glove.words.txt.*words="):
        ffjax.load(tmp_path / "glove.npy")
    text = "\n".join(WORDS)
    for name in ("vocab.txt", "glove.vocab", "glove.words.txt"):  # the last has the first say
        (tmp_path / name).write_text(text if "." in name[5:] else "x\ny\nz", "utf-8")
        assert ffjax.load(tmp_path / "glove.npy").vocab.words == WORDS
        (tmp_path / name).write_text("x\ny\nz")
    (tmp_path / "crlf").write_bytes("".join(word + "\r\n" for word in WORDS).encode())
    np.save(tmp_path / "array.npy", np.array(WORDS))
    pq.write_table(pa.table({"index": WORDS}), tmp_path / "index.parquet")
    for name in ("crlf", "array.npy", "index.parquet"):
        assert ffjax.load(tmp_path / "glove.npy", words=tmp_path / name) == EXPECTED
    (tmp_path / "short").write_text("a\nb\n")
    with pytest.raises(ffjax.FormatError, match="short: words: expected 3 words, .* got 2"):
        ffjax.load(tmp_path / "glove.npy", words=str(tmp_path / "short"))


def test_words_beside_tables_without_any(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    (tmp_path / "vocab").write_text("\n".join(WORDS), "utf-8")
    safetensors.save_file({"embedding.weight": ROWS}, tmp_path / "a.safetensors")
    pq.write_table(pa.table({"vector": lists()}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", ROWS)
    for name in ("a.safetensors", "a.parquet", "a.npz"):
        assert ffjax.load(tmp_path / name, words=tmp_path / "vocab") == EXPECTED
    with pytest.raises(ffjax.FormatError, match="words"):
        ffjax.load(tmp_path / "a.safetensors")


def test_matrices_that_cannot_be_read(tmp_path: Path) -> None:
    for array, message in (
        (np.array([["a"]]), "expected a matrix of numbers"),
        (np.ones(3), "shape: expected a matrix of numbers, a row for each word, got float64"),
        (np.ones((1, 1, 1)), "shape: expected at most 2 sizes"),
        (np.array([[None]]), "descr: expected numbers or strings, .*pickles, which are not read"),
    ):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(ffjax.FormatError, match=message):
            ffjax.load(tmp_path / "a.npy", words=tmp_path / "a.npy")


def test_repeated_words_and_words_that_are_not_utf8(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", words=np.array([b"a", b"b", b"a"]), vectors=ROWS)
    for mmap in (False, True):
        with pytest.warns(UserWarning, match="1 word occurs again"):
            assert ffjax.load(tmp_path / "a.npz", mmap=mmap).vocab.words == ["a", "b"]
    np.savez(tmp_path / "a.npz", words=np.array([b"a", b"caf\xe9", b"c"]), vectors=ROWS)
    with pytest.raises(ffjax.FormatError, match="row 2 of 3: word: expected UTF-8, .*`lossy=True`"):
        ffjax.load(tmp_path / "a.npz")
    assert ffjax.load(tmp_path / "a.npz", lossy=True).vocab.words[1] == "caf\ufffd"


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ffjax.save(EXPECTED, tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    uses = {
        "reading Parquet or Arrow files": lambda: ffjax.load(tmp_path / "a.parquet"),
        "writing Arrow files": lambda: ffjax.save(EXPECTED, tmp_path / "a.arrow"),
        "`write_atlas`": lambda: ffjax.write_atlas(tmp_path / "b.parquet", EXPECTED),
        "`neighbours`": lambda: ffjax.neighbours(EXPECTED, tmp_path / "b.parquet"),
    }
    for what, use in uses.items():
        message = rf"{what} needs the extra `arrow`: pip install 'ffjax\[arrow\]'"
        with pytest.raises(ImportError, match=message):
            use()


def test_arrays_are_read_in_c_order(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(ROWS))
    with open_source(tmp_path / "x.npy") as source:
        rows = read_npy(source).read()
    np.testing.assert_array_equal(rows, ROWS)
    assert rows.flags.c_contiguous and rows.flags.writeable
