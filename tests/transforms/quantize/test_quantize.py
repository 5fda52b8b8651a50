"""`quantize` and `reconstruct`, on embeddings of all kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import cases
from tests.formats.fasttext import files as fasttext_files

WORDS = [f"word{i}" for i in range(300)]


def matrix(rows=300, dims=12, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dims)).astype(np.float32)


def embeddings(**settings):
    return ffjax.Embeddings(ffjax.NdArray(matrix(**settings)), ffjax.SimpleVocab(WORDS))


FEW = {"bits": 4, "iterations": 4}


@pytest.mark.parametrize("method", ["pq", "opq"])
def test_rows_are_near_what_they_were(method):
    emb = embeddings()
    small, quality = ffjax.quantize(emb, method, bits=6, iterations=10)
    assert isinstance(small.storage, ffjax.QuantizedArray) and small.vocab is emb.vocab
    assert small.storage.shape == (300, 12) and small.storage.codes.shape == (300, 6)
    assert small.storage.codebooks.shape == (6, 64, 2) and (
        small.storage.projection is not None
    ) == (method == "opq")
    lengths = np.linalg.norm(matrix(), axis=1)
    np.testing.assert_allclose(small.storage.norms, lengths, rtol=1e-6)
    rows, new = matrix(), np.asarray(small.storage)
    np.testing.assert_allclose(quality.mean_squared_error, ((rows - new) ** 2).mean(), rtol=1e-4)
    cosines = (rows * new).sum(1) / lengths / np.linalg.norm(new, axis=1)
    np.testing.assert_allclose(quality.mean_cosine, cosines.mean(), rtol=1e-5)
    assert 0.97 < quality.mean_cosine < 1 and 0.6 < quality.recall <= 1


def test_each_code_is_the_nearest_centroid():
    emb = embeddings()
    storage = ffjax.quantize(emb, "opq", **FEW).embeddings.storage
    unit = matrix() / np.linalg.norm(matrix(), axis=1, keepdims=True)
    parts = (unit @ np.asarray(storage.projection)).reshape(300, 6, 1, 2)
    distances = ((parts - np.asarray(storage.codebooks)) ** 2).sum(-1)
    taken = np.take_along_axis(distances, np.asarray(storage.codes)[..., None].astype(int), 2)[
        ..., 0
    ]
    np.testing.assert_allclose(taken, distances.min(2), rtol=1e-3, atol=1e-6)


def test_the_recall_is_the_share_of_neighbours_that_stay():
    emb = embeddings()
    small, quality = ffjax.quantize(emb, **FEW)  # 256 of 300 rows are asked for
    unit, new = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (matrix(), np.asarray(small.storage))
    )
    best = []
    for rows in (unit, new):
        scores = unit @ rows.T
        np.fill_diagonal(scores, -np.inf)
        best.append(np.argsort(-scores, axis=1)[:, :10])
    expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*best, strict=True)])
    assert abs(quality.recall - expected) < 0.03


def test_the_same_key_gives_the_same_codes():
    emb = embeddings()
    first, second, other = (
        ffjax.quantize(emb, "opq", key=jax.random.key(seed), **FEW) for seed in (1, 1, 2)
    )
    assert first.embeddings == second.embeddings and first.quality == second.quality
    assert first.embeddings != other.embeddings


def test_keys_of_the_older_kind():
    given = [jax.random.key(5), jax.random.PRNGKey(5), np.asarray(jax.random.PRNGKey(5))]
    first, *others = (ffjax.quantize(embeddings(), key=key, **FEW) for key in given)
    assert all(other == first for other in others)


@pytest.mark.parametrize("sizes", cases([(8, 4), (9, 3), (1, 1)], exhaustive=[(2, 1), (15, 5)]))
def test_a_subquantizer_has_two_dimensions_or_three(sizes):
    dims, n_codes = sizes
    small = ffjax.quantize(embeddings(dims=dims), **FEW).embeddings
    assert small.storage.codes.shape == (300, n_codes)


@pytest.mark.parametrize("sizes", cases([(7, "1, 7")], exhaustive=[(25, "1, 5, 25")]))
def test_dimensions_without_a_half_warn(sizes):
    dims, divisors = sizes
    emb = embeddings(dims=dims)
    expected = (
        rf"`subquantizers`: {dims} dimensions .* takes {dims} bytes\. "
        rf"Give `subquantizers` \({divisors}\)"
    )
    with pytest.warns(UserWarning, match=expected):
        small = ffjax.quantize(emb, **FEW).embeddings
    assert small.storage.codes.shape == (300, dims)
    assert (
        ffjax.quantize(emb, subquantizers=dims, **FEW).embeddings == small
    )  # asked for, so no warning


def test_lengths_are_kept_only_where_they_are_needed():
    unit = np.array(ffjax.normalize(jnp.array(matrix()))[0])
    vocab = ffjax.SimpleVocab(WORDS)
    assert (
        ffjax.quantize(ffjax.Embeddings(ffjax.NdArray(unit), vocab), **FEW).embeddings.storage.norms
        is None
    )
    assert ffjax.quantize(embeddings(), normalize=False, **FEW).embeddings.storage.norms is None
    unit[7] = 0
    zero = ffjax.quantize(ffjax.Embeddings(ffjax.NdArray(unit), vocab), **FEW)
    assert zero.embeddings.storage.norms is not None and not zero.embeddings["word7"].any()
    assert np.isfinite(zero.quality).all()


@pytest.mark.parametrize("method", ["pq", "opq"])
def test_more_attempts_are_no_worse(method):
    emb = embeddings(rows=300)
    once, often = (
        ffjax.quantize(emb, method, attempts=n, normalize=False, **FEW).quality
        for n in (1, 5)
    )
    assert often.mean_squared_error <= once.mean_squared_error


def test_progress_is_reported():
    calls = []
    ffjax.quantize(embeddings(), attempts=2, progress=lambda *at: calls.append(at), **FEW)
    assert calls[:2] == [("Reading", 300, 300), ("Training", 0, 1)]
    assert calls[2:10] == [("Training", n, 8) for n in range(1, 9)]
    measured = [
        ("Measuring", 300, 300),
        ("Searching", 0, 2),
        ("Searching", 1, 2),
        ("Searching", 2, 2),
    ]
    assert calls[10:] == [("Encoding", 300, 300), *measured]


def test_blocks_give_the_codes_of_the_whole(monkeypatch):
    whole = ffjax.quantize(embeddings(), **FEW)
    monkeypatch.setattr(
        "ffjax.storage.base._BLOCK_NUMBERS", 12 * 64
    )  # the last of five blocks is not full
    assert ffjax.quantize(embeddings(), **FEW).embeddings == whole.embeddings


def test_subwords_norms_and_metadata_stay(tmp_path):
    indexer = ffjax.FinalfusionHashIndexer(5)
    vocab = ffjax.FinalfusionBucketVocab(WORDS[:40], indexer)
    rows = matrix(40 + 32)
    rows[:40] /= np.linalg.norm(rows[:40], axis=1, keepdims=True)
    norms, metadata = ffjax.Norms(np.arange(1, 41, dtype=np.float32)), ffjax.Metadata({"a": 1})
    emb = ffjax.Embeddings(ffjax.NdArray(rows), vocab, norms, metadata)
    small = ffjax.quantize(emb, bits=5, iterations=20).embeddings
    assert (small.vocab, small.norms, small.metadata) == (vocab, norms, metadata)
    np.testing.assert_allclose(small.storage.norms, np.linalg.norm(rows, axis=1), rtol=1e-6)
    unknown, plain = small["words"], emb["words"]
    assert unknown @ plain > 0.9
    small.write(tmp_path / "small.fifu")
    assert ffjax.load(tmp_path / "small.fifu") == small


def test_mapped_files(tmp_path):
    embeddings().write(tmp_path / "plain.fifu")
    mapped = ffjax.load(tmp_path / "plain.fifu", mmap=True)
    small = ffjax.quantize(mapped, **FEW).embeddings
    assert small == ffjax.quantize(embeddings(), **FEW).embeddings
    small.write(tmp_path / "small.fifu")
    again = ffjax.load(tmp_path / "small.fifu", mmap=True)
    np.testing.assert_array_equal(
        np.asarray(ffjax.reconstruct(again).storage), np.asarray(small.storage)
    )


def test_composed_rows(tmp_path):
    path = fasttext_files.write(tmp_path, "model.bin", fasttext_files.model(["tea", "pot", "cup"]))
    emb = ffjax.load(path, mmap=True)
    small, quality = ffjax.quantize(emb, bits=1, iterations=2)
    assert small.storage.shape == emb.storage.shape and small.training == emb.training
    assert np.isfinite(quality).all()
    plain = ffjax.reconstruct(emb)
    np.testing.assert_allclose(plain["tea"], emb["tea"], rtol=1e-6)


def test_reconstructed_rows_are_those_of_the_codes():
    small = ffjax.quantize(embeddings(), "opq", **FEW).embeddings
    plain = ffjax.reconstruct(small)
    assert isinstance(plain.storage, ffjax.NdArray) and plain.vocab is small.vocab
    np.testing.assert_array_equal(np.asarray(plain.storage), np.asarray(small.storage))
    assert ffjax.reconstruct(plain) == plain


def test_narrow_floats_become_float32():
    emb = ffjax.Embeddings(
        ffjax.NdArray(jnp.array(matrix(), jnp.bfloat16)), ffjax.SimpleVocab(WORDS)
    )
    assert ffjax.reconstruct(emb).storage.dtype == np.float32
    assert ffjax.quantize(emb, **FEW).embeddings.storage.dtype == np.float32


@pytest.mark.parametrize(
    "method, storage, bound",
    [("int8", ffjax.Int8Array, 1 / 254), ("bfloat16", ffjax.NdArray, 2**-8)],
)
def test_narrow_numbers(method, storage, bound):
    calls = []
    emb = embeddings()
    small, quality = ffjax.quantize(emb, method, progress=lambda *at: calls.append(at))
    assert isinstance(small.storage, storage) and small.vocab is emb.vocab
    largest = np.abs(matrix()).max(1, keepdims=True)
    assert (
        np.abs(np.asarray(small.storage, np.float32) - matrix()) <= bound * 1.01 * largest
    ).all()
    assert (
        quality.mean_cosine > 0.9999
        and quality.recall > 0.95
        and 0 < quality.mean_squared_error < 1e-4
    )
    assert calls[0] == ("Encoding", 300, 300)
    plain = ffjax.reconstruct(small)
    assert plain.storage.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(plain.storage), np.asarray(small.storage, np.float32))


def test_a_single_row():
    emb = ffjax.Embeddings(
        ffjax.NdArray(np.ones((2, 3), np.float32)), ffjax.SimpleVocab(["a", "b"])
    )
    small, quality = ffjax.quantize(emb, bits=1, iterations=1)
    np.testing.assert_allclose(small["a"], 1, rtol=1e-6)
    assert quality.recall == 1 and small.storage.codes.shape == (2, 1)


def test_the_error_of_very_large_rows_is_finite():
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    rows[7] = 3e38
    emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab([str(i) for i in range(300)]))
    assert np.isfinite(ffjax.quantize(emb, "bfloat16").quality.mean_squared_error)
