"""Whole files: finalfusion's own, those of the `finalfusion` package, and ffjax's."""

import struct
from pathlib import Path

import jax
import numpy as np
import pytest

import ffjax
from ffjax import FinalfusionFormatError
from ffjax.formats.finalfusion.arrays import read_quantized
from ffjax.formats.finalfusion.header import read_chunk_header
from ffjax.formats.finalfusion.writer import write_chunk
from ffjax.formats.io.binary import Cursor, Output
from tests import builders
from tests.formats.finalfusion import fifu

WORDS = builders.WORDS
WHOLE = ("pq", "pq-check", "quantized", "similarity", "simple_vocab")
# Their headers don't list the norms that follow.
UNLISTED = ("embeddings", "ff_buckets")


def rewritten(embeddings: ffjax.Embeddings, folder: Path) -> bytes:
    """The file that embeddings become."""
    embeddings.write(folder / "rewritten.fifu")
    return (folder / "rewritten.fifu").read_bytes()


def peer_matrix(embeddings) -> np.ndarray:
    """All rows of the peer's storage (NumPy 2 warns if a quantized one is taken for an array)."""
    storage = embeddings.storage
    return storage.embedding(slice(None)) if hasattr(storage, "quantizer") else np.array(storage)


# finalfusion's own files


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_read_and_written_is_the_same_file(finalfusion_files, tmp_path, name, mmap):
    path = finalfusion_files / f"{name}.fifu"
    assert rewritten(ffjax.load_finalfusion(path, mmap=mmap), tmp_path) == path.read_bytes()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", UNLISTED)
def test_norms_that_the_header_leaves_out_are_read_and_listed_again(
    finalfusion_files, tmp_path, name, mmap
):
    data = (finalfusion_files / f"{name}.fifu").read_bytes()
    embeddings = ffjax.load_finalfusion(finalfusion_files / f"{name}.fifu", mmap=mmap)
    assert embeddings.norms is not None
    (count,) = struct.unpack_from("<I", data, 8)
    end = 12 + 4 * count
    # One identifier more moves everything by four bytes, so padding stays as it is.
    expected = fifu.header(*struct.unpack_from(f"<{count}I", data, 12), 6) + data[end:]
    again = rewritten(embeddings, tmp_path)
    assert again == expected
    assert ffjax.load_finalfusion(tmp_path / "rewritten.fifu") == embeddings
    assert rewritten(ffjax.load_finalfusion(tmp_path / "rewritten.fifu"), tmp_path) == again


@pytest.mark.parametrize("name", [*WHOLE, *UNLISTED])
def test_finalfusion_reads_the_same_from_what_we_write(finalfusion_files, tmp_path, name):
    ff = pytest.importorskip("finalfusion")
    path = finalfusion_files / f"{name}.fifu"
    rewritten(ffjax.load_finalfusion(path), tmp_path)
    theirs = ff.load_finalfusion(str(path))
    again = ff.load_finalfusion(str(tmp_path / "rewritten.fifu"))
    assert again.vocab.words == theirs.vocab.words
    assert again.metadata == theirs.metadata
    np.testing.assert_array_equal(peer_matrix(again), peer_matrix(theirs))
    assert (again.norms is None) == (theirs.norms is None)
    if theirs.norms is not None:
        np.testing.assert_array_equal(np.array(again.norms), np.array(theirs.norms))


def test_a_chunk_without_a_file_around_it(finalfusion_files):
    import io

    # finalfusion-rust keeps this chunk by itself, without a header.
    data = (finalfusion_files / "quantized_storage.bin").read_bytes()
    _, body = read_chunk_header(Cursor(fifu.memory(data)))
    storage = read_quantized(body)
    assert body.position == len(data)
    out = io.BytesIO()
    write_chunk(Output(out), storage)
    assert out.getvalue() == data


