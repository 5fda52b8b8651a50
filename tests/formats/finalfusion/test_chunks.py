"""Each chunk: its layout, round trips, and its length wherever it stands in a file."""

import io
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ffjax
from ffjax import FinalfusionFormatError
from ffjax._internal.pytree import equal
from ffjax.formats.finalfusion import arrays, vocabs
from ffjax.formats.finalfusion.header import (
    MAX_CHUNKS,
    ChunkId,
    read_chunk_header,
    read_header,
    write_header,
)
from ffjax.formats.finalfusion.reader import read_metadata
from ffjax.formats.finalfusion.writer import write_chunk
from ffjax.formats.io.binary import Cursor, Output
from tests import builders
from tests.formats.finalfusion import fifu

text_lists = st.lists(st.text(max_size=8), max_size=12, unique=True)
floats32 = st.floats(width=32)

CHUNKS = {
    "metadata": (read_metadata, ffjax.Metadata({"a": 1, "b": {"c": "ü"}})),
    "no metadata": (read_metadata, ffjax.Metadata.from_toml("")),
    "simple": (vocabs.read_simple, builders.vocab("simple")),
    "no words": (vocabs.read_simple, ffjax.SimpleVocab([])),
    "buckets": (vocabs.read_buckets, builders.vocab("buckets")),
    "fasttext": (vocabs.read_fasttext, builders.vocab("fasttext")),
    "explicit": (vocabs.read_explicit, builders.vocab("explicit")),
    "no n-grams": (vocabs.read_explicit, ffjax.ExplicitVocab(["a"], ffjax.ExplicitIndexer([]))),
    "floret": (vocabs.read_floret, builders.vocab("floret")),
    "dense": (arrays.read_matrix, builders.storage(5)),
    "no rows": (arrays.read_matrix, ffjax.NdArray(np.zeros((0, 3), np.float32))),
    "no dims": (arrays.read_matrix, ffjax.NdArray(np.zeros((3, 0), np.float32))),
    "pq": (arrays.read_quantized, builders.storage(5, kind="pq")),
    "opq": (arrays.read_quantized, builders.storage(5, kind="opq")),
    "pq_norms": (arrays.read_quantized, builders.storage(5, kind="pq_norms")),
    "no codes": (arrays.read_quantized, builders.storage(0, kind="pq_norms")),
    "norms": (arrays.read_norms, ffjax.Norms(np.array([1.0, 2.5, np.nan], np.float32))),
    "no norms": (arrays.read_norms, ffjax.Norms(np.zeros(0, np.float32))),
}


def written(value, position: int = 0) -> bytes:
    """The chunk as it is written at a position."""
    file = io.BytesIO()
    write_chunk(Output(file, position), value)
    return file.getvalue()


def read_back(read, data: bytes, position: int = 0):
    """What a chunk at a position holds."""
    _, body = read_chunk_header(Cursor(fifu.memory(data), position))
    value = read(body)
    body.finish()
    return value


def same(a, b) -> bool:
    """Equality in which NaN equals NaN."""
    return a == b and (not isinstance(a, ffjax.Norms | ffjax.Storage) or equal(a, b))


@pytest.mark.parametrize("name", CHUNKS)
@pytest.mark.parametrize("position", range(16))
def test_lengths_and_contents_are_right_wherever_a_chunk_stands(name, position):
    read, value = CHUNKS[name]
    data = written(value, position)
    _, length = struct.unpack_from("<IQ", data)
    assert len(data) == 12 + length
    file = b"?" * position + data
    identifier, body = read_chunk_header(Cursor(fifu.memory(file), position))
    assert same(read(body), value)
    assert body.position == body.end == len(file)
    if identifier in (ChunkId.NdArray, ChunkId.NdNorms, ChunkId.QuantizedArray):
        fields = {ChunkId.NdArray: 16, ChunkId.NdNorms: 12, ChunkId.QuantizedArray: 36}[identifier]
        padding = 4 - (position + 12 + fields) % 4
        assert not any(data[12 + fields : 12 + fields + padding])
        n_floats = (length - fields - padding) // 4
        if identifier == ChunkId.NdArray and n_floats:
            assert np.frombuffer(data, "<f4", n_floats, 12 + fields + padding)[0] == value[0][0]


@pytest.mark.parametrize("name", CHUNKS)
@pytest.mark.parametrize("length", [-1, 1])
def test_a_length_that_is_off_by_one_is_refused(name, length):
    read, value = CHUNKS[name]
    data = bytearray(written(value) + b" ")
    (right,) = struct.unpack_from("<Q", data, 4)
    if right + length < 0:
        pytest.skip("no length is less than nothing")
    struct.pack_into("<Q", data, 4, right + length)
    if read is read_metadata:
        # Its text goes to the end of the chunk: a blank more or a line break less is TOML too.
        read_back(read, bytes(data))
        return
    with pytest.raises(FinalfusionFormatError, match="expected .*, got "):
        read_back(read, bytes(data))


