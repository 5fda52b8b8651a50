"""Truncated, corrupted and hostile fastText files: one error, quickly, in little memory."""

import struct
import time
import tracemalloc

import numpy as np
import pytest

import ffjax
from ffjax.formats.fasttext import reader
from ffjax.formats.fasttext.reader import read_embeddings
from ffjax.formats.io.binary import ByteSource
from tests.formats.fasttext import files

# Checks of annotations would take most of the time of thousands of loads.
pytestmark = pytest.mark.usefixtures("as_users_see")
WORDS = ["</s>", "tea", "crème", "b"]
SETTINGS, DICTIONARY, ENTRIES = 8, 64, 92


@pytest.fixture(autouse=True)
def uncomposed(monkeypatch):
    """Leaves words' rows as they are in the file, so that a thousand loads compile nothing."""
    monkeypatch.setattr(reader, "compose", lambda *_: iter(()))


def small(**options) -> bytes:
    return files.model(WORDS, dims=2, buckets=3, **options)


def supervised(**options) -> bytes:
    return small(kind=files.SUPERVISED, labels=files.LABELS[:2], loss=3, **options)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory) -> bytes:
    """A model that fastText has quantized, with norms and dropped n-grams."""
    folder, fasttext = tmp_path_factory.mktemp("pruned"), files.quiet_fasttext()
    data = files.model(
        WORDS, dims=3, kind=files.SUPERVISED, labels=files.LABELS, loss=3, buckets=300
    )
    theirs = fasttext.load_model(str(files.write(folder, "dense.bin", data)))
    theirs.quantize(cutoff=260, qnorm=True)
    theirs.save_model(str(folder / "pruned.ftz"))
    return (folder / "pruned.ftz").read_bytes()


def error_of(data: bytes) -> ffjax.FormatError | None:
    """The error for bytes, `None` if they are embeddings; another kind of error fails the test."""
    try:
        read_embeddings(ByteSource(None, data))
    except ffjax.FormatError as error:
        assert (
            error.expected
            and error.got
            and error.chunk
            and error.offset is not None
            and error.offset <= len(data)
        )
        return error
    return None


def patched(data: bytes, at: int, code: str, value: float) -> bytes:
    raw = struct.pack("<" + code, value)
    return data[:at] + raw + data[at + len(raw) :]


@pytest.mark.parametrize(
    "data", [small(), supervised(), small(max_n=0, ngram_rows=0)], ids=["words", "labels", "simple"]
)
def test_every_truncation_is_refused(tmp_path, data):
    assert error_of(data) is None
    for n in range(len(data)):
        assert error_of(data[:n]) is not None, n
    path = tmp_path / "x.bin"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(ffjax.FormatError, match=r"x.bin: byte \d+: .*expected .*, got "):
            ffjax.load_fasttext(path, mmap=n % 2 == 0)


def test_every_truncation_of_a_quantized_model_is_refused(pruned):
    assert error_of(pruned) is None
    for n in {*range(0, len(pruned), 7), *range(900), *range(len(pruned) - 900, len(pruned))}:
        assert error_of(pruned[:n]) is not None, n


@pytest.mark.parametrize("more", [b"\0", b"garbage" * 9])
def test_bytes_behind_the_end_are_refused(pruned, more):
    for data in (small(), supervised(), pruned):
        assert "length" in str(error_of(data + more))


HEADER = [
    (4, "i", 10, "header", "version"),
    (4, "i", 13, "header", "version"),
    (SETTINGS, "i", 0, "settings", "dims"),
    (SETTINGS, "i", -1, "settings", "dims"),
    (SETTINGS, "i", 2**31 - 1, "input matrix", "rows, dims"),
    (SETTINGS + 24, "i", 0, "settings", "loss"),
    (SETTINGS + 24, "i", 5, "settings", "loss"),
    (SETTINGS + 28, "i", 0, "settings", "model"),
    (SETTINGS + 28, "i", 4, "settings", "model"),
    (SETTINGS + 32, "i", -1, "settings", "buckets"),
    (SETTINGS + 32, "i", 2**31 - 1, "input matrix", "rows"),
    (SETTINGS + 32, "i", 2, "input matrix", "rows"),
    (DICTIONARY, "i", 3, "dictionary", "size, n_words, n_labels"),
    (DICTIONARY, "i", 2**31 - 1, "dictionary", "size, n_words, n_labels"),
    (DICTIONARY + 4, "i", -4, "dictionary", "size, n_words, n_labels"),
    (DICTIONARY + 8, "i", 1, "dictionary", "size, n_words, n_labels"),
    (DICTIONARY + 20, "q", 1, "dictionary", "bucket of n-gram 0"),
    (DICTIONARY + 20, "q", 2**62, "dictionary", "pruned"),
]


@pytest.mark.parametrize(("at", "code", "value", "chunk", "field"), HEADER)
def test_wrong_numbers_are_named(at, code, value, chunk, field):
    error = error_of(patched(small(), at, code, value))
    assert (error.chunk, error.field) == (chunk, field)


