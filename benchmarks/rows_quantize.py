"""Training quantizers, compared with faiss on the same rows of GloVe, and what they lose.

GloVe has 341,479 rows of 100, at unit length. Both sides train on the same 65,536 of them, with 50
subquantizers of 256 centroids.
"""

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ffjax
from benchmarks.files import peer, real
from benchmarks.harness import Figure, Pair, row
from ffjax.transforms.pq_training import PQSettings, encode_rows, train_opq, train_pq

N_SUBQUANTIZERS = 50
PQ, OPQ = "faiss `ProductQuantizer`", "faiss `OPQMatrix` + `ProductQuantizer`"
RECALL = "recall of the 10 nearest, 341,479 x 100 (GloVe), 50 bytes"
ROWS = "65,536 x 100 (GloVe), 50 bytes"


def _glove() -> ffjax.Embeddings:
    return ffjax.load_text(real("glove.100d.txt"))


def _training_rows(seed: int = 0) -> np.ndarray:
    matrix = np.asarray(_glove().storage)
    return matrix[np.random.default_rng(seed).permutation(len(matrix))[: 1 << 16]]


def _ours(rows: np.ndarray, method: str, seed: int = 0) -> ffjax.PQ:
    train, iterations = (train_pq, 25) if method == "pq" else (train_opq, 50)
    settings = PQSettings(N_SUBQUANTIZERS, 256, iterations, attempts=1, sample=len(rows))
    return train(rows, settings, jax.random.key(seed), lambda count, total: None)


def _theirs(rows: np.ndarray, method: str, seed: int = 1234) -> tuple[Any, Any]:
    """With the settings of faiss itself: 25 steps of k-means, 50 rotations."""
    faiss = peer("faiss")
    rotation = None
    if method == "opq":
        rotation = faiss.OPQMatrix(rows.shape[1], N_SUBQUANTIZERS)
        rotation.train(rows)
        rows = rotation.apply(rows)
    quantizer = faiss.ProductQuantizer(rows.shape[1], N_SUBQUANTIZERS, 8)
    quantizer.cp.seed = seed
    quantizer.train(rows)
    return rotation, quantizer


def _our_error(quantizer: ffjax.PQ, rows: np.ndarray) -> float:
    codes = encode_rows(ffjax.NdArray(rows), quantizer, None, lambda *_: None)
    return float(((quantizer.reconstruct(np.asarray(codes)) - rows) ** 2).sum(1).mean())


def _their_error(trained: tuple[Any, Any], rows: np.ndarray) -> float:
    rotation, quantizer = trained
    turned = rows if rotation is None else rotation.apply(rows)
    return float(((quantizer.decode(quantizer.compute_codes(turned)) - turned) ** 2).sum(1).mean())


def _seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


@row(issue=6, work=f"squared error, {ROWS}, mean of three seeds", beside=PQ, at_most=1)
def pq_error() -> Figure:
    ours, theirs = [], []
    for seed in range(3):
        rows = _training_rows(seed)
        ours.append(_our_error(_ours(rows, "pq", seed), rows))
        theirs.append(_their_error(_theirs(rows, "pq", seed), rows))
    return Figure(ours=float(np.mean(ours)), peer=float(np.mean(theirs)))


@row(issue=6, work=f"training, {ROWS}, 25 steps", beside=PQ, at_least=1, repeat=3)
def pq_training() -> Pair:
    rows = _training_rows()
    return Pair(ours=lambda: _ours(rows, "pq"), peer=lambda: _theirs(rows, "pq"))


@row(
    issue=6,
    work=f"training and squared error, {ROWS}, 50 rotations: seconds",
    beside=OPQ,
    at_most=0.5,
)
def opq_training() -> Figure:
    rows = _training_rows()
    first, _ = _seconds(lambda: _ours(rows, "opq"))
    ours, our_quantizer = _seconds(lambda: _ours(rows, "opq"))
    theirs, their_quantizer = _seconds(lambda: _theirs(rows, "opq"))
    errors = _our_error(our_quantizer, rows), _their_error(their_quantizer, rows)
    note = f"first call {first:.1f} s; squared error {errors[0]:.6f} beside {errors[1]:.6f}"
    return Figure(ours=ours, peer=theirs, unit="s", note=note)


@row(issue=6, work=f"squared error, {ROWS}", beside=OPQ, at_most=1)
def opq_error() -> Figure:
    rows = _training_rows()
    return Figure(
        ours=_our_error(_ours(rows, "opq"), rows), peer=_their_error(_theirs(rows, "opq"), rows)
    )


@row(
    issue=6,
    work="bytes of the vectors on disk, 341,479 x 100 in 50 bytes each",
    beside="float32",
    at_most=1 / 7,
)
def quantized_size() -> Figure:
    emb = _glove()
    small = ffjax.quantize(emb, subquantizers=N_SUBQUANTIZERS, iterations=1).embeddings
    with tempfile.TemporaryDirectory() as folder:

        def size(value: Any) -> int:
            value.write(path := os.path.join(folder, "file.fifu"))
            return os.path.getsize(path)

        ratio = size(small) / size(emb)
        return Figure(
            ours=size(small.storage),
            peer=size(emb.storage),
            unit="B",
            note=f"with the words {ratio:.3f}",
        )


def _recall(method: str) -> Figure:
    """Recall of the 10 nearest rows of 1,000 queries among reconstructions, by the cosine."""
    matrix = np.asarray(_glove().storage)
    emb = ffjax.Embeddings(
        ffjax.NdArray(jnp.array(matrix)), ffjax.SimpleVocab(list(map(str, range(len(matrix)))))
    )
    queries = matrix[np.random.default_rng(1).permutation(len(matrix))[:1000]]
    exact = np.asarray(ffjax.top_k(emb.storage, queries, 10).rows)
    rotation, quantizer = _theirs(_training_rows(), method)
    turned = matrix if rotation is None else rotation.apply(matrix)
    theirs = ffjax.NdArray(jnp.array(quantizer.decode(quantizer.compute_codes(turned))))
    their_queries = queries if rotation is None else rotation.apply(queries)

    def recall(storage: ffjax.Storage, queries: np.ndarray, metric: str) -> float:
        rows = np.asarray(ffjax.top_k(storage, queries, 10, metric=metric).rows)
        return float((exact[:, :, None] == rows[:, None]).any(2).mean())

    ours = ffjax.quantize(emb, method, subquantizers=N_SUBQUANTIZERS).embeddings.storage
    by_dot = f"by the dot product {recall(ours, queries, 'dot'):.4f}"
    cosine, dot = (recall(theirs, their_queries, metric) for metric in ("cosine", "dot"))
    faiss = f"faiss {cosine:.4f} and {dot:.4f}"
    return Figure(ours=recall(ours, queries, "cosine"), note=f"{by_dot}; {faiss}")


@row(issue=6, work=f"{RECALL}, pq", beside="exact search", at_least=0.85)
def pq_recall() -> Figure:
    return _recall("pq")


@row(issue=6, work=f"{RECALL}, opq", beside="exact search", at_least=0.85)
def opq_recall() -> Figure:
    return _recall("opq")
