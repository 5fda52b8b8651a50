"""Cursors over stretches of files, and files of every kind."""

import os
import struct
import threading

import numpy as np
import pytest

from ffjax import FinalfusionFormatError, FormatError
from ffjax.formats.io.binary import ByteSource, Cursor, Output
from ffjax.formats.io.streams import open_source

DATA = struct.pack("<IQ", 7, 2**40) + "grün".encode() + b"\xffrest"


def cursor(start: int = 0, end: int | None = None) -> Cursor:
    return Cursor(ByteSource("words.bin", DATA), start, end, "chunk")


def test_fields_are_read_in_order():
    at = cursor()
    assert (at.u32("a"), at.u64("b"), at.text("c", 5), at.number("b", "d")) == (
        7,
        2**40,
        "grün",
        -1,
    )
    assert at.skip("e", 1) == 18
    assert bytes(at.take("f", 3)) == b"est"
    assert at.remaining == 0
    at.finish()


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            lambda at: at.u64("x"),
            "words.bin: byte 0: chunk: x: expected 8 bytes, got 5 before the end",
        ),
        (
            lambda at: at.skip("x", 6),
            "words.bin: byte 0: chunk: x: expected 6 bytes, got 5 before the end",
        ),
        (
            lambda at: at.take("x", 2**64),
            f"words.bin: byte 0: chunk: x: expected {2**64} bytes, got 5 before the end",
        ),
        (
            lambda at: at.claim("x", 6),
            "byte 0: chunk: x: expected at most 5, as many as remain, got 6",
        ),
        (
            lambda at: at.claim("x", 2, 4, offset=3),
            "byte 3: .*at most 1 of 4 bytes, as many as remain, got 2",
        ),
        (
            lambda at: at.finish(),
            "words.bin: byte 0: chunk: length: expected chunk to end here, got 5 more bytes",
        ),
    ],
)
def test_nothing_is_read_beyond_the_end_of_a_stretch(read, message):
    at = cursor(0, 5)
    with pytest.raises(FormatError, match=message):
        read(at)
    assert at.position == 0


def test_claims_that_fit_are_answered_in_bytes():
    assert cursor(0, 8).claim("x", 2, 4) == 8
    assert cursor(0, 8).claim("x", 0, 2**64) == 0


def test_text_that_is_not_utf8_is_refused_where_it_goes_wrong():
    with pytest.raises(
        FormatError,
        match=r"byte 17: chunk: x: expected UTF-8, got byte 0xff \(invalid start byte\)",
    ):
        cursor(12).text("x", 7)


def test_errors_are_of_the_kind_that_was_asked_for():
    at = Cursor(ByteSource(None, b"", FinalfusionFormatError), chunk="chunk")
    with pytest.raises(
        FinalfusionFormatError,
        match="^byte 0: chunk: x: expected 4 bytes, got 0 before the end\\. The file",
    ):
        at.u32("x")


@pytest.mark.parametrize("data", [b"", b"abc"])
def test_regular_files_are_mapped(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with open_source(tmp_path / "x") as source:
        assert len(source) == len(data)
        assert bytes(source.data) == data
        assert source.mappable
        assert source.view(0, len(data)).tobytes() == data
        assert not source.view(0, len(data)).flags.writeable
        assert source.view(len(data), len(data)).size == 0


def test_maps_outlive_the_source(tmp_path):
    (tmp_path / "x").write_bytes(b"?" + np.arange(6, dtype="<u4").tobytes())
    with open_source(tmp_path / "x") as source:
        mapped = source.map(1, (2, 3), "<u4")
        view = source.view(0, 1)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, np.arange(6, dtype=np.uint32).reshape(2, 3))
    assert view.tobytes() == b"?"


def test_bytes_in_memory_are_not_mapped():
    source = ByteSource("memory", b"abcd")
    assert not source.mappable
    with pytest.raises(ValueError, match="expected a file to map, got 'memory'"):
        source.map(0, (4,), np.uint8)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_read_to_their_end(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = b"magic" + bytes(3_000_000)
    for magic, fits in ((b"magic", True), (b"other", False)):
        writer = threading.Thread(target=pour, args=(pipe, data))
        writer.start()
        if fits:
            with open_source(pipe, magic=magic) as source:
                assert bytes(source.data) == data
        else:
            with pytest.raises(
                FormatError,
                match="byte 0: header: magic: expected b'other', got b'magic'. The file is",
            ):
                open_source(pipe, magic=magic).__enter__()
        writer.join()


def pour(pipe, data: bytes) -> None:
    try:
        pipe.write_bytes(data)
    except BrokenPipeError:
        pass


def test_output_counts_what_it_writes(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        out = Output(file, 5)
        out.pack("IQ", 1, 2)
        out.write(b"abc")
        out.write(np.zeros((2, 3), np.float32))
        out.write(np.zeros((0, 3), np.float32))
        assert out.position == 5 + 12 + 3 + 24
    assert (tmp_path / "x").read_bytes() == struct.pack("<IQ", 1, 2) + b"abc" + bytes(24)