def test_contents_of_a_real_file(finalfusion_files):
    # `embeddings.txt` is the same embeddings as text, rows not scaled to unit length.
    lines = (finalfusion_files / "embeddings.txt").read_text().splitlines()
    embeddings = ffjax.load_finalfusion(finalfusion_files / "embeddings.fifu")
    assert embeddings.vocab.words == [line.split(" ")[0] for line in lines]
    for line in lines:
        word, *numbers = line.split(" ")
        vector, norm = embeddings.embedding_with_norm(word)
        np.testing.assert_allclose(vector * norm, np.array(numbers, np.float32), rtol=1e-6)


# Files of the package from PyPI


def peer_vocab(ff, kind: str):
    if kind == "simple":
        return ff.vocab.SimpleVocab(list(WORDS))
    if kind == "buckets":
        return ff.vocab.FinalfusionBucketVocab(
            list(WORDS), ff.subword.FinalfusionHashIndexer(6, 2, 5)
        )
    if kind == "fasttext":
        return ff.vocab.FastTextVocab(list(WORDS), ff.subword.FastTextIndexer(61, 2, 5))
    return peer_vocab(ff, "buckets").to_explicit()


def peer_storage(ff, kind: str, rows: int):
    rng = np.random.default_rng(0)
    if kind == "dense":
        return ff.storage.NdArray(rng.standard_normal((rows, 6)).astype(np.float32))
    books = rng.standard_normal((3, 16, 2)).astype(np.float32)
    projection = rng.standard_normal((6, 6)).astype(np.float32) if kind == "opq" else None
    norms = rng.uniform(1, 2, rows).astype(np.float32) if kind == "pq_norms" else None
    codes = rng.integers(0, 16, (rows, 3)).astype(np.uint8)
    return ff.storage.QuantizedArray(ff.storage.quantized.PQ(books, projection), codes, norms)


@pytest.fixture(
    scope="module",
    params=[(v, s) for v in builders.VOCABS[:4] for s in builders.STORAGES],
    ids="-".join,
)
def peer_file(request, tmp_path_factory):
    """A file that the `finalfusion` package wrote, for each kind of vocabulary and storage."""
    ff = pytest.importorskip("finalfusion")
    vocab = peer_vocab(ff, request.param[0])
    path = tmp_path_factory.mktemp("peer") / "peer.fifu"
    norms = np.arange(1, len(vocab) + 1, dtype=np.float32)
    storage = peer_storage(ff, request.param[1], vocab.upper_bound)
    metadata = ff.metadata.Metadata({"made": {"by": "finalfusion", "äöü": [1, 2]}})
    ff.Embeddings(storage, vocab, ff.norms.Norms(norms), metadata).write(str(path))
    return path


@pytest.mark.parametrize("mmap", [False, True])
def test_files_of_finalfusion_stay_the_same(peer_file, tmp_path, mmap):
    ff = pytest.importorskip("finalfusion")
    embeddings = ffjax.load_finalfusion(peer_file, mmap=mmap)
    theirs = ff.load_finalfusion(str(peer_file))
    assert embeddings.vocab.words == theirs.vocab.words
    np.testing.assert_array_equal(embeddings.norms, np.array(theirs.norms))
    assert embeddings.metadata == dict(theirs.metadata)
    # Quantized rows are reconstructed by both; matrix products round differently.
    np.testing.assert_allclose(
        np.asarray(embeddings.storage), peer_matrix(theirs), rtol=1e-5, atol=1e-6
    )
    assert rewritten(embeddings, tmp_path) == peer_file.read_bytes()


