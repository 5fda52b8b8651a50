"""`convert`: byte for byte what `save(load(...))` writes, without the matrix in memory.

For text and word2vec this holds of numbers of up to six digits; `test_numbers` has the others.
"""

import bz2
import gzip
import lzma
import os
import signal
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax._internal import arrays as mapped
from ffjax.formats import word2vec
from ffjax.formats.convert import convert
from ffjax.formats.rows import export as rows_out
from tests import builders
from tests.formats.fasttext import files as fasttext_files

PLAIN = ("finalfusion", "word2vec", "text", "textdims", "fasttext")
NAN = b"\x00\x00\xc0\x7f"
SOURCES = {
    "text": b"one 3.0 4.0\nzwei 0.1 -2e-3\n\xe4\xb8\x80 0 0\n",
    "textdims": b"3 2\none 3.0 4.0 \nzwei 0.1 -2e-3 \n\xe4\xb8\x80 0 0 \n",
    "word2vec": b"2 1\na \x00\x00\x80?\nb \x00\x00\x00\xbf\n",
    "repeated": b"one 3 4\ntwo 1 2\none 5 6\nthree 7 9\ntwo 5 6\n",
    "odd": b"3 1\na \x00\x00\x80?\nb " + NAN + b"\na " + NAN,
    "empty": b"0 3\n",
    "spaces": b"New York 0.5 1\nparis 0.25 1\nrome 2 1\n",
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are shown by a setting of the process, which type checks on threads would change."""
    monkeypatch.setenv("FFJAX_NUM_THREADS", "1")


def outcome(work) -> tuple[str, list[str]]:
    """The error of some work, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            work()
            error = ""
        except (ValueError, TypeError, ffjax.FormatError) as raised:
            error = f"{type(raised).__name__}: {raised}"
    return error.replace("`to_format`", "`format`"), [str(warning.message) for warning in caught]


def same(tmp_path: Path, source: Path, to: str, *, load: dict | None = None, **options) -> bool:
    """Compares a conversion with loading and saving; whether there is a file."""
    expected, got = tmp_path / "expected", tmp_path / "got"
    load = load or {}
    first = outcome(lambda: ffjax.save(ffjax.load(source, **load), expected, format=to, **options))
    second = outcome(lambda: convert(source, got, to_format=to, **load, **options))
    assert second == first
    assert got.exists() == expected.exists() == (not first[0])
    if not first[0]:
        assert got.read_bytes() == expected.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} <= {"expected", "got", source.name}
    return not first[0]


@pytest.mark.parametrize("to", PLAIN)
@pytest.mark.parametrize("name", SOURCES)
def test_rows_in_order(tmp_path: Path, name: str, to: str) -> None:
    path = tmp_path / "source"
    path.write_bytes(SOURCES[name])
    can = (name, to) not in {("spaces", "word2vec"), ("empty", "text")}
    assert same(tmp_path, path, to) == can
    assert same(tmp_path, path, to, load={"limit": 2}) == can


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_sources(tmp_path: Path, compress) -> None:
    path = tmp_path / "source"
    for name in ("text", "textdims", "word2vec"):
        path.write_bytes(compress(SOURCES[name]))
        assert same(tmp_path, path, "finalfusion")
    builders.embeddings().write(tmp_path / "source")
    path.write_bytes(compress(path.read_bytes()))
    assert same(tmp_path, path, "textdims")


def test_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "source"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.txt", SOURCES["text"])
    assert same(tmp_path, path, "finalfusion")


@pytest.mark.parametrize("to", PLAIN)
@pytest.mark.parametrize("storage", builders.STORAGES)
@pytest.mark.parametrize("vocab", ["simple", "buckets", "fasttext", "explicit"])
def test_finalfusion_sources(tmp_path: Path, vocab: str, storage: str, to: str) -> None:
    path = tmp_path / "source"
    builders.embeddings(vocab, storage, metadata={"a": 1}).write(path)
    for options in ({}, {"drop_metadata": True}):
        if (
            storage != "opq" or to != "fasttext"
        ):  # a product of matrices rounds by the size of its blocks
            same(tmp_path, path, to, **({} if to == "finalfusion" else options))
    if to == "fasttext" and vocab in ("buckets", "explicit"):
        return
    lost = convert(path, tmp_path / "got", to_format=to, leave_out=True)
    if to in ("text", "textdims", "word2vec"):
        assert lost == ("metadata",) if vocab == "simple" else ("n-grams", "metadata")


