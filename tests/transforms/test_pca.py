"""Fewer dimensions: compared with NumPy's singular values, unknown words projected likewise."""

import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.transforms import pca as module
from ffjax.transforms.pca import principal_components
from tests.builders import ALL_STORAGES, VOCABS, WORDS, embeddings, storage
from tests.formats.fasttext import files as fasttext_files


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 4)


def vectors(emb: ffjax.Embeddings) -> np.ndarray:
    """All rows, those of words with their lengths."""
    rows = np.asarray(emb.storage).astype(np.float64)
    if emb.norms is not None:
        rows[: len(emb.norms)] *= np.asarray(emb.norms)[:, None]
    return rows


def reference(emb: ffjax.Embeddings, dims: int, center: bool) -> tuple[np.ndarray, float]:
    """All vectors projected, by singular values; and the share of the variance that is kept."""
    rows = vectors(emb)
    learnt = rows[: emb.vocab.n_word_rows or len(rows)]
    mean = learnt.mean(0) if center else np.zeros(emb.dims)
    _, values, right = np.linalg.svd(learnt - mean, full_matrices=True)
    squares = values**2
    return (rows - mean) @ right[:dims].T, squares[:dims].sum() / squares.sum()


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(
    "kind", [*((v, "dense") for v in VOCABS), *(("buckets", s) for s in ALL_STORAGES[1:])]
)
def test_vectors_are_numpys_up_to_their_signs(kind, center):
    emb = embeddings(*kind, norms=kind[0] != "explicit", metadata={"a": 1})
    reduced = ffjax.reduce_dims(emb, 4, center=center)
    expected, share = reference(emb, 4, center)
    got = vectors(reduced)
    signs = np.sign((got * expected).sum(0))
    np.testing.assert_allclose(got * signs, expected, atol=2e-5)
    assert reduced.dims == 4 and reduced.vocab == emb.vocab and reduced.metadata == emb.metadata
    np.testing.assert_allclose(
        principal_components(emb, 4, center=center).explained, share, rtol=1e-6
    )
    assert (reduced.norms is None) == (emb.norms is None)
    if emb.norms is not None:
        words = np.asarray(reduced.storage)[: emb.vocab.n_word_rows]
        zero = ~np.asarray(emb.storage)[: len(words)].any(1) & (not center)
        np.testing.assert_allclose(np.linalg.norm(words, axis=1), ~zero, rtol=1e-5)


def test_narrow_rows_are_written_as_they_are(monkeypatch):
    """No float32 copy of the result is made: 20,000 rows are 2 MB of bfloat16."""
    monkeypatch.setattr(module, "_BLOCK_ROWS", 1000)
    n = 20_000
    rows = np.random.default_rng(0).standard_normal((n, 60)).astype(jnp.bfloat16)
    words = ffjax.SimpleVocab([f"w{i}" for i in range(n)])
    emb = ffjax.Embeddings(ffjax.NdArray(jnp.asarray(rows)), words, ffjax.Norms(np.ones(n, "f4")))
    components = principal_components(emb, 50)
    expected = rows.astype(np.float32) @ components.basis
    lengths = np.linalg.norm(expected, axis=1)
    tracemalloc.start()
    small = module.project(emb, components)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.8 * small.storage.nbytes
    assert small.storage.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(small.norms), lengths, rtol=1e-5)
    unit = np.asarray(small.storage).astype(np.float32)
    np.testing.assert_allclose(unit, expected / lengths[:, None], atol=4e-3)


@pytest.mark.parametrize("center", [False, True])
def test_all_dimensions_keep_all_distances(center):
    emb = embeddings()
    rows, reduced = vectors(emb), vectors(ffjax.reduce_dims(emb, 6, center=center))
    for a in range(len(rows)):
        distances = [np.linalg.norm(each - each[a], axis=1) for each in (rows, reduced)]
        np.testing.assert_allclose(*distances, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(principal_components(emb, 6, center=center).explained, 1)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("kind", ["fasttext", "explicit"])
def test_means_of_ngrams_are_the_projected_means(kind, center):
    emb = embeddings(kind)
    reduced, found = (
        ffjax.reduce_dims(emb, 3, center=center),
        principal_components(emb, 3, center=center),
    )
    packed = ffjax.pack([*WORDS, "Pariserin", "teapots"])
    old, known = ffjax.embed(emb, packed, unnormalize=True)
    new, _ = ffjax.embed(reduced, packed, unnormalize=True)
    expected = np.where(
        np.asarray(known)[:, None], (np.asarray(old) - found.center) @ found.basis, 0
    )
    np.testing.assert_allclose(new, expected, atol=2e-5)
    # At unit length too, as finalfusion answers.
    unit = np.asarray(ffjax.embed(reduced, packed)[0])
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, expected / np.where(lengths > 0, lengths, 1), atol=2e-5)


