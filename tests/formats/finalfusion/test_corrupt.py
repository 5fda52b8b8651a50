"""Truncated, corrupted and hostile files: one error, quickly, in little memory."""

import functools
import struct
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

import ffjax
from ffjax import FinalfusionFormatError
from ffjax.formats.describe import describe
from ffjax.formats.finalfusion.reader import read_embeddings
from tests import builders
from tests.formats.finalfusion import fifu

REAL = ("embeddings", "ff_buckets", "pq", "pq-check", "quantized", "similarity", "simple_vocab")
ALIKE = ("pq-check", "quantized", "similarity")  # with the chunks of `pq` or `embeddings`
MADE = ("simple-opq", "buckets-dense", "fasttext-pq_norms", "explicit-dense", "floret-pq")
each_file = pytest.mark.parametrize(
    "name",
    builders.cases(
        ["small", *(name for name in REAL if name not in ALIKE), *MADE], exhaustive=ALIKE
    ),
)
# Checks of annotations would take most of the time of a hundred thousand loads.
pytestmark = pytest.mark.usefixtures("as_users_see")
LOADERS = (
    ffjax.load_finalfusion,
    ffjax.load_vocab,
    ffjax.load_storage,
    ffjax.load_norms,
    ffjax.load_metadata,
)


@pytest.fixture(scope="module")
def content(finalfusion_files, tmp_path_factory):
    """The bytes of a real file, or of one that ffjax wrote."""
    folder = tmp_path_factory.mktemp("made")

    @functools.cache
    def read(name: str) -> bytes:
        if name == "small":
            return fifu.small()
        if name in REAL:
            return (finalfusion_files / f"{name}.fifu").read_bytes()
        path = folder / f"{name}.fifu"
        builders.embeddings(*name.split("-"), metadata={"name": name}).write(path)
        return path.read_bytes()

    return read


def loads(data: bytes, *, mmap: bool = False) -> bool:
    """Whether bytes are embeddings; any error but the one promised fails the test."""
    try:
        read_embeddings(fifu.memory(data), mmap=mmap)
    except FinalfusionFormatError as error:
        assert error.expected and error.got and str(error)
        return False
    return True