MODELS = {
    "n-grams": {},
    "words": {"max_n": 0, "min_n": 0, "buckets": 0},
    "supervised": {
        "kind": fasttext_files.SUPERVISED,
        "labels": fasttext_files.LABELS,
        "version": 11,
    },
}


@pytest.mark.parametrize("to", PLAIN)
@pytest.mark.parametrize("kind", MODELS)
def test_fasttext_sources(
    tmp_path: Path, kind: str, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors that are composed a few at a time are those that are composed at once."""
    path = tmp_path / "source"
    path.write_bytes(fasttext_files.model(**MODELS[kind]))
    monkeypatch.setattr(rows_out, "_BLOCK_BYTES", 4 * 10 * 7)
    monkeypatch.setattr("ffjax.formats.finalfusion.arrays._BLOCK_BYTES", 4 * 10 * 7)
    names = {"finalfusion": ["drop_training"], "fasttext": []}
    options = dict.fromkeys(
        names.get(to, ["drop_training", "drop_metadata", "drop_subwords"]), True
    )
    if (
        to == "fasttext"
    ):  # where `load` composes vectors and takes them apart again, `convert` has rows as they were
        convert(path, tmp_path / "got", to_format=to)
        ffjax.save(ffjax.load(path, mmap=True), tmp_path / "expected", format=to)
        assert (tmp_path / "got").read_bytes() == (tmp_path / "expected").read_bytes()
        return
    assert same(tmp_path, path, to, **options)
    lost = convert(path, tmp_path / "got", to_format=to, leave_out=True)
    assert lost[-1] == "training data (counts, labels, output matrix)"


def test_what_training_left_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(fasttext_files.model())
    with pytest.raises(
        ValueError, match="no place for counts, labels and output matrix.*`drop_training=True`"
    ):
        convert(path, tmp_path / "x.fifu")
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize("to", ["finalfusion", "floret"])
def test_floret_sources(tmp_path: Path, to: str) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"3 2 2 3 2 2166136261 < >\n0 1.0 -0.5 \n1 0.25 nan \n2 3 4 \n")
    assert same(tmp_path, path, to)
    with pytest.raises(ValueError, match="`limit`: expected None for a floret table"):
        convert(path, tmp_path / "got", to_format=to, limit=1)


@pytest.mark.parametrize("to", ["text", "textdims", "word2vec"])
def test_a_floret_table_has_no_words_to_write(tmp_path: Path, to: str) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"1 1 2 3 2 2166136261 < >\n0 1.0\n")
    with pytest.raises(
        ValueError,
        match="expected words to write into .* files, got a floret table, which has none",
    ):
        convert(path, tmp_path / "got", to_format=to, leave_out=True)
    assert os.listdir(tmp_path) == ["source"]


def test_invalid_utf8_is_an_error_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"a\xff 1 2\nb 3 4\n")
    assert not same(tmp_path, path, "finalfusion")
    assert same(tmp_path, path, "finalfusion", load={"lossy": True})


def test_small_blocks_and_many_repeated_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffjax.formats.text.line_chunks._READ_BYTES", 256)
    monkeypatch.setattr("ffjax.formats.rows.row_blocks._MOVE_BYTES", 64)
    monkeypatch.setattr(rows_out, "_BLOCK_BYTES", 64)
    rng = np.random.default_rng(0)
    lines = [f"w{rng.integers(0, 300)} {i} 0.5 {-i / 7:.6g}\n" for i in range(1000)]
    path = tmp_path / "source"
    path.write_text("".join(lines))
    for to in PLAIN:
        assert same(tmp_path, path, to)


def test_a_pipe_into_a_pipe(tmp_path: Path) -> None:
    readers, writers = zip(os.pipe(), os.pipe(), strict=True)
    os.write(writers[0], SOURCES["text"])
    os.close(writers[0])
    convert(readers[0], writers[1], to_format="textdims")
    with open(readers[1], "rb") as result:
        assert result.read().startswith(b"3 2\none 3.0 4.0\n")


def test_formats_by_name_and_arguments_are_checked_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"one 1 2\n" * 2 + b"broken\n")
    for target, options, error, message in (
        ("x", {}, ValueError, "Say which format with `to_format=`"),
        (
            "x.bin",
            {},
            ValueError,
            "`.bin` may be word2vec or fastText. Say which with `to_format=`",
        ),
        ("x", {"to_format": "glove"}, ValueError, "`to_format`: expected one of .* got 'glove'"),
        (
            "x.fifu",
            {"from_format": "glove"},
            ValueError,
            "`from_format`: expected one of .* got 'glove'",
        ),
        ("x.fifu", {"sep": " "}, TypeError, "sep"),
        ("x.txt", {"sep": ""}, ValueError, "`sep`: expected"),
        ("x.floret", {}, TypeError, "expected a FloretVocab"),
        ("x.fifu", {"limit": -1}, ValueError, "`limit`: expected"),
        ("no/x.fifu", {}, FileNotFoundError, "expected a file in an existing folder"),
        ("x.fifu", {}, ffjax.FormatError, "expected"),
    ):
        with pytest.raises(error, match=message):
            convert(path, tmp_path / target, **options)
        assert os.listdir(tmp_path) == ["source"]


def test_an_unknown_source_names_the_argument(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"\x00\x01")
    with pytest.raises(ffjax.FormatError, match="name it with `from_format=`"):
        convert(path, tmp_path / "x.fifu")


def test_progress(tmp_path: Path) -> None:
    path, calls = tmp_path / "source", []
    path.write_bytes(SOURCES["text"])
    convert(path, tmp_path / "x.fifu", progress=lambda *call: calls.append(call))
    size = len(SOURCES["text"])
    assert calls == [("Reading", 0, size), ("Reading", size, size), ("Writing", 0, None)]


@pytest.mark.parametrize(
    "where",
    [
        "formats.text.table.parse_lines",
        "_internal.memmap.FileRows.append",
        "formats.finalfusion.arrays.release_pages",
    ],
)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: type
) -> None:
    path, target = tmp_path / "source", tmp_path / "x.fifu"
    path.write_bytes(SOURCES["text"])
    target.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise error("stop")

    monkeypatch.setattr(f"ffjax.{where}", fail)
    with pytest.raises(error, match="stop"):
        convert(path, target)
    assert target.read_bytes() == b"old" and sorted(os.listdir(tmp_path)) == ["source", "x.fifu"]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without names are Linux's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_nothing(tmp_path: Path, number: int) -> None:
    """The rows that were read are in a file without a name when the signal comes."""
    os.mkfifo(tmp_path / "source")
    command = [
        sys.executable,
        "-m",
        "ffjax",
        "convert",
        str(tmp_path / "source"),
        str(tmp_path / "x.fifu"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        with open(tmp_path / "source", "wb", buffering=0) as pipe:
            line = b"w%07d" + b" 0.125" * 100 + b"\n"
            for i in range(20_000):
                pipe.write(line % i)
            files = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
            assert any(str(tmp_path) in name and "(deleted)" in name for name in files)
            process.send_signal(number)
            assert process.wait(60) == (130 if number == signal.SIGINT else -number)
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize("to", ["finalfusion", "word2vec"])
def test_the_matrix_is_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """64 MB of rows, some of them repeated, in blocks of a quarter of a megabyte."""
    monkeypatch.setattr(word2vec, "_READ_BYTES", 1 << 18)
    rows, dims = 4096, 4096
    path = tmp_path / "source"
    with open(path, "wb") as file:
        file.write(b"%d %d\n" % (rows, dims))
        for i in range(rows):
            file.write(b"w%d " % (i % 4000) + np.full(dims, i + 1, "<f4").tobytes())
    tracemalloc.start()
    try:
        with pytest.warns(UserWarning, match="96 words occur again"):
            convert(path, tmp_path / "x", from_format="word2vec", to_format=to)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20, peak
    emb = ffjax.load(tmp_path / "x", mmap=True)
    assert emb.n_words == 4000
    np.testing.assert_allclose(emb.storage[3999][:2], 1 / 64, rtol=1e-5)


def test_pages_of_maps_are_let_go(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(bytes(1 << 22))
    kept = np.memmap(tmp_path / "rows", np.float32, "c")
    kept[0] = 1
    mapped.release_pages(kept)  # what is private must not be lost
    assert kept[0] == 1
    shared = np.memmap(tmp_path / "rows", np.float32, "r+")
    shared[0] = 2
    mapped.release_pages(ffjax.NdArray(shared.reshape(-1, 4)))
    assert shared[0] == 2