# Layouts, against files put together by hand


def test_simple_vocab_layout():
    assert written(ffjax.SimpleVocab(["a", "", "Zürich"])) == fifu.simple("a", "", "Zürich")


def test_bucket_vocab_stores_the_exponent():
    vocab = ffjax.FinalfusionBucketVocab(["a", "bc"], ffjax.FinalfusionHashIndexer(7, 2, 4))
    expected = fifu.chunk(3, struct.pack("<QIII", 2, 2, 4, 7) + fifu.words("a", "bc"))
    assert written(vocab) == expected


def test_fasttext_vocab_stores_the_number_of_buckets():
    vocab = ffjax.FastTextVocab(["a", "bc"], ffjax.FastTextIndexer(129, 2, 4))
    expected = fifu.chunk(7, struct.pack("<QIII", 2, 2, 4, 129) + fifu.words("a", "bc"))
    assert written(vocab) == expected


def test_explicit_vocab_layout_and_shared_rows():
    rows = {"<a": 0, "a>": 1, "<b": 0}
    vocab = ffjax.ExplicitVocab(["a"], ffjax.ExplicitIndexer(list(rows), 2, 3, rows))
    expected = fifu.chunk(8, struct.pack("<QQII", 1, 3, 2, 3) + fifu.words("a") + fifu.ngrams(rows))
    assert written(vocab) == expected
    again = read_back(vocabs.read_explicit, expected)
    assert dict(again.subword_indexer.ngram_index) == rows
    assert again.upper_bound == 3


def test_floret_vocab_layout():
    vocab = ffjax.FloretVocab(ffjax.FloretIndexer(50, 2, 3, 2, 7), bow="«", eow="]")
    expected = fifu.chunk(9, struct.pack("<IIQII", 2, 3, 50, 2, 7) + fifu.words("«", "]"))
    assert written(vocab) == expected


def test_finalfusion_takes_all_ngrams_of_one_character():
    body = struct.pack("<IIQII", 1, 3, 50, 2, 7) + fifu.words("<", ">")
    assert (
        read_back(vocabs.read_floret, fifu.chunk(9, body)).subword_indexer.skip_edge_unigrams
        is False
    )
    body = struct.pack("<QIII", 1, 1, 3, 50) + fifu.words("a")
    assert (
        read_back(
            vocabs.read_fasttext, fifu.chunk(7, body)
        ).subword_indexer.skip_edge_unigrams
        is False
    )


@pytest.mark.parametrize("position", range(4))
def test_matrix_and_norms_layout(position):
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert written(ffjax.NdArray(array), position) == fifu.matrix(position, array)
    assert written(ffjax.Norms(array[:, 0]), position) == fifu.norms(position, array[:, 0])


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("kind", ["pq", "opq", "pq_norms"])
def test_quantized_layout(position, kind):
    storage = builders.storage(5, kind=kind)
    fields = struct.pack("<IIIIIQII", kind == "opq", kind == "pq_norms", 3, 6, 8, 5, 1, 10)
    parts = [storage.projection, storage.codebooks, storage.norms]
    numbers = np.concatenate([np.asarray(part).reshape(-1) for part in parts if part is not None])
    body = fifu.floats(position, fields, numbers) + np.asarray(storage.codes).tobytes()
    assert written(storage, position) == fifu.chunk(4, body)


def test_metadata_keeps_its_text():
    text = "# why not\n[ a ]\nb   = 1 # one\n"
    data = fifu.chunk(5, text.encode())
    found = read_back(read_metadata, data)
    assert found.toml == text
    assert dict(found) == {"a": {"b": 1}}
    assert written(found) == data


def test_headers():
    file = io.BytesIO()
    write_header(Output(file), [ChunkId.Metadata, ChunkId.NdArray])
    assert file.getvalue() == fifu.header(5, 2)
    cursor = Cursor(fifu.memory(file.getvalue() + b"more"))
    assert read_header(cursor) == [ChunkId.Metadata, ChunkId.NdArray]
    assert cursor.position == 20


@pytest.mark.parametrize("count", [0, MAX_CHUNKS + 1])
def test_a_header_lists_some_chunks_but_not_too_many(count):
    data = fifu.header(*[2] * count)
    with pytest.raises(
        FinalfusionFormatError,
        match=f"byte 8: header: number of chunks: expected 1 to 256, got {count}",
    ):
        read_header(Cursor(fifu.memory(data)))


# Round trips


@given(text_lists)
def test_words_come_back(words):
    vocab = ffjax.SimpleVocab(words)
    assert read_back(vocabs.read_simple, written(vocab)).words == words


