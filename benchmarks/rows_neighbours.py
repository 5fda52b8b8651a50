"""Neighbours of all words, search through an index of faiss, and 8-bit rows before exact ones."""

from functools import partial
from itertools import cycle

import jax
import numpy as np

import ffjax
from benchmarks.files import peer
from benchmarks.harness import Pair, row
from benchmarks.rows_search import _glove, _million, _queries, _unit
from ffjax.transforms.neighbours import BLOCK_ROWS, neighbour_blocks

N_BLOCKS, N_ROWS, K = 8, 1_183_514, 10


def _shared(ours, exact) -> float:
    """The share of the exact rows that an answer has."""
    return float((np.asarray(ours)[..., None] == np.asarray(exact)[..., None, :]).any(-1).mean())


@row(
    issue=17,
    work="8 of 334 blocks of neighbours, 341,479 x 100 (GloVe), k = 10",
    beside="the product alone",
    at_most=1.3,
    repeat=3,
)
def neighbours_glove() -> Pair:
    rows = jax.device_put(_glove())
    storage, product = ffjax.NdArray(rows), jax.jit(lambda rows, q: (rows @ q.T).max(0))
    blocks = [np.asarray(rows[i * BLOCK_ROWS :][:BLOCK_ROWS]) for i in range(N_BLOCKS)]
    first = -(-len(rows) // BLOCK_ROWS) - N_BLOCKS
    return Pair(
        ours=lambda: list(neighbour_blocks(storage, K, first=first)),
        peer=lambda: [product(rows, queries).block_until_ready() for queries in blocks],
    )


@row(
    issue=17,
    work="1 query, 1,183,514 x 100, k = 10, recall 0.95, through an index",
    beside="faiss `IVF1024,Flat` alone",
    at_most=1.3,
)
def search_index_faiss() -> Pair:
    faiss = peer("faiss")
    rng, words = np.random.default_rng(0), _glove()
    rows = words[rng.integers(0, len(words), N_ROWS)]
    rows = _unit(rows + 0.03 * rng.standard_normal(rows.shape, np.float32))
    index = faiss.index_factory(rows.shape[1], "IVF1024,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows[:50_000])
    index.add(rows)
    storage, queries = ffjax.NdArray(jax.device_put(rows)), _queries(rows, 256)
    exact = ffjax.top_k(storage, queries, K).rows
    search = partial(ffjax.search_index, ffjax.FaissIndex(index), storage)
    index.nprobe = 1
    while (recall := _shared(search(queries, K).rows, exact)) < 0.95:
        index.nprobe *= 2
    np.testing.assert_allclose(search(queries, K).scores, index.search(queries, K)[0], atol=1e-5)
    # No side reads what the other one has just put into the caches.
    for_us, for_faiss = (cycle(np.roll(queries, shift, 0)[:, None]) for shift in (0, 128))
    return Pair(
        ours=lambda: search(next(for_us), K),
        peer=lambda: index.search(next(for_faiss), K),
        note=f"GloVe's rows with noise; {index.nprobe} cells, recall {recall:.3f}",
    )


@row(
    issue=17,
    work="1 query, 1,048,576 x 300, k = 10, 8-bit rows and `rerank=`",
    beside="the exact search",
    at_least=2,
)
def search_million_1_int8() -> Pair:
    exact = ffjax.NdArray(jax.device_put(_million()))
    scales = np.empty(len(exact), np.float32)
    codes = np.empty(exact.shape, np.int8)
    for start, rows in exact.row_blocks():
        stop = start + len(rows)
        scales[start:stop] = abs(rows).max(1) / 127
        codes[start:stop] = np.rint(rows / scales[start:stop, None])
    narrow = ffjax.Int8Array(jax.device_put(codes), jax.device_put(scales))
    queries = _queries(np.asarray(exact.matrix), 16)
    best = ffjax.top_k(exact, queries, K).rows
    recall = _shared(ffjax.top_k(narrow, queries, K, rerank=exact).rows, best)
    query = queries[:1]
    return Pair(
        ours=lambda: ffjax.top_k(narrow, query, K, rerank=exact),
        peer=lambda: ffjax.top_k(exact, query, K),
        note=f"recall {recall:.3f}",
    )