def test_counts_beyond_the_file_are_refused_before_anything_is_allocated(pruned):
    matrix = small().index(b"\0" + struct.pack("<qq", 7, 2)) + 1
    hostile = [
        patched(patched(small(), DICTIONARY, "i", 2**31 - 1), DICTIONARY + 4, "i", 2**31 - 1),
        patched(small(), DICTIONARY + 20, "q", 2**60),
        patched(small(), matrix, "q", 2**60),
        patched(small(), matrix, "q", -(2**60)),
        patched(small(), matrix + 8, "q", 2**60),
        patched(small(), matrix, "q", 2**63 - 1),
    ]
    codes = pruned.index(struct.pack("<qq", 260, 3))
    hostile += [patched(pruned, codes, "q", 2**60), patched(pruned, codes + 8, "q", 2**60)]
    hostile += [patched(pruned, codes + 16, "i", n) for n in (-1, 0, 259, 261, 2**31 - 1)]
    quantizer = codes + 20 + 260 * 2
    assert struct.unpack_from("<iiii", pruned, quantizer) == (3, 2, 2, 1)
    hostile += [
        patched(pruned, quantizer + 4 * i, "i", n)
        for i in range(4)
        for n in (-1, 0, 3, 4, 2**31 - 1)
        if (i, n) != (0, 3)
    ]
    read_embeddings(ByteSource(None, small()))
    for data in hostile:
        tracemalloc.start()
        start = time.process_time()
        assert error_of(data) is not None
        assert time.process_time() - start < 5
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 200_000
        tracemalloc.stop()


def test_flipped_bytes_are_an_error_or_other_values():
    rng = np.random.default_rng(0)
    for data in (small(), supervised()):
        head = len(data) - 20 * 8
        for at in range(head):
            changed = bytearray(data)
            changed[at] ^= 1 << rng.integers(8)
            error_of(bytes(changed))
            changed[at] = 255 - data[at]
            error_of(bytes(changed))


def test_words_come_before_labels():
    data = supervised()
    kind = data.index(b"tea\0") + 12
    assert error_of(patched(data, kind, "b", 1)).field == "type of entry 1"
    assert error_of(patched(data, kind, "b", 7)).field == "type of entry 1"
    label = data.index(files.LABELS[0].encode() + b"\0") + len(files.LABELS[0]) + 9
    error = error_of(patched(data, label, "b", 0))
    assert (error.field, error.offset) == ("type of entry 4", label)


def test_dropped_ngrams_are_checked(pruned):
    size = struct.unpack_from("<q", pruned, DICTIONARY + 20)[0]
    pairs = pruned.index(files.LABELS[-1].encode()) + len(files.LABELS[-1].encode()) + 10
    assert sorted(struct.unpack_from(f"<{2 * size}i", pruned, pairs)[1::2]) == list(range(size))
    assert error_of(patched(pruned, pairs, "i", 300)).field == "bucket of n-gram 0"
    assert error_of(patched(pruned, pairs + 8, "i", -1)).field == "bucket of n-gram 1"
    assert error_of(patched(pruned, pairs + 4, "i", size)).field == "row of n-gram 0"
    row = struct.unpack_from("<i", pruned, pairs + 12)[0]
    assert "each row once" in str(error_of(patched(pruned, pairs + 4, "i", row)))
    bucket = struct.unpack_from("<i", pruned, pairs + 8)[0]
    assert "each bucket once" in str(error_of(patched(pruned, pairs, "i", bucket)))


def test_dropped_ngrams_need_quantized_rows():
    kept = struct.pack("<ii", 1, 0)
    data = small(pruned=1, ngram_rows=1)
    end = data.index(b"b\0") + 11
    error = error_of(data[:end] + kept + data[end:])
    assert (error.chunk, error.field, error.offset) == (
        "input matrix",
        "quantized",
        end + len(kept),
    )
    # No n-gram at all, and no rows for them: fastText can't read that either.
    assert error_of(small(pruned=0, ngram_rows=0)).field == "rows"


def test_words_with_more_ngrams_than_any_model_has():
    word = "x" * 3000
    assert error_of(files.model([word], dims=2, buckets=3, min_n=1, max_n=1000)) is None
    error = error_of(files.model([word], dims=2, buckets=3, min_n=1, max_n=2000))
    assert error.field == "min_n, max_n" and "a word of 3000 bytes" in error.got
    assert (
        error_of(files.model([word], dims=2, buckets=3, min_n=1, max_n=2**31 - 1)).field
        == "min_n, max_n"
    )
    assert error_of(files.model(["x" * 20], dims=2, buckets=3, min_n=1, max_n=2**31 - 1)) is None


def test_other_files_are_refused(tmp_path):
    wrong = patched(small(), 0, "i", 793712313)
    for data in (b"", b"\xba", b"FiFu\0\0\0\0", b"1 2\na 0.5 0.5\n", wrong):
        path = files.write(tmp_path, "other.bin", data)
        with pytest.raises(ffjax.FormatError, match="other.bin: byte 0: header: magic: expected"):
            ffjax.load_fasttext(path)
