"""Tables that are truncated, damaged or hostile: errors, and never anything else."""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe

pytest.importorskip("pyarrow")

FORMATS = ("npy", "npz", "safetensors", "parquet", "arrow", "arrow-stream")
ROWS = np.array([[3, 4], [0.5, -0.25], [1, 1]], np.float32)
STEP = 31  # every byte takes a minute


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("one\ntwo\nthree\n")
    return tmp_path / "table"


def saved(format: str, path: Path) -> bytes:
    options = {"words_path": path.with_name("words.txt")} if format == "npy" else {}
    emb = ffjax.from_vectors(["one", "two", "three"], ROWS)
    ffjax.save(emb, path, format=format, **options)
    return path.read_bytes()


def check_truncated(format: str, path: Path, step: int) -> None:
    raw = saved(format, path)
    # A stream of Arrow may end without its last eight bytes, which say that it ends.
    last = len(raw) - 8 if format == "arrow-stream" else len(raw)
    for size in {*range(0, last, step), last - 1}:
        path.write_bytes(raw[:size])
        with pytest.raises(ffjax.FormatError, match="table: .*expected .*, got "):
            ffjax.load(path, mmap=bool(size & 1))


def check_changed(format: str, path: Path, step: int) -> None:
    raw, n_errors = saved(format, path), 0
    for at in range(0, len(raw), step):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert ffjax.load(path, mmap=bool(at & 1)).dims > 0
        except ffjax.FormatError as error:
            assert "table" in str(error)
            n_errors += 1
    assert n_errors


@pytest.mark.parametrize("format", ["npz", "safetensors", "arrow"])
def test_metadata_that_is_not_toml(format: str, path: Path) -> None:
    emb = ffjax.from_vectors(["one"], ROWS[:1]).replace(metadata=ffjax.Metadata({"a": 1}))
    ffjax.save(emb, path, format=format)
    if format == "npz":
        arrays = dict(np.load(path)) | {"metadata": np.frombuffer(b"a = ?", np.uint8)}
        with path.open("wb") as file:
            np.savez(file, **arrays)
    else:
        path.write_bytes(path.read_bytes().replace(b"a = 1", b"a = ?"))
    message = "table: metadata: expected a TOML document, got an error: Invalid value"
    for read in (ffjax.load, describe):
        with pytest.raises(ffjax.FormatError, match=message):
            read(path)


@pytest.mark.parametrize("mmap", [False, True])
def test_norms_that_are_not_numbers(mmap: bool, path: Path) -> None:
    import pyarrow as pa

    saved("arrow", path)
    with pa.ipc.open_file(path) as file:
        table = file.read_all()
    times = pa.array([1, 2, 3], pa.timestamp("s"))
    schema = table.schema.set(2, pa.field("norm", times.type))
    with pa.ipc.new_file(path, schema) as writer:
        writer.write_table(pa.table([*table.columns[:2], times], schema=schema))
    with pytest.raises(ffjax.FormatError, match=r"norm: expected numbers, got timestamp\[s\]"):
        ffjax.load(path, mmap=mmap)


@pytest.mark.parametrize("format", FORMATS)
def test_truncation(format: str, path: Path) -> None:
    check_truncated(format, path, STEP)


@pytest.mark.parametrize("format", FORMATS)
def test_changed_bits(format: str, path: Path) -> None:
    check_changed(format, path, STEP)


@pytest.mark.exhaustive
@pytest.mark.parametrize("format", FORMATS)
def test_truncation_and_changed_bits_at_every_byte(format: str, path: Path) -> None:
    check_truncated(format, path, 1)
    check_changed(format, path, 1)


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x93NUMPY\x04\x00" + bytes(8), "byte 6: header: version: expected 1 to 3, got 4"),
        (npy("{'descr': '<f4'}"), "header: expected a dict of descr, fortran_order, shape"),
        (npy("__import__('os').abort()"), "header: expected a dict"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9, 9)}"), "expected 324 bytes"),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1048576)}"),
            r"expected \d+ bytes for float32 of shape .*, got 0 before the end",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}"), "at most 2 sizes"),
        (npy("{'descr': '|V8', 'fortran_order': False, 'shape': (0, 2)}"), "numbers or strings"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 0)}"), "at most 2 sizes"),
    ],
)
def test_headers_of_npy(raw: bytes, message: str, path: Path) -> None:
    path.write_bytes(raw)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load(path)


def test_offsets_of_words(path: Path) -> None:
    good = {"embeddings": ROWS, "words.bytes": np.frombuffer(b"onetwothree", np.uint8)}
    for offsets, message in (
        ([0, 3, 6, 12], "words.offsets: expected where each word begins, got .* 12"),
        ([0, 6, 3, 11], "words.offsets: .*decrease"),
        ([-1, 3, 6, 11], "words.offsets"),
        ([0, 3, 11], "words.offsets: expected 4 numbers for 3 rows"),
    ):
        np.savez(path.with_suffix(".npz"), **good, **{"words.offsets": np.array(offsets)})
        with pytest.raises(ffjax.FormatError, match=message):
            ffjax.load(path.with_suffix(".npz"))


def test_an_archive_of_many_arrays_and_a_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(65):
            archive.writestr(f"{i}.npy", npy("{}"))
    with pytest.raises(ffjax.FormatError, match="expected at most 64 arrays, got 65"):
        ffjax.load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 27))
    with pytest.raises(ffjax.FormatError, match="expected at most .* bytes decompressed"):
        ffjax.load(path)


def test_a_table_that_claims_too_much(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    zeros = pa.array(np.zeros(640 << 15, np.float32))
    zeros = pa.FixedSizeListArray.from_arrays(zeros, 1 << 15)
    words = pa.array(list(map(str, range(640))))
    pq.write_table(pa.table({"word": words, "vector": zeros}), path)
    assert path.stat().st_size < 1 << 19
    with pytest.raises(ffjax.FormatError, match="at most .* bytes of vectors, got 640 rows"):
        ffjax.load(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_errors_name_the_member_of_an_archive(tmp_path: Path, method: int) -> None:
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("vectors.npy", b"not an array")
    message = r"bad.npz: byte 0: inside zip \(vectors.npy\): vectors.npy: "
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load(path)


@pytest.mark.usefixtures("as_users_see")
def test_words_in_memory_name_from_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(2, dtype=np.float32))
    with pytest.raises(TypeError, match="`words`: expected the path .*ffjax.from_vectors"):
        ffjax.load(tmp_path / "x.npy", words=["a", "b"])
