"""What errors of corrupt finalfusion files say: offset, chunk, field, expected, got."""

import struct
from collections.abc import Iterator

import numpy as np
import pytest

import ffjax
from ffjax import FinalfusionFormatError
from ffjax.formats.finalfusion.arrays import read_quantized
from ffjax.formats.finalfusion.header import read_chunk_header
from ffjax.formats.finalfusion.reader import read_embeddings
from ffjax.formats.io.binary import Cursor
from tests.formats.finalfusion import fifu


def small_with(**changes: bytes) -> bytes:
    """Three words, a matrix of three rows, three norms; a part may be another."""
    parts = {"header": fifu.header(1, 2, 6), "vocab": fifu.simple("one", "two", "three"), **changes}
    data = parts["header"] + parts["vocab"]
    data += parts.get("matrix", fifu.matrix(len(data), np.ones((3, 2))))
    return data + parts.get("norms", fifu.norms(len(data), np.ones(3)))


HEAD = 24  # bytes of the header above
TWO_OFF = HEAD + 12 + 8 + 4 + 3  # where its second word's length stands
MATRIX = HEAD + 12 + 8 + 3 * 4 + len("onetwothree")
NORMS = MATRIX + 12 + 16 + 1 + 3 * 2 * 4


@pytest.mark.parametrize(
    ("data", "offset", "chunk", "field", "expected", "got"),
    [
        (b"", 0, "header", "magic", "4 bytes", "0 before the end"),
        (
            small_with(header=fifu.header(1, 2, 6, magic=b"fifu")),
            0,
            "header",
            "magic",
            "b'FiFu'",
            "b'fifu'",
        ),
        (small_with(header=fifu.header(1, 2, 6, version=7)), 4, "header", "version", "0", "7"),
        (
            small_with(header=fifu.header(1, 2, 99)),
            20,
            "header",
            "chunk identifier",
            "1 to 9",
            "99",
        ),
        (small_with(header=fifu.header(1, 0, 6)), 16, "header", "chunk identifier", "1 to 9", "0"),
        (
            small_with(header=fifu.header(1, 2, 6, count=90)),
            8,
            "header",
            "number of chunks",
            "at most",
            "90",
        ),
        (
            small_with(header=fifu.header(1, 4, 6)),
            MATRIX,
            None,
            "chunk 1",
            "QuantizedArray, as the header lists",
            "NdArray",
        ),
        (
            small_with(header=fifu.header(1)),
            MATRIX - 8,
            None,
            "chunk 1",
            "the end of the file, since the header",
            "NdArray",
        ),
        (
            small_with(vocab=fifu.chunk(55, b"")),
            HEAD,
            "chunk header",
            "chunk identifier",
            "1 to 9",
            "55",
        ),
        (
            small_with(vocab=fifu.chunk(1, b"", length=9999)),
            HEAD + 4,
            "SimpleVocab",
            "length",
            "at most",
            "9999",
        ),
        (
            small_with(vocab=fifu.simple("one", b"\xc3\x28", "x")),
            TWO_OFF + 4,
            "SimpleVocab",
            "word 1",
            "UTF-8",
            "0xc3",
        ),
        (
            small_with(vocab=fifu.simple("one", b"\xc3", b"\xa9")),
            TWO_OFF + 4,
            "SimpleVocab",
            "word 1",
            "UTF-8",
            "0xc3",
        ),
        (
            small_with(vocab=fifu.simple("one", "two", "two")),
            TWO_OFF + 4 + 3 + 4,
            "SimpleVocab",
            "word 2",
            "each word once",
            "b'two' for the second time, after word 1",
        ),
        (
            small_with(vocab=fifu.simple("one", "two", count=1)),
            TWO_OFF,
            "SimpleVocab",
            "length",
            "SimpleVocab to end here",
            "7 more bytes",
        ),
        (
            small_with(vocab=fifu.simple("one", "two")),
            HEAD + 34,
            "NdArray",
            "rows",
            "2, one for each that the vocabulary addresses",
            "3",
        ),
        (
            small_with(matrix=fifu.matrix(MATRIX, np.ones((3, 2)), kind=1)),
            MATRIX + 24,
            "NdArray",
            "type",
            "10",
            "1",
        ),
        (
            small_with(norms=fifu.norms(NORMS, np.ones(2))),
            NORMS,
            "NdNorms",
            "number of norms",
            "3, one for each word",
            "2",
        ),
        (
            small_with(norms=fifu.norms(NORMS, np.ones(3), kind=3)),
            NORMS + 20,
            "NdNorms",
            "type",
            "10",
            "3",
        ),
        (
            small_with(norms=fifu.chunk(6, struct.pack("<QI", 9, 10) + bytes(8))),
            NORMS + 28,
            "NdNorms",
            "norms",
            "36 bytes for 9 numbers",
            "4 before the end",
        ),
    ],
)
def test_errors_say_where_and_what(data, offset, chunk, field, expected, got):
    with pytest.raises(FinalfusionFormatError, match="expected .*, got ") as caught:
        read_embeddings(fifu.memory(data))
    error = caught.value
    assert (error.offset, error.chunk, error.field) == (offset, chunk, field)
    assert expected in error.expected
    assert got in error.got


