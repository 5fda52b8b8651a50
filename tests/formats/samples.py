"""Two words in each kind of embeddings that formats treat differently, and files in memory."""

import io
from contextlib import ExitStack

import numpy as np

import ffjax
from ffjax.formats.io import streams
from ffjax.formats.registry import FORMATS

# Formats of one file that are written.
FILES = [x.name for x in FORMATS.values() if x.write and not x.files and not x.folder]
ROWS = np.array([[3, 4], [0.5, -0.25]], np.float32)


def open_bytes(data: bytes) -> streams.Stream:
    """A stream of bytes in memory, unwrapped as `open_stream` does."""
    stream = streams.Stream(None, io.BytesIO(data), (), len(data))
    return streams._unwrap(ExitStack(), stream)


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
