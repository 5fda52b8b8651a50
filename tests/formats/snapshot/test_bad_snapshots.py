"""What is not a snapshot: errors that name the field."""

import msgpack
import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.snapshot import arrays as snapshot_arrays
from tests import builders
from tests.builders import embeddings
from tests.formats.snapshot.test_snapshot import MATRIX, of
from tests.fuzz.reference import with_checksum


def crafted(**storage_entries) -> bytes:
    """A snapshot with other entries in its storage, and a checksum that fits."""
    tree = msgpack.unpackb(ffjax.to_bytes(of(2, ffjax.NdArray(MATRIX))), strict_map_key=False)
    tree["snapshot"]["storage"].update(storage_entries)
    return with_checksum(msgpack.packb(tree))


def array(shape, name="float32", raw=b"") -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb((shape, name, raw)))


HUGE = b"\x83\xa5ffjax\x01\xa8snapshot"
TAIL = b"\xaazlib_crc32\xa800000000"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "byte 0: snapshot: magic: expected .*ffjax.*, got b''"),
        (b"{}" * 20, "byte 0: snapshot: magic"),
        (
            b"\x83\xa5ffjax\x02" + HUGE[8:] + b"\x80" + TAIL,
            "byte 7: snapshot: version: expected 1, got 2.*later",
        ),
        (
            b"\x83\xa5ffjax\xc3" + HUGE[8:] + b"\x80" + TAIL,
            "byte 7: snapshot: version: expected 1, got True",
        ),
        (HUGE + b"\x80" + TAIL, "zlib_crc32: expected 00000000, got .*changed"),
        (with_checksum(HUGE + b"\x80" + TAIL), r"snapshot\.storage: expected a map, got None"),
        (with_checksum(HUGE + b"\x05" + TAIL), "snapshot: expected a map, got 5"),
        (
            with_checksum(HUGE + b"\xdf\xff\xff\xff\xff" + TAIL),
            "snapshot: expected at most .* got 4294967295",
        ),
        (
            with_checksum(HUGE + b"\xdb\xff\xff\xff\xff" + TAIL),
            "snapshot: expected more bytes, got the end of the file",
        ),
        (
            with_checksum(HUGE + b"\xc9\xff\xff\xff\xff\x01" + TAIL),
            "snapshot: expected at most .* got 4294967295",
        ),
        (
            with_checksum(HUGE + b"\x93\x00\x00\x00" + TAIL),
            "expected a map, text.*got an error: 3 exceeds max_array_len",
        ),
        (with_checksum(HUGE + b"\xca\x00\x00\x00\x00" + TAIL), "expected a map, text.*got a float"),
        (
            with_checksum(HUGE + b"\x82\xa1a\x00\xa1a\x00" + TAIL),
            "keys of text, each once, got 'a'",
        ),
        (with_checksum(HUGE + b"\x81\x01\x00" + TAIL), "keys of text, each once, got 1"),
        (
            with_checksum(HUGE + b"\x81\xa1a" * 40 + b"\x00" + TAIL),
            "at most 32 nested maps, got more",
        ),
        (with_checksum(HUGE + b"\x80\x00" + TAIL), "the checksum after it, got 1 more bytes"),
        (
            crafted(kind="Pickle"),
            r"snapshot\.storage: kind: expected one of NdArray, .*got 'Pickle'",
        ),
        (crafted(kind=3), r"snapshot\.storage: kind: expected text, got 3"),
        (crafted(matrix=None), r"snapshot\.storage: matrix: expected an array, got None"),
        (
            crafted(matrix=msgpack.ExtType(2, b"")),
            "matrix: expected extension 1, an array, got extension 2",
        ),
        (
            crafted(matrix=array((2, 3))),
            r"matrix: expected 24 bytes for shape \(2, 3\) of float32, .*got 2 bytes with",
        ),
        (
            crafted(matrix=array((2**31 - 1, 2**31 - 1))),
            "matrix: expected 18446744056529682436 bytes",
        ),
        (crafted(matrix=array((2**31, 0))), "matrix: expected a shape of numbers from 0"),
        (crafted(matrix=array((-1, 3))), "matrix: expected a shape of numbers from 0"),
        (
            crafted(matrix=array((1, 1, 1, 1))),
            "matrix: expected shape .at most 3 dimensions.*got an error: .*4 exceeds",
        ),
        (
            crafted(matrix=array((2, 3), "object", bytes(48))),
            "matrix: expected one of the types bfloat16",
        ),
        (
            crafted(matrix=array((2, 3), "int8", bytes(6))),
            "matrix: expected an array of 2 dim.*of int8",
        ),
        (
            crafted(matrix=array((1, 3), "float32", bytes(12))),
            "entries that fit each other, .*`storage`: expected 2 rows",
        ),
        (
            crafted(matrix={snapshot_arrays.CHUNKED: True}),
            "matrix: expected `shape` and `chunks` of an array",
        ),
        (
            crafted(
                matrix={
                    snapshot_arrays.CHUNKED: True,
                    "shape": {"0": 9, "1": 2**30},
                    "chunks": {"0": array((0,))},
                }
            ),
            r"matrix: expected 38654705664 bytes for shape \(9, 1073741824\)",
        ),
        (
            crafted(
                matrix={
                    snapshot_arrays.CHUNKED: True,
                    "shape": {"0": 0},
                    "chunks": {"1": array((0,))},
                }
            ),
            "matrix: expected numbered chunks of one type",
        ),
    ],
)
def test_what_is_no_snapshot(data, message):
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.from_bytes(data)


def test_codes_without_a_centroid_are_refused():
    emb = embeddings("simple", "pq")
    codes = np.asarray(emb.storage.codes).copy()
    codes[3, 1] = 200
    bad = ffjax.QuantizedArray(emb.storage.quantizer, codes)
    with pytest.raises(
        ffjax.FormatError, match="codes: expected at most 7, the last of the centroids, got 200"
    ):
        ffjax.from_bytes(ffjax.to_bytes(emb.replace(storage=bad)))


@pytest.mark.usefixtures("as_users_see")
def test_what_is_no_bytes():
    with pytest.raises(TypeError, match="`data`: expected bytes, got str"):
        ffjax.from_bytes("x")


def test_the_same_bytes_from_a_buffer():
    data = ffjax.to_bytes(builders.embeddings())
    for buffer in (bytearray(data), memoryview(data)):
        assert ffjax.from_bytes(buffer) == builders.embeddings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" + ".a" * 100_000 + "=1", "keys of a few parts"),
        ("a=" + "[" * 100_000, "nested too deeply"),
    ],
    ids=["parts", "nested"],
)
def test_metadata_that_would_take_long_to_parse_is_an_error(tmp_path, text, message):
    tree = msgpack.unpackb(ffjax.to_bytes(of(2, ffjax.NdArray(MATRIX))), strict_map_key=False)
    tree["snapshot"]["metadata"] = text
    path = tmp_path / "hostile.msgpack"
    path.write_bytes(with_checksum(msgpack.packb(tree)))
    for read in (ffjax.load, describe):
        with pytest.raises(ffjax.FormatError, match=message):
            read(path)