@given(text_lists, st.integers(1, 63), st.integers(1, 9), st.integers(0, 9))
def test_bucket_vocabularies_come_back(words, exponent, min_n, more):
    vocab = ffjax.FinalfusionBucketVocab(
        words, ffjax.FinalfusionHashIndexer(exponent, min_n, min_n + more)
    )
    again = read_back(vocabs.read_buckets, written(vocab))
    assert again == vocab and again.words == words


@given(text_lists, st.integers(1, 2**32 - 1), st.integers(1, 9), st.integers(0, 9))
def test_fasttext_vocabularies_come_back(words, buckets, min_n, more):
    vocab = ffjax.FastTextVocab(words, ffjax.FastTextIndexer(buckets, min_n, min_n + more))
    again = read_back(vocabs.read_fasttext, written(vocab))
    assert again == vocab and again.words == words


@given(text_lists, text_lists, st.data())
def test_explicit_vocabularies_come_back(words, ngrams, data):
    largest = data.draw(st.integers(0, max(0, len(ngrams) - 1)))
    rows = [*range(largest + 1), *(data.draw(st.integers(0, largest)) for _ in ngrams)][
        : len(ngrams)
    ]
    rows = data.draw(st.permutations(rows))
    vocab = ffjax.ExplicitVocab(
        words, ffjax.ExplicitIndexer(ngrams, 2, 4, dict(zip(ngrams, rows, strict=True)))
    )
    again = read_back(vocabs.read_explicit, written(vocab))
    assert again == vocab
    assert dict(again.subword_indexer.ngram_index) == dict(zip(ngrams, rows, strict=True))


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(0, 6)), elements=floats32),
    st.integers(0, 15),
)
def test_matrices_come_back_bit_by_bit(matrix, position):
    data = written(ffjax.NdArray(matrix), position)
    again = read_back(arrays.read_matrix, b"?" * position + data, position)
    assert again.shape == matrix.shape
    assert np.asarray(again.matrix).tobytes() == matrix.tobytes()


@given(hnp.arrays(np.float32, st.integers(0, 9), elements=floats32), st.integers(0, 15))
def test_norms_come_back_bit_by_bit(array, position):
    data = written(ffjax.Norms(array), position)
    assert (
        np.asarray(read_back(arrays.read_norms, b"?" * position + data, position)).tobytes()
        == array.tobytes()
    )


@given(st.data())
def test_quantized_matrices_come_back(data):
    number, each, centroids = (data.draw(st.integers(least, 4)) for least in (1, 0, 1))
    rows = data.draw(st.integers(0, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    dims = number * each
    projection = (
        rng.standard_normal((dims, dims)).astype(np.float32) if data.draw(st.booleans()) else None
    )
    lengths = rng.standard_normal(rows).astype(np.float32) if data.draw(st.booleans()) else None
    books = rng.standard_normal((number, centroids, each)).astype(np.float32)
    codes = rng.integers(0, centroids, (rows, number)).astype(np.uint8)
    storage = ffjax.QuantizedArray(ffjax.PQ(books, projection), codes, lengths)
    position = data.draw(st.integers(0, 15))
    raw = written(storage, position)
    assert read_back(arrays.read_quantized, b"?" * position + raw, position) == storage


toml = st.recursive(
    st.one_of(
        st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False)
    ),
    lambda values: st.one_of(
        st.lists(values, max_size=3), st.dictionaries(st.text(), values, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), toml, max_size=4))
def test_metadata_come_back(values):
    found = read_back(read_metadata, written(ffjax.Metadata(values)))
    assert dict(found) == values


# Where arrays are


@pytest.mark.devices
def test_a_matrix_on_another_device_or_sharded_is_written_in_blocks(monkeypatch):
    if len(jax.devices()) < 8:
        pytest.skip("needs eight devices")
    monkeypatch.setattr(arrays, "_BLOCK_BYTES", 64)
    array = np.arange(80, dtype=np.float32).reshape(16, 5)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
    sharded = jax.device_put(
        array, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    )
    assert written(ffjax.NdArray(sharded)) == fifu.matrix(0, array)
    assert written(ffjax.NdArray(jnp.asarray(array))) == fifu.matrix(0, array)


def test_what_is_read_is_on_the_device():
    for read, value in CHUNKS.values():
        leaves = jax.tree.leaves(read_back(read, written(value)))
        assert all(isinstance(leaf, jax.Array) for leaf in leaves)


@pytest.mark.parametrize("name", CHUNKS)
def test_parts_write_themselves(name, tmp_path):
    value = CHUNKS[name][1]
    path = tmp_path / "part.fifu"
    value.write(path)
    loaders = (ffjax.load_metadata, ffjax.load_vocab, ffjax.load_storage, ffjax.load_norms)
    kinds = (ffjax.Metadata, ffjax.vocab.Vocab, ffjax.storage.Storage, ffjax.Norms)
    (load,) = (load for load, kind in zip(loaders, kinds, strict=True) if isinstance(value, kind))
    assert load(path) == value
