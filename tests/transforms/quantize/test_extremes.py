"""`quantize` at its limits: few distinct rows, one bit, one dimension each, huge numbers."""

from itertools import product

import numpy as np
import pytest

import ffjax
from tests.builders import cases

FEW = {"bits": 4, "iterations": 5}
ALL = ("pq", "opq", "int8", "bfloat16")


def matrix(rows=300, dims=12):
    return np.random.default_rng(0).standard_normal((rows, dims)).astype(np.float32)


def of(rows) -> ffjax.Embeddings:
    return ffjax.Embeddings(
        ffjax.NdArray(rows), ffjax.SimpleVocab([f"word{i}" for i in range(len(rows))])
    )


def made(rows, method, **options):
    small, quality = ffjax.quantize(
        of(rows), method, **(options if method in ("pq", "opq") else {})
    )
    return np.asarray(small.storage, np.float32), quality


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("number", [0.0, 0.25, -3e5])
def test_rows_that_are_all_the_same(method, number):
    rows, quality = made(np.full((300, 12), number, np.float32), method, **FEW)
    np.testing.assert_allclose(rows, number, rtol=1e-2 if method == "bfloat16" else 1e-5)
    assert quality.mean_cosine > 0.9999 and quality.recall == 1


@pytest.mark.parametrize("method", ["pq", "opq"])
def test_fewer_different_rows_than_centroids_are_kept(method):
    rows = np.tile(matrix(5), (60, 1))
    np.testing.assert_allclose(made(rows, method, **FEW)[0], rows, atol=1e-5)


LIMITS = {"most": ({"subquantizers": 12, "bits": 8}, 0.999), "least": ({"bits": 1}, 0.5)}


@pytest.mark.parametrize(
    "case",
    cases([("pq", "most"), ("opq", "least")], exhaustive=product(("pq", "opq"), LIMITS)),
    ids="-".join,
)
def test_the_most_and_the_least(case):
    method, limit = case
    options, cosine = LIMITS[limit]
    rows, quality = made(matrix(), method, iterations=5, **options)
    assert rows.shape == (300, 12) and np.isfinite(rows).all() and cosine < quality.mean_cosine < 1


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e15])
def test_the_size_of_numbers_does_not_matter(method, scale):
    usual, scaled = (made(matrix() * np.float32(by), method, **FEW) for by in (1, scale))
    np.testing.assert_allclose(scaled[1].mean_cosine, usual[1].mean_cosine, rtol=0.02)
    assert abs(scaled[1].recall - usual[1].recall) < 0.1
    np.testing.assert_allclose(
        scaled[1].mean_squared_error, usual[1].mean_squared_error * scale**2, rtol=0.5
    )


@pytest.mark.parametrize("method", ["int8", "bfloat16"])
def test_numbers_that_k_means_could_not_square(method):
    assert made(matrix() * np.float32(1e37), method)[1].mean_cosine > 0.9999


@pytest.mark.parametrize("method", ALL)
def test_half_precision(method):
    narrow = matrix().astype(np.float16)
    given, expected = (made(rows, method, **FEW) for rows in (narrow, narrow.astype(np.float32)))
    np.testing.assert_array_equal(given[0], expected[0])
    assert given[1] == pytest.approx(expected[1], rel=1e-3)


@pytest.mark.parametrize("method", cases(("opq", "int8", "bfloat16"), exhaustive=ALL))
def test_rows_that_words_share(method):
    pruned = ffjax.prune(of(matrix()), 100).embeddings
    small = ffjax.quantize(pruned, method, **(FEW if method in ("pq", "opq") else {})).embeddings
    assert small.vocab is pruned.vocab and len(small.storage) == 100
    for shared in (small, ffjax.from_bytes(ffjax.to_bytes(small))):
        row = np.asarray(small.storage)[pruned.vocab.host_rows[299]]
        np.testing.assert_allclose(shared["word299"], row, rtol=1e-5, atol=1e-6)
        assert isinstance(shared.storage, type(small.storage)) and shared.storage == small.storage
    again, mapped = ffjax.prune(small, 50)  # of codes, which stay
    assert type(again.storage) is type(small.storage) and len(again.storage) == 50
    expected = ffjax.prune(ffjax.reconstruct(small), 50).mapped
    # Rows that are equally near up to rounding may stand for each other.
    assert {word: score for word, (_, score) in mapped.items()} == pytest.approx(
        {word: score for word, (_, score) in expected.items()}, rel=1e-4
    )


def test_float64_is_refused_with_a_remedy():
    with pytest.raises(
        TypeError, match=r"expected 2 dimensions of float32.*got 2 of float64.*dtype=np.float32"
    ):
        of(matrix().astype(np.float64))


def test_rows_too_short_to_be_squared_as_they_are():
    rows = (np.random.default_rng(0).standard_normal((300, 4)) * 1e-25).astype(np.float32)
    emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab([str(i) for i in range(300)]))
    with pytest.raises(ValueError, match="`normalize`: expected True with rows as short as these"):
        ffjax.quantize(emb, normalize=False)
    assert ffjax.quantize(emb, bits=4, iterations=5).quality.mean_cosine > 0.9