def test_an_explicit_vocabulary_of_too_short_a_length_is_read_and_written_back(tmp_path):
    ff = pytest.importorskip("finalfusion")
    peer_vocab(ff, "explicit").write(str(tmp_path / "peer.fifu"))
    wrong = (tmp_path / "peer.fifu").read_bytes()
    vocab = ffjax.load_vocab(tmp_path / "peer.fifu")
    ngrams = len(vocab.subword_indexer)
    (declared,) = struct.unpack_from("<Q", wrong, 20)
    assert declared == len(wrong) - 28 - 8 * ngrams  # finalfusion-python forgets the rows
    ffjax.write_chunks(tmp_path / "ours.fifu", [vocab])
    assert (tmp_path / "ours.fifu").read_bytes() == wrong
    # A vocabulary that comes from elsewhere has the right length.
    equal = ffjax.ExplicitVocab(vocab.words, vocab.subword_indexer)
    ffjax.write_chunks(tmp_path / "right.fifu", [equal])
    right = (tmp_path / "right.fifu").read_bytes()
    assert struct.unpack_from("<Q", right, 20) == (len(right) - 28,)
    assert right[:20] + right[28:] == wrong[:20] + wrong[28:]
    assert ff.load_vocab(str(tmp_path / "ours.fifu")) == peer_vocab(ff, "explicit")
    # A number of n-grams that does not explain the length does not save it.
    (tmp_path / "bad.fifu").write_bytes(wrong[:20] + struct.pack("<Q", declared - 8) + wrong[28:])
    with pytest.raises(FinalfusionFormatError, match="expected .*, got "):
        ffjax.load_vocab(tmp_path / "bad.fifu")


def test_chunks_of_finalfusion_by_themselves(tmp_path):
    ff = pytest.importorskip("finalfusion")
    ours, theirs = tmp_path / "ours.fifu", tmp_path / "theirs.fifu"

    def compare(load, chunk):
        chunk.write(str(theirs))
        ffjax.write_chunks(ours, [load(theirs)])
        assert ours.read_bytes() == theirs.read_bytes()

    for kind in builders.VOCABS[:4]:
        compare(ffjax.load_vocab, peer_vocab(ff, kind))
    for kind in builders.STORAGES:
        compare(ffjax.load_storage, peer_storage(ff, kind, 7))
    compare(ffjax.load_norms, ff.norms.Norms(np.arange(3, dtype=np.float32)))
    compare(ffjax.load_metadata, ff.metadata.Metadata({"a": 1}))


# ffjax's own


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("storage", builders.STORAGES)
@pytest.mark.parametrize("vocab", builders.VOCABS)
def test_embeddings_come_back(tmp_path, vocab, storage, mmap):
    for metadata, norms in (({"a": 1}, True), (None, False)):
        embeddings = builders.embeddings(vocab, storage, metadata=metadata, norms=norms)
        embeddings.write(tmp_path / "x.fifu")
        again = ffjax.load_finalfusion(tmp_path / "x.fifu", mmap=mmap)
        assert again == embeddings
        assert type(again.vocab) is type(embeddings.vocab)
        assert rewritten(again, tmp_path) == (tmp_path / "x.fifu").read_bytes()


@pytest.mark.parametrize("storage", builders.STORAGES)
def test_mapping_maps_what_is_large_and_nothing_else(tmp_path, storage):
    builders.embeddings("buckets", storage).write(tmp_path / "x.fifu")
    mapped = ffjax.load_finalfusion(tmp_path / "x.fifu", mmap=True)
    leaves = jax.tree_util.tree_leaves_with_path(mapped)
    in_maps = [jax.tree_util.keystr(path) for path, leaf in leaves if isinstance(leaf, np.memmap)]
    assert in_maps == [".storage.matrix" if storage == "dense" else ".storage.codes"]
    assert all(isinstance(leaf, np.memmap | jax.Array) for _, leaf in leaves)
    loaded = ffjax.load_finalfusion(tmp_path / "x.fifu")
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded))
    np.testing.assert_allclose(mapped["Berlin"], loaded["Berlin"], rtol=1e-6)


