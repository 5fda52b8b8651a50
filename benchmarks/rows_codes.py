"""Quantized embeddings: lookup compared with finalfusion-python, search with faiss.

The codes are random, which does not change the work: 341,479 words of 300 dimensions, with half as
many subquantizers, the default of finalfusion's own quantizer.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import ffjax
from benchmarks.files import derived, peer, real
from benchmarks.harness import Pair, row, same_neighbours

N_WORDS, DIMS, SUBQUANTIZERS = 100_000, 300, 150
FAISS = "faiss `IndexPQ`"


def _quantized(*, rotated: bool) -> str:
    def make(path: Path) -> None:
        words = ffjax.load_text(real("glove.100d.txt")).vocab
        rng = np.random.default_rng(0)
        books = rng.standard_normal((SUBQUANTIZERS, 256, DIMS // SUBQUANTIZERS)).astype(np.float32)
        rotation = (
            np.linalg.qr(rng.standard_normal((DIMS, DIMS)))[0].astype(np.float32)
            if rotated
            else None
        )
        codes = rng.integers(0, 256, (len(words), SUBQUANTIZERS)).astype(np.uint8)
        ffjax.Embeddings(ffjax.QuantizedArray(ffjax.PQ(books, rotation), codes), words).write(path)

    return str(derived(f"codes300{'.rotated' if rotated else ''}.fifu", make))


def _opened(*, rotated: bool, number: int) -> tuple[Any, Any, list[str]]:
    """The file in ffjax and in finalfusion-python, and distinct words, as separate strings."""
    path = _quantized(rotated=rotated)
    ours, theirs = ffjax.load_finalfusion(path), peer("finalfusion").load_finalfusion(path)
    ids = np.random.default_rng(1).permutation(len(ours))[:number]
    return ours, theirs, str("\n".join([ours.vocab.words[i] for i in ids])).split("\n")


def _into_matrix(embeddings: Any, words: list[str], matrix: np.ndarray) -> np.ndarray:
    for vector, word in zip(matrix, words, strict=True):
        embeddings.embedding(word, out=vector)
    return matrix


def _one_by_one(embeddings: Any, words: list[str]) -> Any:
    vector = None
    for word in words:
        vector = embeddings[word]
    return vector


def _same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(np.asarray(ours)[:N_WORDS], theirs, atol=1e-5)


def _listed(*, rotated: bool) -> Pair:
    ours, theirs, words = _opened(rotated=rotated, number=N_WORDS)
    matrix = np.zeros((N_WORDS, DIMS), np.float32)
    return Pair(
        ours=lambda: ours.embedding_batch(words)[0],
        peer=lambda: _into_matrix(theirs, words, matrix),
        check=_same,
        bytes_moved=N_WORDS * (SUBQUANTIZERS + 4 * DIMS),
        note="from a list[str] to a matrix, which finalfusion-python's loop finds allocated",
    )


@row(
    issue=6,
    work="100,000 known words from codes, 300 dims",
    beside="finalfusion",
    at_least=20,
    repeat=5,
)
def lookup_codes() -> Pair:
    return _listed(rotated=False)


@row(
    issue=6,
    work="100,000 known words from codes with a rotation, 300 dims",
    beside="finalfusion",
    repeat=5,
)
def lookup_codes_rotated() -> Pair:
    return _listed(rotated=True)


@row(
    issue=6, work="100,000 known words from codes, 300 dims, packed", beside="finalfusion", repeat=5
)
def lookup_codes_packed() -> Pair:
    ours, theirs, words = _opened(rotated=False, number=N_WORDS)
    strings = jax.device_put(ffjax.pack(words))
    matrix = np.zeros((N_WORDS, DIMS), np.float32)
    return Pair(
        ours=lambda: ffjax.embed(ours, strings)[0],
        peer=lambda: _into_matrix(theirs, words, matrix),
        check=_same,
        note="`embed` in compiled code, from packed words",
    )


@row(
    issue=6,
    work="1,000 known words from codes, one by one, 300 dims",
    beside="finalfusion",
    at_least=1,
    repeat=25,
)
def lookup_codes_word() -> Pair:
    ours, theirs, words = _opened(rotated=False, number=1000)
    return Pair(
        lambda: _one_by_one(ours, words),
        lambda: _one_by_one(theirs, words),
        np.testing.assert_array_equal,
    )


def _index(path: Path, matrix: np.ndarray) -> None:
    faiss = peer("faiss")
    index = faiss.IndexPQ(matrix.shape[1], 50, 8, faiss.METRIC_INNER_PRODUCT)
    index.train(matrix[np.random.default_rng(0).permutation(len(matrix))[: 1 << 16]])
    index.add(matrix)
    faiss.write_index(index, str(path))


def _beside_faiss(number: int) -> Pair:
    """The codes and codebooks of faiss, searched by both."""
    faiss = peer("faiss")
    matrix = np.array(ffjax.load_text(real("glove.100d.txt")).storage)
    index = faiss.read_index(str(derived("glove.pq50.faiss", partial(_index, matrix=matrix))))
    codes = faiss.vector_to_array(index.codes).reshape(index.ntotal, 50)
    books = faiss.vector_to_array(index.pq.centroids).reshape(50, 256, 2)
    storage = ffjax.QuantizedArray(ffjax.PQ(books), codes)
    rng = np.random.default_rng(1)
    queries = matrix[rng.permutation(len(matrix))[:number]] + np.float32(
        0.05
    ) * rng.standard_normal((number, 100), dtype=np.float32)

    return Pair(
        ours=lambda: ffjax.top_k(storage, queries, 10),
        peer=lambda: index.search(queries, 10),
        check=same_neighbours,
    )


@row(
    issue=6,
    work="256 queries, 341,479 x 50 codes (GloVe), k = 10",
    beside=FAISS,
    at_least=3,
    repeat=5,
)
def search_codes_256() -> Pair:
    return _beside_faiss(256)


@row(issue=6, work="1,024 queries, 341,479 x 50 codes (GloVe), k = 10", beside=FAISS, repeat=3)
def search_codes_1024() -> Pair:
    return _beside_faiss(1024)


@row(issue=6, work="16 queries, 341,479 x 50 codes (GloVe), k = 10", beside=FAISS)
def search_codes_16() -> Pair:
    return _beside_faiss(16)


@row(issue=6, work="1 query, 341,479 x 50 codes (GloVe), k = 10", beside=FAISS)
def search_codes_1() -> Pair:
    return _beside_faiss(1)
