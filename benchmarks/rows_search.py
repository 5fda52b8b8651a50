"""Nearest neighbours, compared with faiss' flat index, the matrix product alone, and the bandwidth.

GloVe has 341,479 rows of 100, the other matrix 1,048,576 random rows of 300; all at unit length.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ffjax
from benchmarks.files import peer, real
from benchmarks.harness import Figure, Pair, row, same_neighbours
from benchmarks.machine import bandwidth

FAISS = "faiss `IndexFlatIP`"
PRODUCT = "the product alone"
NOTE = "the faster of `(X @ q.T).max(0)` and `(q @ X.T).max(1)`, jitted"


@row(issue=4, work="copy of 256 MiB by all cores, read and written together", beside="nothing")
def memory_bandwidth() -> Figure:
    return Figure(ours=bandwidth() / 1e9, unit="GB/s")


def _unit(rows: np.ndarray) -> np.ndarray:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _glove() -> np.ndarray:
    return np.array(ffjax.load_text(real("glove.100d.txt")).storage)


def _million() -> np.ndarray:
    rows = np.empty((1 << 20, 300), np.float32)
    np.random.default_rng(0).standard_normal(out=rows, dtype=np.float32)
    for start in range(0, len(rows), 1 << 16):
        _unit(rows[start : start + (1 << 16)])
    return rows


def _queries(matrix: np.ndarray, number: int) -> np.ndarray:
    """Rows with noise: neither rows themselves nor far from all of them."""
    rng = np.random.default_rng(1)
    near = matrix[rng.permutation(len(matrix))[:number]]
    return _unit(
        near + 0.5 / np.sqrt(near.shape[1]) * rng.standard_normal(near.shape).astype(np.float32)
    )


def _beside_faiss(matrix: np.ndarray, number: int, k: int = 10) -> Pair:
    faiss = peer("faiss")
    queries = _queries(matrix, number)
    index = faiss.IndexFlatIP(matrix.shape[1])
    index.add(matrix)
    storage = ffjax.NdArray(jax.device_put(matrix))
    return Pair(
        ours=lambda: ffjax.top_k(storage, queries, k),
        peer=lambda: index.search(queries, k),
        check=same_neighbours,
        bytes_moved=matrix.nbytes,
    )


def _beside_product(matrix: np.ndarray, number: int) -> Pair:
    rows, queries = jax.device_put(matrix), jnp.asarray(_queries(matrix, number))
    storage = ffjax.NdArray(rows)
    rows_first = jax.jit(lambda rows, queries: (rows @ queries.T).max(0))
    queries_first = jax.jit(lambda rows, queries: (queries @ rows.T).max(1))
    fastest = min(
        (rows_first, queries_first), key=lambda product: _seconds(lambda: product(rows, queries))
    )
    return Pair(
        ours=lambda: ffjax.top_k(storage, queries, 10),
        peer=lambda: fastest(rows, queries),
        check=lambda ours, best: np.testing.assert_allclose(ours.scores[:, 0], best, atol=1e-5),
        note=NOTE,
    )


def _seconds(call: Callable[[], Any], repeat: int = 3) -> float:
    jax.block_until_ready(call())
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@row(issue=5, work="256 queries, 341,479 x 100 (GloVe), k = 10", beside=FAISS, at_least=8)
def search_glove_256() -> Pair:
    return _beside_faiss(_glove(), 256)


@row(issue=5, work="256 queries, 1,048,576 x 300, k = 10", beside=FAISS, at_least=8, repeat=3)
def search_million_256() -> Pair:
    return _beside_faiss(_million(), 256)


@row(issue=5, work="16 queries, 1,048,576 x 300, k = 10", beside=FAISS, at_least=4)
def search_million_16() -> Pair:
    return _beside_faiss(_million(), 16)


@row(issue=5, work="4 queries, 1,048,576 x 300, k = 10", beside=FAISS, at_least=4)
def search_million_4() -> Pair:
    return _beside_faiss(_million(), 4)


@row(issue=5, work="1 query, 1,048,576 x 300, k = 10", beside=FAISS, at_least=4)
def search_million_1() -> Pair:
    return _beside_faiss(_million(), 1)


@row(
    issue=5,
    work="1 query, 1,048,576 x 300, k = 10",
    beside="reading the matrix at the bandwidth",
    at_most=1.3,
)
def search_million_1_bandwidth() -> Figure:
    matrix = _million()
    storage, query = ffjax.NdArray(jax.device_put(matrix)), _queries(matrix, 1)
    rate = bandwidth()
    ours = _seconds(lambda: ffjax.top_k(storage, query, 10), 25)
    rate = max(rate, bandwidth())
    return Figure(ours=ours * 1e3, peer=matrix.nbytes / rate * 1e3, unit="ms")


@row(issue=5, work="256 queries, 341,479 x 100 (GloVe), k = 1000", beside=FAISS, at_least=4)
def search_glove_256_k1000() -> Pair:
    return _beside_faiss(_glove(), 256, 1000)


@row(issue=5, work="256 queries, 1,048,576 x 300, k = 1000", beside=FAISS, at_least=4, repeat=3)
def search_million_256_k1000() -> Pair:
    return _beside_faiss(_million(), 256, 1000)


@row(issue=5, work="256 queries, 341,479 x 100 (GloVe), k = 10", beside=PRODUCT, at_most=1.3)
def search_glove_256_product() -> Pair:
    return _beside_product(_glove(), 256)


@row(issue=5, work="1,024 queries, 341,479 x 100 (GloVe), k = 10", beside=PRODUCT, at_most=1.3)
def search_glove_1024_product() -> Pair:
    return _beside_product(_glove(), 1024)


@row(issue=5, work="1 query, 1,048,576 x 300, k = 10", beside=PRODUCT, at_most=1.3)
def search_million_1_product() -> Pair:
    return _beside_product(_million(), 1)


@row(issue=5, work="4 queries, 1,048,576 x 300, k = 10", beside=PRODUCT, at_most=1.3)
def search_million_4_product() -> Pair:
    return _beside_product(_million(), 4)


@row(issue=5, work="16 queries, 1,048,576 x 300, k = 10", beside=PRODUCT, at_most=1.3)
def search_million_16_product() -> Pair:
    return _beside_product(_million(), 16)


@row(issue=5, work="256 queries, 1,048,576 x 300, k = 10", beside=PRODUCT, at_most=1.3, repeat=5)
def search_million_256_product() -> Pair:
    return _beside_product(_million(), 256)


@row(issue=5, work="1,024 queries, 1,048,576 x 300, k = 10", beside=PRODUCT, at_most=1.3, repeat=3)
def search_million_1024_product() -> Pair:
    return _beside_product(_million(), 1024)