def quantized_chunk(**changes: int) -> bytes:
    """A quantized matrix of two rows, two codes each, three centroids of two dimensions."""
    fields = {
        "projection": 0,
        "norms": 1,
        "subquantizers": 2,
        "dims": 4,
        "centroids": 3,
        "rows": 2,
        "u8": 1,
        "f32": 10,
    }
    body = fifu.floats(
        0, struct.pack("<IIIIIQII", *{**fields, **changes}.values()), np.ones(2 * 3 * 2 + 2)
    )
    return fifu.chunk(4, body + bytes([0, 1, 2, 0]))


@pytest.mark.parametrize(
    ("changes", "offset", "field"),
    [
        ({"projection": 2}, 12, "projection"),
        ({"projection": 1}, 52, "projection"),
        ({"norms": 2}, 16, "norms"),
        ({"norms": 0}, None, "length"),
        ({"subquantizers": 0}, 20, "subquantizers"),
        ({"subquantizers": 3}, 24, "dims"),
        ({"dims": 2**32 - 2}, 52, "codebooks"),
        ({"dims": 5}, 24, "dims"),
        ({"centroids": 2}, None, "length"),
        ({"centroids": 4}, 52, "codebooks"),
        ({"rows": 3}, None, "codes"),
        ({"rows": 2**32}, 32, "rows"),
        ({"u8": 2}, 40, "code type"),
        ({"f32": 1}, 44, "float type"),
    ],
)
def test_fields_of_a_quantized_matrix_must_fit(changes, offset, field):
    def read(data: bytes):
        return read_quantized(read_chunk_header(Cursor(fifu.memory(data)))[1])

    assert read(quantized_chunk()).shape == (2, 4)
    with pytest.raises(
        FinalfusionFormatError, match="QuantizedArray: .*expected .*, got "
    ) as caught:
        read(quantized_chunk(**changes))
    assert caught.value.field == field
    assert offset is None or caught.value.offset == offset


def test_a_code_without_a_centroid_is_refused_when_read_and_when_mapped(tmp_path):
    data = fifu.header(4) + quantized_chunk()
    path = tmp_path / "x.fifu"
    path.write_bytes(data[:-1] + b"\3")
    for mmap in (False, True):
        with pytest.raises(
            FinalfusionFormatError,
            match="code 1 of row 1: expected less than 3, the centroids, got 3",
        ):
            ffjax.load_storage(path, mmap=mmap)


