"""Snapshots keep every value bit for bit, and nothing else is read as one."""

import jax
import jax.numpy as jnp
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import ffjax
from ffjax.formats.snapshot import arrays as snapshot_arrays
from tests.builders import ALL_STORAGES, VOCABS, WORDS, embeddings, storage
from tests.formats.fasttext import files as fasttext_files
from tests.fuzz.reference import with_checksum

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)


def exactly(one, other) -> None:
    """The same leaves bit for bit, NaN and the sign of zero too, and the same structure."""
    assert one == other
    (left, shape), (right, others) = jax.tree.flatten(one), jax.tree.flatten(other)
    assert shape == others
    for x, y in zip(left, right, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes())


def again(emb: ffjax.Embeddings) -> ffjax.Embeddings:
    data = ffjax.to_bytes(emb)
    read = ffjax.from_bytes(data)
    assert ffjax.to_bytes(read) == data
    return read


def of(rows: int, store: ffjax.Storage) -> ffjax.Embeddings:
    return ffjax.Embeddings(store, ffjax.SimpleVocab([f"w{i}" for i in range(rows)]))


@pytest.mark.parametrize("vocab", VOCABS)
@pytest.mark.parametrize("kind", ALL_STORAGES)
def test_every_vocabulary_and_storage(vocab, kind):
    emb = embeddings(vocab, kind, metadata={"a": [1, {"b": "ü"}]})
    exactly(again(emb), emb)
    exactly(again(emb.replace(norms=None, metadata=None)), emb.replace(norms=None, metadata=None))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_every_float(dtype):
    numbers = [[0.0, -0.0, np.nan], [np.inf, -np.inf, 1e-7]]
    emb = of(2, ffjax.NdArray(jnp.array(numbers, dtype)))
    exactly(again(emb), emb)
    assert again(emb).storage.dtype == dtype


def test_words_that_share_rows_and_words_of_any_bytes():
    rows = [1, 0, 1, 0, 0]
    table = ffjax.StringTable.from_strings(["a", "", "ü", b"\xff\x00", "x" * 3000])
    for vocab in (
        ffjax.SimpleVocab(table, rows=rows),
        ffjax.FinalfusionBucketVocab(table, ffjax.FinalfusionHashIndexer(4, 2, 3), rows=rows),
        ffjax.FastTextVocab(
            table, ffjax.FastTextIndexer(5, 2, 3, skip_edge_unigrams=True), rows=rows
        ),
        ffjax.ExplicitVocab(
            table, ffjax.ExplicitIndexer(["ab", "ü"], 1, 2, np.array([0, 0])), rows=rows
        ),
    ):
        emb = ffjax.Embeddings(
            storage(vocab.upper_bound), vocab, ffjax.Norms(np.array([1, np.nan], np.float32))
        )
        exactly(again(emb), emb)
    for word_rows in (None, rows):
        pruned = (
            embeddings("buckets").replace(norms=None)
            if word_rows is None
            else ffjax.prune(embeddings(), 3)[0]
        )
        exactly(again(pruned), pruned)


def test_models_of_fasttext(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext_files.model(["tea", "pot", "cr\u00e8me"], dims=4, buckets=20))
    for mmap in (False, True):
        emb = ffjax.load(path, mmap=mmap)
        exactly(again(emb), emb)
        assert type(again(emb).storage) is type(emb.storage)
    indexer = ffjax.PrunedIndexer(ffjax.FastTextIndexer(100, 3, 4, bare_eos=True), [70, 3, 41])
    words = ffjax.StringTable.from_strings(["tea", "pot"])
    composed = ffjax.ComposedArray(storage(2), words, storage(3, kind="pq_norms"), indexer)
    training = ffjax.TrainingState(
        [2**40, 0],
        n_tokens=2**50,
        labels=["__label__a", "__label__ü"],
        label_counts=[7, 1],
        output=storage(2, kind="opq"),
        word_ngrams=storage(2, kind="pq"),
        word_ngram_buckets=[5, 3],
        original=storage(2),
        version=11,
    )
    emb = ffjax.Embeddings(composed, ffjax.FastTextVocab(words, indexer), training=training)
    exactly(again(emb), emb)
    assert again(emb).training.counts.tolist() == [2**40, 0]


def test_nothing_at_all():
    for emb in (
        of(0, storage(0)),
        of(0, storage(0, kind="int8")),
        of(3, ffjax.NdArray(np.zeros((3, 0), np.float32))),
    ):
        exactly(again(emb), emb)


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["dense", "opq", "pq_norms", "int8"])
def test_rows_on_several_devices_come_back_on_one(kind):
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("rows",)), PartitionSpec("rows"))
    rows = storage(5, kind=kind)
    exactly(again(of(5, ffjax.ShardedArray(rows, sharding))), of(5, rows))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9), unique=True, max_size=8
    ),
    st.sampled_from([np.float32, np.float16]),
    st.data(),
)
def test_any_words_and_numbers(words, dtype, data):
    matrix = data.draw(arrays.arrays(dtype, (len(words), 2)))
    emb = ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(words))
    exactly(again(emb), emb)