def test_models_of_fasttext_mapped_and_not(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(
        fasttext_files.model(["tea", "pot", "cr\u00e8me", "coffee", "sugar"], dims=4, buckets=20)
    )
    for center in (False, True):
        reduced = [
            ffjax.reduce_dims(ffjax.load(path, mmap=mmap), 2, center=center)
            for mmap in (False, True)
        ]
        np.testing.assert_allclose(*(vectors(each) for each in reduced), atol=1e-5)
        assert all(each.training is None for each in reduced)


def test_a_large_mean_does_not_hide_what_differs():
    """In float32 alone the squares of 1000 would leave nothing of differences of 0.01."""
    rng = np.random.default_rng(0)
    rows = (1000 + rng.standard_normal((500, 5)) * [0.05, 0.04, 0.03, 0.02, 0.01]).astype(
        np.float32
    )
    emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab([str(i) for i in range(500)]))
    expected, share = reference(emb, 2, True)
    got = vectors(ffjax.reduce_dims(emb, 2, center=True))
    np.testing.assert_allclose(got * np.sign((got * expected).sum(0)), expected, atol=1e-3)
    np.testing.assert_allclose(
        principal_components(emb, 2, center=True).explained, share, rtol=1e-4
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_numbers_stay_narrow(dtype):
    emb = embeddings(norms=False)
    narrow = emb.replace(storage=ffjax.NdArray(emb.storage.matrix.astype(dtype)))
    reduced = ffjax.reduce_dims(narrow, 3)
    assert reduced.storage.dtype == dtype
    expected, _ = reference(narrow, 3, False)
    got = vectors(reduced)
    np.testing.assert_allclose(got * np.sign((got * expected).sum(0)), expected, atol=2e-2)


def test_zero_rows_fewer_rows_than_dimensions_and_shared_rows():
    zeros = ffjax.Embeddings(
        ffjax.NdArray(np.zeros((2, 3), np.float32)), ffjax.SimpleVocab(["a", "b"])
    )
    assert not np.asarray(ffjax.reduce_dims(zeros, 2).storage).any()
    assert principal_components(zeros, 2).explained == 1
    one = ffjax.Embeddings(storage(1), ffjax.SimpleVocab(["a"]))
    np.testing.assert_allclose(
        np.linalg.norm(ffjax.reduce_dims(one, 5)["a"]), np.linalg.norm(one["a"]), rtol=1e-5
    )
    shared = ffjax.prune(embeddings("buckets"), 4).embeddings
    reduced = ffjax.reduce_dims(shared, 2)
    assert reduced.vocab.n_word_rows == 4 and reduced.vocab == shared.vocab


def test_progress_and_repeatable():
    emb, steps = embeddings("buckets"), []
    first = ffjax.reduce_dims(emb, 2, progress=lambda done, total: steps.append((done, total)))
    total = 10 + len(emb.storage)
    assert steps[:3] == [(4, total), (8, total), (10, total)] and steps[-1] == (total, total)
    assert ffjax.reduce_dims(emb, 2) == first


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ffjax.reduce_dims(embeddings(), 0),
            ValueError,
            "`dims`: expected 1 or more, got 0",
        ),
        (
            lambda: ffjax.reduce_dims(embeddings(), 7),
            ValueError,
            "`dims`: expected 1 to 6, .*got 7",
        ),
        (
            lambda: ffjax.reduce_dims(embeddings(), True),
            TypeError,
            "`dims`: expected a whole number, got bool True",
        ),
        (
            lambda: ffjax.reduce_dims(embeddings(), 2.0),
            TypeError,
            "`dims`: expected a whole number, got float 2.0",
        ),
        (
            lambda: ffjax.reduce_dims(embeddings(words=[]), 2),
            ValueError,
            "`embeddings`: expected at least one row.*none",
        ),
        (
            lambda: ffjax.reduce_dims(with_nan(7), 2),
            ValueError,
            "`embeddings`: expected finite.*in row 7",
        ),
        (
            lambda: ffjax.reduce_dims(with_nan(21), 2),
            ValueError,
            "`embeddings`: expected finite.*in row 21",
        ),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def with_nan(row: int) -> ffjax.Embeddings:
    emb = embeddings("buckets", norms=False)
    return emb.replace(storage=ffjax.NdArray(emb.storage.matrix.at[row, 1].set(jnp.nan)))
