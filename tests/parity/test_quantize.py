"""Trained quantizers beside faiss, and in the real finalfusion package."""

import jax
import numpy as np
import pytest

import ffjax

WORDS = [f"word{i}" for i in range(400)] + ["Straße", "東京"]


def rows(n, dims=16, seed=0):
    """Rows with few directions that matter, as those of words have."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dims, dims)) * np.linspace(2, 0.2, dims)[:, None]
    return (rng.standard_normal((n, dims)) @ mixing).astype(np.float32)


@pytest.mark.parametrize("method", ["pq", "opq"])
@pytest.mark.parametrize("subwords", [False, True])
def test_finalfusion_reads_the_same_vectors(tmp_path, method, subwords):
    ff = pytest.importorskip("finalfusion")
    # As many rows in both, so that they share the programs that train.
    vocab = ffjax.SimpleVocab([*WORDS, *(f"further{i}" for i in range(2**6))])
    if subwords:
        vocab = ffjax.FinalfusionBucketVocab(WORDS, ffjax.FinalfusionHashIndexer(6))
    matrix = rows(vocab.upper_bound)
    emb = ffjax.Embeddings(ffjax.NdArray(matrix), vocab)
    small, quality = ffjax.quantize(emb, method, bits=6, iterations=5)
    small.write(tmp_path / "small.fifu")
    theirs = ff.load_finalfusion(str(tmp_path / "small.fifu"))
    assert isinstance(theirs.storage, ff.storage.QuantizedArray)
    assert theirs.storage.quantized_len == 8
    assert (theirs.storage.quantizer.projection is not None) == (method == "opq")
    for word in [*WORDS[::40], "東京", *(["word9999", "Straßen"] if subwords else [])]:
        np.testing.assert_allclose(small[word], theirs.embedding(word), rtol=1e-5, atol=1e-5)
    peers = np.stack([theirs.storage[row] for row in range(vocab.upper_bound)])
    np.testing.assert_allclose(np.asarray(small.storage), peers, rtol=1e-5, atol=1e-5)
    error = ((peers - matrix) ** 2).mean()
    np.testing.assert_allclose(quality.mean_squared_error, error, rtol=1e-4)


@pytest.fixture
def faiss():
    """The module faiss on one thread: its threads slow each other down under pytest-xdist."""
    module = pytest.importorskip("faiss")
    threads = module.omp_get_max_threads()
    module.omp_set_num_threads(1)
    yield module
    module.omp_set_num_threads(threads)


@pytest.mark.parametrize("method", ["pq", "opq"])
def test_no_more_is_lost_than_by_faiss(faiss, method):
    matrix, ours, theirs = rows(2048), [], []
    emb = ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(list(map(str, range(2048)))))
    for seed in range(2):
        storage = ffjax.quantize(
            emb,
            method,
            subquantizers=8,
            bits=5,
            iterations=10,
            key=jax.random.key(seed),
            normalize=False,
        ).embeddings.storage
        ours.append(((np.asarray(storage) - matrix) ** 2).sum(1).mean())
        turned = matrix
        if method == "opq":
            rotation = faiss.OPQMatrix(16, 8)
            rotation.niter, rotation.pq = 10, faiss.ProductQuantizer(16, 8, 5)
            rotation.train(matrix)
            turned = rotation.apply(matrix)
        peer = faiss.ProductQuantizer(16, 8, 5)
        peer.cp.seed, peer.cp.niter = seed, 10
        peer.train(turned)
        theirs.append(((peer.decode(peer.compute_codes(turned)) - turned) ** 2).sum(1).mean())
    assert np.mean(ours) <= np.mean(theirs)