def test_flax_reads_it_and_what_flax_writes_is_read(monkeypatch):
    serialization = pytest.importorskip("flax.serialization")
    for most in (1 << 30, 64):  # arrays in one piece, and in chunks
        monkeypatch.setattr(snapshot_arrays, "MAX_CHUNK_BYTES", most)
        monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", most)
        for kind in ("dense", "opq", "int8"):
            emb = embeddings("fasttext", kind, metadata={"a": 1})
            emb = (
                emb
                if kind != "dense"
                else emb.replace(storage=ffjax.NdArray(emb.storage.matrix.astype("bfloat16")))
            )
            data = ffjax.to_bytes(emb)
            restored = serialization.msgpack_restore(data)
            held = restored["snapshot"]["storage"]
            rows = held["matrix" if kind == "dense" else "codes"]
            np.testing.assert_array_equal(
                rows, jax.tree.leaves(emb.storage.codes if kind != "dense" else emb.storage)[0]
            )
            assert serialization.msgpack_serialize(restored) == data
            exactly(ffjax.from_bytes(serialization.msgpack_serialize(restored)), emb)
            assert (b"__msgpack_chunked_array__" in data) == (most == 64)


def test_msgpack_alone_reads_it():
    def array(code, data):
        shape, name, raw = msgpack.unpackb(data)
        return code, tuple(shape), name, raw

    data = ffjax.to_bytes(of(2, ffjax.NdArray(MATRIX)))
    tree = msgpack.unpackb(data, ext_hook=array)
    assert list(tree) == ["ffjax", "snapshot", "zlib_crc32"] and tree["ffjax"] == 1
    assert tree["snapshot"]["storage"] == {
        "kind": "NdArray",
        "matrix": (1, (2, 3), "float32", MATRIX.tobytes()),
    }
    assert tree["snapshot"]["vocab"]["words"]["bytes"][3] == b"w0w1"


def test_files(tmp_path):
    emb = ffjax.prune(embeddings("fasttext", "int8", metadata={"a": 1}), 4).embeddings
    path = tmp_path / "words.msgpack"
    ffjax.save(emb, path)
    assert path.read_bytes() == ffjax.to_bytes(emb)
    for mmap in (False, True):
        exactly(ffjax.load(path, mmap=mmap), emb)
    exactly(ffjax.load(path, format="msgpack"), emb)
    assert ffjax.load(path, limit=3) == ffjax.select_words(emb, WORDS[:3])
    ffjax.save(emb, tmp_path / "x", format="msgpack", unshare_rows=True)
    assert ffjax.load(tmp_path / "x") == ffjax.unshare_rows(emb)
    ffjax.convert(path, tmp_path / "words.w2v", leave_out=True)
    assert ffjax.load(tmp_path / "words.w2v").vocab.words == WORDS
    dense = embeddings("buckets")
    dense.write(tmp_path / "dense.fifu")
    ffjax.convert(tmp_path / "dense.fifu", tmp_path / "dense.msgpack")
    ffjax.convert(tmp_path / "dense.msgpack", tmp_path / "again.fifu")
    assert (tmp_path / "again.fifu").read_bytes() == (tmp_path / "dense.fifu").read_bytes()


@pytest.mark.usefixtures("as_users_see")
def test_a_value_that_cannot_be_kept_makes_no_file(tmp_path):
    class Other(ffjax.NdArray):
        pass

    Rows = type(
        "Rows",
        (ffjax.Storage,),
        {name: getattr(Other, name) for name in ffjax.Storage.__abstractmethods__},
    )
    rows = object.__new__(Rows)
    object.__setattr__(rows, "matrix", jnp.asarray(MATRIX))
    with pytest.raises(
        TypeError, match="expected values that snapshots can hold, got Rows.*NdArray"
    ):
        ffjax.save(of(2, rows), tmp_path / "x.msgpack")
    with pytest.raises(TypeError, match="`embeddings`: expected Embeddings, such as .*, got int"):
        ffjax.to_bytes(3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("vocab", ["simple", "explicit"])
def test_no_shorter_file_is_a_snapshot(vocab, tmp_path):
    data = ffjax.to_bytes(embeddings(vocab, "pq", metadata={"a": 1}))
    for size in range(len(data)):
        for cut in (data[:size], with_checksum(data[:size])) if size % 7 == 0 else (data[:size],):
            with pytest.raises(ffjax.FormatError, match="snapshot"):
                ffjax.from_bytes(cut)
    path = tmp_path / "cut.msgpack"
    path.write_bytes(data[:-1])
    with pytest.raises(
        ffjax.FormatError, match=r"cut\.msgpack: byte \d+: snapshot: zlib_crc32: .*truncated"
    ):
        ffjax.load(path)


def test_no_bit_flips_unseen():
    data = ffjax.to_bytes(embeddings("fasttext", "int8", metadata={"a": 1}))
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(ffjax.FormatError, match="snapshot: (magic|version|zlib_crc32)"):
            ffjax.from_bytes(flipped)