def explicit_chunk(rows: dict[str, int], *, min_n: int = 3, max_n: int = 6) -> bytes:
    body = struct.pack("<QQII", 1, len(rows), min_n, max_n) + fifu.words("a") + fifu.ngrams(rows)
    return fifu.header(8) + fifu.chunk(8, body)


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        (
            explicit_chunk({"abc": 0, "bcd": 2, "cde": 2}),
            "row of n-gram 1",
            "2, and no n-gram for row 1",
        ),
        (explicit_chunk({"abc": 1, "bcd": 1}), "row of n-gram 0", "1, and no n-gram for row 0"),
        (
            explicit_chunk({"abc": 0, "bcd": 2}),
            "row of n-gram 1",
            "less than 2, the number of n-grams, got 2",
        ),
        (
            explicit_chunk({"abc": 2**63}),
            "row of n-gram 0",
            f"less than 1, the number of n-grams, got {2**63}",
        ),
        (explicit_chunk({"abc": 0}, min_n=0), "min_n", "at least 1, got 0"),
        (explicit_chunk({"abc": 0}, min_n=7), "max_n", "at least min_n, which is 7, got 6"),
        (
            explicit_chunk({"abc": 0}).replace(b"abc", b"a\xffc"),
            "n-gram 0",
            "expected UTF-8, got byte 0xff",
        ),
        (
            explicit_chunk({"abc": 0, "abd": 1}).replace(b"abd", b"abc"),
            "n-gram 1",
            "each n-gram once, got b'abc' for the",
        ),
    ],
)
def test_explicit_ngrams_must_fit(tmp_path, data, field, message):
    path = tmp_path / "x.fifu"
    path.write_bytes(data)
    with pytest.raises(FinalfusionFormatError, match="ExplicitSubwordVocab") as caught:
        ffjax.load_vocab(path)
    assert caught.value.field == field
    assert message in str(caught.value)
    if "row of" in field:
        # The offset is that of the row itself.
        index = int(field.split()[-1])
        assert struct.unpack_from("<Q", data, caught.value.offset)[0] == [*rows_of(data)][index]


def rows_of(data: bytes) -> Iterator[int]:
    at, count = 16 + 12 + 24 + 5, struct.unpack_from("<Q", data, 16 + 12 + 8)[0]
    for _ in range(count):
        at += 4 + struct.unpack_from("<I", data, at)[0]
        yield struct.unpack_from("<Q", data, at)[0]
        at += 8


@pytest.mark.parametrize(
    ("identifier", "fields", "field"),
    [
        (3, struct.pack("<QIII", 1, 3, 6, 0), "bucket exponent"),
        (3, struct.pack("<QIII", 1, 3, 6, 64), "bucket exponent"),
        (7, struct.pack("<QIII", 1, 3, 6, 0), "number of buckets"),
        (3, struct.pack("<QIII", 1, 0, 6, 5), "min_n"),
        (7, struct.pack("<QIII", 1, 4, 3, 5), "max_n"),
    ],
)
def test_bucket_settings_must_make_sense(tmp_path, identifier, fields, field):
    path = tmp_path / "x.fifu"
    path.write_bytes(fifu.header(identifier) + fifu.chunk(identifier, fields + fifu.words("a")))
    with pytest.raises(FinalfusionFormatError, match=f"{field}: expected"):
        ffjax.load_vocab(path)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ((0, 6, 9, 2, 7), "min_n"),
        ((3, 2, 9, 2, 7), "max_n"),
        ((3, 6, 0, 2, 7), "number of buckets"),
        ((3, 6, 2**32, 2, 7), "number of buckets"),
        ((3, 6, 9, 0, 7), "number of hashes"),
        ((3, 6, 9, 5, 7), "number of hashes"),
    ],
)
def test_floret_settings_must_make_sense(tmp_path, fields, field):
    path = tmp_path / "x.fifu"
    path.write_bytes(
        fifu.header(9) + fifu.chunk(9, struct.pack("<IIQII", *fields) + fifu.words("<", ">"))
    )
    with pytest.raises(FinalfusionFormatError, match=f"FloretSubwordVocab: {field}: expected"):
        ffjax.load_vocab(path)


@pytest.mark.parametrize("text", [b"\xff", b"a = ", b"a = 1\na = 2", b"a = 2020-99-99"])
def test_metadata_must_be_toml(tmp_path, text):
    path = tmp_path / "x.fifu"
    path.write_bytes(fifu.header(5) + fifu.chunk(5, text))
    with pytest.raises(
        FinalfusionFormatError,
        match="byte 28: Metadata: text: expected (UTF-8|a TOML document), got ",
    ):
        ffjax.load_metadata(path)
