"""The contract of storages within embeddings: words, gradients, transforms, files."""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.pytree import field_names
from ffjax.cli import main
from tests.builders import storage, vocab
from tests.storage.test_contract import (
    DIMS,
    RNG,
    ROWS,
    STORAGES,
    definition,
    gather,
    gather_sum,
    low_rank,
    toy,
)
from tests.toy import LowRankArray, ToyArray

KNOWN, UNKNOWN = ["Paris", "a", "Paris"], ["Pariserin", "teapots", "xyz"]


def over(stored: ffjax.Storage) -> tuple[ffjax.Embeddings, ffjax.Embeddings]:
    """Embeddings over a storage, and over the matrix of its rows."""
    emb = ffjax.Embeddings(stored, vocab("fasttext"), metadata=ffjax.Metadata(a=1))
    return emb, emb.replace(storage=ffjax.NdArray(definition(stored)), norms=None)


@pytest.mark.parametrize("kind", ["bfloat16", "int8", "opq", "composed", "sharded", "toy"])
def test_words_have_the_vectors_of_the_rows(kind):
    stored = STORAGES[kind]()
    emb, dense = over(stored)
    for word in (*KNOWN, *UNKNOWN):
        expected = dense[word].astype(stored.dtype).astype(np.float32)
        np.testing.assert_allclose(np.float32(emb[word]), expected, atol=1e-5)
    packed = ffjax.pack([*KNOWN, *UNKNOWN])
    vectors, found = ffjax.embed(emb, packed)
    tolerance = 1e-5 if stored.dtype == np.float32 else 2e-2
    np.testing.assert_allclose(vectors, ffjax.embed(dense, packed)[0], atol=tolerance)
    assert found[: len(KNOWN + UNKNOWN)].all()
    many, found = emb.embedding_batch([*KNOWN, *UNKNOWN])
    np.testing.assert_allclose(many, dense.embedding_batch([*KNOWN, *UNKNOWN])[0], atol=1e-2)
    assert found.all()


OTHERS = [pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("int8", "pq_norms")]


@pytest.mark.parametrize("kind", ["toy", *OTHERS])
def test_gradients_of_unknown_words_are_those_of_their_rows(kind):
    emb, _ = over(STORAGES[kind]())
    packed = ffjax.pack(UNKNOWN)
    rows = ffjax.encode(emb.vocab, packed)
    weights = jnp.asarray(RNG.standard_normal((len(packed), DIMS)), jnp.float32)

    def loss(function, emb, words):
        vectors = function(emb, words)
        vectors = vectors[0] if isinstance(vectors, tuple) else vectors
        return (vectors * weights).sum()

    def gradient_of(function, words):
        gradient = jax.grad(lambda emb, words: loss(function, emb, words), allow_int=True)
        return jax.jit(gradient)(emb, words)

    ours, theirs = gradient_of(ffjax.embed, packed), gradient_of(ffjax.lookup, rows)
    for name in field_names(type(emb.storage)):
        both = [jax.tree.leaves(getattr(emb.storage, name)) for emb in (ours, theirs)]
        for gradient, expected in zip(*both, strict=True):
            if gradient.dtype != jax.dtypes.float0:
                np.testing.assert_allclose(np.float32(gradient), np.float32(expected), atol=2e-2)
                assert np.abs(np.float32(gradient)).max() > 0


def test_sums_of_another_width_than_the_rows():
    """A storage whose sums grow in three dimensions and have six at last."""
    stored = low_rank()
    emb = ffjax.Embeddings(stored, vocab("fasttext"))
    packed = ffjax.pack([*KNOWN, *UNKNOWN])

    def embed(codes, basis):
        return ffjax.embed(emb.replace(storage=LowRankArray(codes, basis)), packed)[0]

    def dense(codes, basis):
        return ffjax.embed(emb.replace(storage=ffjax.NdArray(codes @ basis)), packed)[0]

    arrays = stored.codes, stored.basis
    plain = emb.replace(storage=ffjax.NdArray(np.asarray(stored.codes @ stored.basis)))
    expected = [plain[word] for word in (*KNOWN, *UNKNOWN)]
    np.testing.assert_allclose(embed(*arrays)[: len(expected)], expected, atol=1e-5)

    def gradients(embed):
        return jax.jit(jax.grad(lambda *arrays: (embed(*arrays) ** 3).sum(), (0, 1)))(*arrays)

    for gradient, expected in zip(gradients(embed), gradients(dense), strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-4)
        assert np.abs(gradient).max() > 0.1


@pytest.mark.parametrize("kind", ["int8", "pq_norms", "composed", "sharded", "toy"])
def test_transforms(kind):
    emb, dense = over(STORAGES[kind]())
    few = ffjax.select_words(emb, ["Berlin", "a"])
    pruned = ffjax.prune(emb, 4).embeddings
    results = [few, pruned, ffjax.unshare_rows(pruned)]
    if kind != "pq_norms":
        vector = np.arange(DIMS, dtype=np.float32)
        results.append(ffjax.add_words(emb, ["new"], vector[None]))
        scale = np.linalg.norm(vector) if emb.norms else 1
        np.testing.assert_allclose(results[-1]["new"], vector / scale, atol=0.05)
    for result in results:
        np.testing.assert_allclose(result["Berlin"], dense["Berlin"], atol=1e-5)
        np.testing.assert_allclose(result["Pariserin"], dense["Pariserin"], atol=1e-5)
        if kind not in ("composed", "sharded"):
            assert type(result.storage) is type(emb.storage)
    if kind not in ("composed", "toy"):
        return
    small, quality = ffjax.quantize(emb, "int8")
    np.testing.assert_allclose(small["Paris"], dense["Paris"], atol=0.05)
    assert quality.mean_cosine > 0.99
    dense_rows = np.asarray(ffjax.reconstruct(emb).storage)
    np.testing.assert_allclose(dense_rows, definition(emb.storage), atol=1e-5)
    assert ffjax.reduce_dims(emb, 3).dims == 3


@pytest.mark.parametrize("kind", ["dense", "int8", "pq", "composed", "toy"])
def test_info_and_files(kind, tmp_path, capfd):
    emb, _ = over(STORAGES[kind]())
    ffjax.save(emb, tmp_path / "x.msgpack")
    assert main(["info", str(tmp_path / "x.msgpack"), "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["rows"], facts["dims"]) == (ROWS, DIMS)
    shown = {"dense": "plain", "composed": "plain", "int8": "int8", "pq": "quantized"}
    assert facts["storage"] == shown.get(kind, type(emb.storage).__name__)


# No rows


@pytest.mark.parametrize("kind", ["dense", "int8", "pq_norms", "opq", "toy"])
def test_no_rows(kind):
    empty = toy(0) if kind == "toy" else storage(0, kind=kind)
    assert empty.shape == (0, DIMS)
    assert not gather(empty, np.zeros(2, np.int32)).any()
    assert not gather_sum(empty, np.zeros((2, 3), np.int32)).any()
    assert np.asarray(empty).shape == (0, DIMS) and list(empty.row_blocks()) == []


def test_the_toy_storage_is_small():
    assert len(inspect.getsource(ToyArray).splitlines()) < 60
