"""Two words in each kind of embeddings that formats treat differently."""

import numpy as np

import ffjax

ROWS = np.array([[3, 4], [0.5, -0.25]], np.float32)


def simple(**parts) -> ffjax.Embeddings:
    return ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(["one", "two"]), **parts)


def fasttext() -> ffjax.Embeddings:
    rows = np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32)
    return ffjax.Embeddings(
        ffjax.NdArray(rows), ffjax.FastTextVocab(["one", "two"], ffjax.FastTextIndexer(10, 3, 4))
    )


def quantized() -> ffjax.Embeddings:
    pq = ffjax.PQ(np.array([[[1], [2]], [[3], [4]]], np.float32), None)
    return ffjax.Embeddings(
        ffjax.QuantizedArray(pq, np.array([[0, 1], [1, 0]], np.uint8)),
        ffjax.SimpleVocab(["one", "two"]),
    )
