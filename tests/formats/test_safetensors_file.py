"""safetensors: its bytes, what the real package reads and writes, and broken files."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ffjax import FormatError
from ffjax.formats.io.binary import ByteSource, Output
from ffjax.formats.io.streams import open_source
from ffjax.formats.safetensors_file import is_safetensors, read_header, write_tensors

ARRAYS = {
    "embeddings": np.arange(6, dtype=np.float32).reshape(3, 2),
    "half": np.array([[0.5, -2]], np.float16),
    "brain": np.array([1.5], bfloat16),
    "ids": np.array([2**40, -1]),
    "bytes": np.frombuffer(b"tea", np.uint8),
    "nothing": np.zeros((0, 4), np.int8),
    "number": np.array(7.25),
    "flags": np.array([True, False]),
}


def write(path: Path, arrays: dict = ARRAYS, **metadata: str) -> bytes:
    with path.open("wb") as file:
        write_tensors(Output(file), arrays, metadata)
    return path.read_bytes()


def from_header(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: object = "U8", shape: object = (2,), offsets: object = (0, 2)) -> dict:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_arrays_are_read_and_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    raw = write(path, license="MIT")
    assert is_safetensors(raw) and b'"__metadata__":{"license":"MIT"}' in raw
    with open_source(path) as source:
        tensors = read_header(source)
        assert list(tensors) == list(ARRAYS)
        for name, expected in ARRAYS.items():
            for array in (tensors[name].read(), tensors[name].view()):
                assert array.dtype == expected.dtype
                np.testing.assert_array_equal(array, expected)
        assert isinstance(tensors["half"].map(), np.memmap)


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        write_tensors(Output(file), {"é": np.array([[1, 2]], ">i2")})
    header = '{"é":{"dtype":"I16","shape":[1,2],"data_offsets":[0,4]}}'.encode()
    padded = header + b" " * (-len(header) % 8)
    assert path.read_bytes() == from_header(padded, b"\x01\0\x02\0")


def test_the_real_package_reads_and_writes_the_same(tmp_path: Path) -> None:
    peer = pytest.importorskip("safetensors.numpy")
    arrays = {name: array for name, array in ARRAYS.items() if name != "brain"}
    path = tmp_path / "x.safetensors"
    read = peer.load(write(path, arrays, license="MIT"))
    with pytest.importorskip("safetensors").safe_open(path, "numpy") as file:
        assert file.metadata() == {"license": "MIT"}
    for name, expected in arrays.items():
        assert read[name].dtype == expected.dtype
        np.testing.assert_array_equal(read[name], expected)
    source = ByteSource(None, peer.save(arrays, {"a": "b"}))
    tensors = read_header(source)
    assert tensors.keys() == arrays.keys()
    for name, expected in arrays.items():
        np.testing.assert_array_equal(tensors[name].read(), expected)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    data = write(tmp_path / "x.safetensors")
    for size in range(len(data)):
        with pytest.raises(FormatError, match="byte [0-9]+: header: "):
            read_header(ByteSource(None, data[:size]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (struct.pack("<Q", 10**9), "byte 0: header: length: expected 2 to 100000000, got 1000000"),
        (struct.pack("<Q", 99) + b"{}", "byte 0: header: length: expected at most 2, .* got 99"),
        (from_header(b"\xff{"), "byte 8: header: JSON: expected UTF-8, got byte 0xff"),
        (from_header(b"[" * 10**5), "byte 8: header: JSON: expected an object of arrays, got"),
        (from_header(b'{"x": '), "byte 14: header: JSON: expected an object of arrays, got"),
        (from_header([]), "byte 8: header: JSON: expected an object of arrays, got \\[\\]"),
        (from_header({"__metadata__": {"a": 1}}), "__metadata__: expected an object of strings"),
        (from_header({"x": 1}), "'x': entry: expected an object of `dtype`, `shape`"),
        (from_header(entry("C64"), b"ab"), "'x': dtype: expected one of F64, .* got 'C64'"),
        (from_header(entry([]), b"ab"), r"'x': dtype: expected one of F64, .* got \[\]"),
        (from_header(entry(shape=[-2]), b"ab"), r"'x': shape: expected at most 8 sizes, got \[-2"),
        (from_header(entry(shape=[1] * 99), b"a"), "'x': shape: expected at most 8 sizes, got"),
        (from_header(entry(shape=[0] + [9**18] * 3)), "'x': shape: expected at most 4611686018"),
        (from_header(entry(offsets=[0]), b"ab"), "'x': data_offsets: expected the first byte"),
        (from_header(entry(offsets=[0, 1.5])), "'x': data_offsets: expected the first byte"),
        (from_header(entry(shape=[3]), b"ab"), r"'x': data_offsets: expected 3 bytes for U8 of"),
        (from_header(entry(), b"a"), "'x': data_offsets: expected at most 1, the bytes of data"),
        (from_header(entry(offsets=[1, 3]), b"abc"), "'x': data_offsets: expected 0 for the firs"),
        (from_header(entry(), b"abc"), "data: expected 2, where the last array ends, got 3 bytes"),
        (from_header({**entry(), "y": entry()["x"]}, b"ab"), "'y': data_offsets: expected 2 for"),
    ],
)
def test_broken_files_name_the_byte_and_the_field(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_header(ByteSource(None, data))