def test_a_mapped_file_can_be_written_to_its_own_path(tmp_path):
    path = tmp_path / "x.fifu"
    builders.embeddings().write(path)
    mapped = ffjax.load_finalfusion(path, mmap=True)
    before = np.array(mapped["Berlin"])
    mapped.replace(norms=None).write(path)
    np.testing.assert_array_equal(mapped["Berlin"], before)
    np.testing.assert_array_equal(ffjax.load_finalfusion(path)["Berlin"], before)


def test_empty_embeddings_come_back(tmp_path):
    for shape in ((0, 3), (0, 0)):
        embeddings = ffjax.Embeddings(
            ffjax.NdArray(np.zeros(shape, np.float32)), ffjax.SimpleVocab([])
        )
        embeddings.write(tmp_path / "x.fifu")
        for mmap in (False, True):
            assert ffjax.load_finalfusion(tmp_path / "x.fifu", mmap=mmap) == embeddings


def test_single_chunks_are_found_wherever_they_stand(tmp_path):
    path = tmp_path / "x.fifu"
    vocab, storage = builders.vocab("explicit"), builders.storage(3, kind="pq_norms")
    norms, metadata = ffjax.Norms(np.ones(2, np.float32)), ffjax.Metadata({"a": 1})
    other = ffjax.Metadata({"a": 2})
    ffjax.write_chunks(path, [norms, storage, metadata, vocab, other, builders.storage(4)])
    assert ffjax.load_vocab(path) == vocab
    assert ffjax.load_storage(path) == storage == ffjax.load_storage(path, mmap=True)
    assert ffjax.load_norms(path) == norms
    assert ffjax.load_metadata(path)["a"] == 1  # the first


@pytest.mark.parametrize(
    ("load", "what"),
    [
        (ffjax.load_vocab, "a vocabulary"),
        (ffjax.load_storage, "a storage"),
        (ffjax.load_norms, "norms"),
        (ffjax.load_metadata, "metadata"),
    ],
)
def test_what_is_missing_is_named_beside_what_is_there(tmp_path, load, what):
    chunks = {
        "a vocabulary": builders.vocab("simple"),
        "a storage": builders.storage(3),
        "norms": ffjax.Norms(np.ones(2, np.float32)),
        "metadata": ffjax.Metadata({"a": 1}),
    }
    names = {
        "a vocabulary": "SimpleVocab",
        "a storage": "NdArray",
        "norms": "NdNorms",
        "metadata": "Metadata",
    }
    path = tmp_path / "x.fifu"
    ffjax.write_chunks(path, [chunk for name, chunk in chunks.items() if name != what])
    there = ", ".join(name for key, name in names.items() if key != what)
    with pytest.raises(ValueError, match=f"x.fifu: expected {what} in the file, got {there}"):
        load(path)


@pytest.mark.parametrize(
    ("kinds", "expected", "got"),
    [
        (
            "v",
            "a storage after the vocabulary",
            r"the end of the file \(the file has SimpleVocab\)",
        ),
        ("s", "a vocabulary", r"NdArray \(the file has NdArray\)"),
        ("sv", "a vocabulary", "NdArray"),
        ("vms", "a storage after the vocabulary", "Metadata"),
        ("vsm", "nothing more, or norms after the storage", "Metadata"),
        ("vsnn", "nothing more, or norms after the storage", "NdNorms"),
        ("mmvs", "a vocabulary", "Metadata"),
        ("vnsn", "a storage", "NdNorms"),
    ],
)
def test_chunks_that_are_not_embeddings_are_refused(tmp_path, kinds, expected, got):
    chunk = {
        "v": builders.vocab("simple"),
        "s": builders.storage(len(WORDS)),
        "n": ffjax.Norms(np.ones(len(WORDS), np.float32)),
        "m": ffjax.Metadata({"a": 1}),
    }
    path = tmp_path / "x.fifu"
    ffjax.write_chunks(path, [chunk[kind] for kind in kinds])
    with pytest.raises(
        FinalfusionFormatError, match=f"chunks of embeddings: expected {expected}.*, got {got}"
    ):
        ffjax.load_finalfusion(path)
