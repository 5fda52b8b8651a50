"""Small embeddings of every kind, for tests."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import ffjax

WORDS = ["Paris", "Berlin", "Zürich", "東京", "a", "Straße", "крот", "naïve", "👍🏽", "teapot"]


def cases(run: Iterable, *, exhaustive: Iterable) -> list[Any]:
    """Parameters for every run, and others that only `make test-exhaustive` compiles."""
    rest = [case for case in exhaustive if case not in run]
    return [*run, *(pytest.param(case, marks=pytest.mark.exhaustive) for case in rest)]


def pq(dims: int, seed: int = 0, *, projection: bool = False, centroids: int = 8) -> ffjax.PQ:
    """A quantizer with two dimensions in each codebook."""
    rng = np.random.default_rng(seed)
    books = rng.standard_normal((dims // 2, centroids, 2)).astype(np.float32)
    if not projection:
        return ffjax.PQ(books)
    rotation, _ = np.linalg.qr(rng.standard_normal((dims, dims)))
    return ffjax.PQ(books, rotation.astype(np.float32))


def storage(rows: int, dims: int = 6, *, kind: str = "dense", seed: int = 0) -> ffjax.Storage:
    """Random rows: `dense`, `pq`, `opq` (rotated), `pq_norms` or `int8` (every fifth row zero)."""
    rng = np.random.default_rng(seed)
    if kind == "dense":
        return ffjax.NdArray(rng.standard_normal((rows, dims)).astype(np.float32))
    if kind == "int8":
        scales = rng.uniform(0.001, 0.02, rows).astype(np.float32)
        scales[4::5] = 0
        return ffjax.Int8Array(rng.integers(-127, 128, (rows, dims)).astype(np.int8), scales)
    codes = rng.integers(0, 8, (rows, dims // 2)).astype(np.uint8)
    norms = rng.uniform(0.5, 2, rows).astype(np.float32) if kind == "pq_norms" else None
    return ffjax.QuantizedArray(pq(dims, seed, projection=kind == "opq"), codes, norms)


def vocab(kind: str, words: list[str] | None = None) -> ffjax.Vocab:
    """Vocabularies of kinds `simple`, `buckets`, `fasttext`, `explicit`, `floret`."""
    words = WORDS if words is None else words
    if kind == "simple":
        return ffjax.SimpleVocab(words)
    if kind == "buckets":
        return ffjax.FinalfusionBucketVocab(words, ffjax.FinalfusionHashIndexer(5, 3, 5))
    if kind == "fasttext":
        return ffjax.FastTextVocab(words, ffjax.FastTextIndexer(37, 3, 5))
    if kind == "explicit":
        return vocab("buckets", words).to_explicit()  # type: ignore[attr-defined]
    assert kind == "floret"
    return ffjax.FloretVocab(ffjax.FloretIndexer(50, 3, 5, 2, 7), bow="[", eow="]")


VOCABS = ("simple", "buckets", "fasttext", "explicit", "floret")
STORAGES = ("dense", "pq", "opq", "pq_norms")  # those that finalfusion files hold
ALL_STORAGES = (*STORAGES, "int8")


def embeddings(
    vocab_kind: str = "simple",
    storage_kind: str = "dense",
    *,
    words: list[str] | None = None,
    seed: int = 0,
    norms: bool = True,
    metadata: dict | None = None,
) -> ffjax.Embeddings:
    """Random embeddings of a kind."""
    vocabulary = vocab(vocab_kind, words)
    word_norms = np.random.default_rng(seed + 1).uniform(0.5, 2, vocabulary.n_word_rows)
    return ffjax.Embeddings(
        storage(vocabulary.upper_bound, kind=storage_kind, seed=seed),
        vocabulary,
        ffjax.Norms(word_norms.astype(np.float32)) if norms else None,
        None if metadata is None else ffjax.Metadata(metadata),
    )


def plain_demo(n: int = 10_000) -> ffjax.Embeddings:
    """The first words of the demo, with plain rows of unit length and without n-grams."""
    demo = ffjax.demo()
    rows = np.asarray(demo.storage.embedding(slice(0, n)))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return ffjax.Embeddings(ffjax.NdArray(unit), ffjax.SimpleVocab(demo.vocab.words[:n]))