def chunks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Identifier, start and length of each chunk."""
    (count,) = struct.unpack_from("<I", data, 8)
    at = 12 + 4 * count
    while at < len(data):
        identifier, length = struct.unpack_from("<IQ", data, at)
        yield identifier, at, length
        at += 12 + length


def structure(data: bytes) -> Iterator[tuple[int, str]]:
    """Offset and `struct` code of each number that says how much follows or what it is."""
    yield from ((4, "I"), (8, "I"))
    for i in range(struct.unpack_from("<I", data, 8)[0]):
        yield 12 + 4 * i, "I"
    for identifier, start, _ in chunks(data):
        yield from ((start, "I"), (start + 4, "Q"))
        at = start + 12
        codes = {1: "Q", 2: "QII", 3: "Q", 4: "IIIIIQII", 5: "", 6: "QI", 7: "Q", 8: "QQ", 9: ""}[
            identifier
        ]
        for code in codes:
            yield at, code
            at += struct.calcsize(code)
        if identifier in (1, 3, 7, 8):
            yield from words(data, start + 12, identifier)
        if identifier == 9:
            for _ in range(2):
                at = start + 12 + 24 if at == start + 12 else at
                yield at, "I"
                at += 4 + struct.unpack_from("<I", data, at)[0]


def words(data: bytes, at: int, identifier: int) -> Iterator[tuple[int, str]]:
    """The lengths of words and n-grams."""
    (n_words,) = struct.unpack_from("<Q", data, at)
    (n_ngrams,) = struct.unpack_from("<Q", data, at + 8) if identifier == 8 else (0,)
    at += {1: 8, 3: 20, 7: 20, 8: 24}[identifier]
    for i in range(n_words + n_ngrams):
        if (
            min(i, abs(i - n_words), n_words + n_ngrams - 1 - i) < 3
        ):  # the first and last ones stand for all
            yield at, "I"
        at += 4 + struct.unpack_from("<I", data, at)[0] + (8 if i >= n_words else 0)


# Truncation


@each_file
def test_every_truncation_is_refused(content, name):
    data = content(name)
    # Norms that the header does not list can go, and what remains is whole.
    unlisted = [start for _, start, _ in chunks(data)][struct.unpack_from("<I", data, 8)[0] :]
    assert loads(data)
    assert [n for n in range(len(data)) if loads(data[:n])] == unlisted


@pytest.mark.parametrize("load", LOADERS)
def test_every_truncation_is_refused_by_every_loader(tmp_path, load):
    data = fifu.small()
    path = tmp_path / "x.fifu"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(FinalfusionFormatError, match=r"x.fifu: byte \d+: .*expected .*, got "):
            load(path)
    path.write_bytes(data)
    load(path)


def test_every_truncation_is_refused_when_mapping(tmp_path):
    data = fifu.small()
    path = tmp_path / "x.fifu"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        for load in (ffjax.load_finalfusion, ffjax.load_storage):
            with pytest.raises(
                FinalfusionFormatError, match=r"x.fifu: byte \d+: .*expected .*, got "
            ):
                load(path, mmap=True)


@pytest.mark.parametrize("name", ["small", *REAL])
@pytest.mark.parametrize(
    "more", [b"\0", b"garbage, which is longer than a chunk's header", bytes(12)]
)
def test_bytes_behind_the_last_chunk_are_refused(content, name, more):
    assert not loads(content(name) + more)


# Flipped bytes


@pytest.mark.parametrize(
    "name", ["small", "embeddings", "simple-opq", "explicit-dense", "floret-pq"]
)
def test_flipping_any_byte_gives_embeddings_or_the_error(content, name):
    data = content(name)
    stop = len(data) if name in ("small", "embeddings") else min(len(data), 400)
    results = [loads(flipped(data, at, mask)) for at in range(stop) for mask in (0x01, 0xFF)]
    assert 0 < sum(results) < len(results)


@each_file
def test_flipping_a_byte_of_the_structure_is_refused(content, name):
    data = content(name)
    fields = list(structure(data))
    places = [at for start, code in fields for at in range(start, start + struct.calcsize(code))]
    assert len(places) > 40
    accepted = [at for at in range(4) if loads(flipped(data, at, 0xFF))]  # the magic
    accepted += [
        at for at in places for mask in (0x01, 0x80, 0xFF) if loads(flipped(data, at, mask))
    ]
    assert not accepted


def flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


# Lengths


@each_file
def test_lengths_that_lie_are_refused_without_allocating_them(content, name):
    data = content(name)
    assert loads(data)  # what the first call imports and caches is not counted
    tracemalloc.start()
    try:
        for at, code in structure(data):
            (right,) = struct.unpack_from("<" + code, data, at)
            top = 8 * struct.calcsize(code)
            lies = {
                0,
                right - 1,
                right + 1,
                2 * right + 1,
                right + len(data),
                *(2**n - 1 for n in (16, 31, 32, 63, top)),
            }
            for lie in sorted(lies - {right}):
                if 0 <= lie < 2**top:
                    changed = bytearray(data)
                    struct.pack_into("<" + code, changed, at, lie)
                    most = 3 * len(data) + 400_000  # a copy, and Python's own objects
                    grown = most
                    for _ in range(3):  # a first call, or another thread, may allocate more
                        tracemalloc.reset_peak()
                        before = tracemalloc.get_traced_memory()[0]
                        assert not loads(bytes(changed)), f"{lie} instead of {right} at byte {at}"
                        grown = tracemalloc.get_traced_memory()[1] - before
                        if grown < most:
                            break
                    assert grown < most, f"{grown} bytes for {lie} at byte {at}"
    finally:
        tracemalloc.stop()


def test_a_large_file_that_lies_costs_no_more_than_twice_its_size():
    names = [f"word{i:05}" for i in range(30_000)]
    head = fifu.header(1, 2, 6) + fifu.simple(*names)
    matrix = fifu.matrix(len(head), np.zeros((len(names), 20), np.float32))
    data = head + matrix + fifu.norms(len(head) + len(matrix), np.ones(len(names)))
    assert loads(data)
    for _, start, length in list(chunks(data)):
        for at, code in ((start + 4, "Q"), (start + 12, "Q")):
            for lie in (length * 1000, 2**40, 2**63, 2**64 - 1):
                changed = bytearray(data)
                struct.pack_into("<" + code, changed, at, lie)
                source = fifu.memory(bytes(changed))
                tracemalloc.start()
                with pytest.raises(FinalfusionFormatError, match="expected .*, got "):
                    read_embeddings(source)
                grown = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert grown < 2 * len(data), f"{grown} bytes for {lie} at byte {at}"


def hostile_vocab(count: int, body: bytes) -> bytes:
    return fifu.header(1) + fifu.chunk(1, struct.pack("<Q", count) + body)


HOSTILE = {
    "nothing but zeros": (
        hostile_vocab(4_000_000, bytes(16_000_000)),
        "word 1: expected each word once",
    ),
    "one word again and again": (
        hostile_vocab(1_000_000, fifu.words("a") * 1_000_000),
        "word 1: expected each word once",
    ),
    "a word of one zero again and again": (
        hostile_vocab(1_000_000, fifu.words("\0") * 1_000_000),
        "word 1: expected each word once",
    ),
    "more words than bytes": (
        hostile_vocab(2**61, bytes(8)),
        "number of words: expected at most 2 of 4 bytes",
    ),
    "no chunks, many times": (
        fifu.header(*[5] * 256) + fifu.chunk(5, b"") * 256,
        "expected a vocabulary",
    ),
    "chunks without end": (
        fifu.header(*[5] * 100_000),
        "number of chunks: expected 1 to 256, got 100000",
    ),
    "brackets without end": (
        fifu.header(5) + fifu.chunk(5, b"a=" + b"[" * 1_000_000),
        "nested too deeply",
    ),
    "a key of many parts": (
        fifu.header(5) + fifu.chunk(5, b"a" + b".a" * 100_000 + b"=1"),
        "keys of a few parts",
    ),
    "a table of many parts with many keys": (
        fifu.header(5)
        + fifu.chunk(
            5, b"[a" + b".a" * 2000 + b"]\n" + b"".join(b"k%d=1\n" % i for i in range(100_000))
        ),
        "keys of a few parts",
    ),
    "a number of many digits": (
        fifu.header(5) + fifu.chunk(5, b"a=" + b"9" * 100_000),
        "a TOML document",
    ),
    "too much metadata": (
        fifu.header(5) + fifu.chunk(5, b"#" * (1 << 22) + b"\n"),
        "at most 4194304 bytes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_quickly(tmp_path, name):
    data, message = HOSTILE[name]
    path = tmp_path / "hostile.fifu"
    path.write_bytes(data)
    start = time.process_time()
    for load in (ffjax.load_metadata, ffjax.load_vocab):
        try:
            load(path)
        except FinalfusionFormatError as error:
            refused = str(error)
            if message in refused:
                break
    else:
        try:
            ffjax.load_finalfusion(path)
            refused = "nothing"
        except FinalfusionFormatError as error:
            refused = str(error)
    assert message in refused
    assert time.process_time() - start < 20  # seconds; a loop over what is claimed would take days


def test_metadata_is_bounded_when_described(tmp_path):
    data, message = HOSTILE["a key of many parts"]
    path = tmp_path / "hostile.fifu"
    path.write_bytes(data)
    with pytest.raises(FinalfusionFormatError, match=message):
        describe(path)
