"""What the explorer's page holds: positions, exact neighbors, named clusters, quantized rows."""

import warnings
from typing import NamedTuple

import jax
import numpy as np
from scipy.cluster import vq

from ffjax._internal.progress import Progress
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import to_unit
from ffjax.storage import NdArray
from ffjax.transforms.quantize.pq_training import train_pq
from ffjax.transforms.quantize.sampling import encode_rows, sample_rows
from ffjax.transforms.quantize.settings import PQSettings

MAX_CODES = 60  # bytes that a word's approximate vector takes
PQ_STEPS = 12
PQ_SAMPLE = 20_000
WORDS_PER_CLUSTER, MAX_CLUSTERS = 150, 32
CLUSTER_SAMPLE = 20_000
NAMING_SHARE = 0.1  # of a cluster's words: the most frequent ones can name it


class Clusters(NamedTuple):
    """Which words are alike, and what to call them."""

    names: list[str]
    numbers: np.ndarray  # uint8 [words]


class Codes(NamedTuple):
    """Vectors as a product quantizer's codes."""

    codes: np.ndarray  # uint8 [words, quantizers]
    codebooks: np.ndarray  # float32 [quantizers, centroids, dims of a quantizer]


def first_words(embeddings: Embeddings, n: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The first `n` words, their unit vectors, and their norms, empty if all have one length."""
    words = list(embeddings.vocab.words[:n])
    vectors = np.asarray(embeddings.embedding_batch(words)[0], np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    norms = embeddings.norms
    if norms is not None:
        lengths = np.asarray(norms)[embeddings.vocab.rows_of(words)]
    has_norms = np.ptp(lengths) > 1e-3 if len(lengths) else False
    return words, to_unit(vectors), lengths if has_norms else lengths[:0]


def named_clusters(
    words: list[str], vectors: np.ndarray, positions: np.ndarray, seed: int
) -> Clusters:
    """Regions of the map by k-means, each named after two of its frequent words."""
    n = len(words)
    n_clusters = max(1, min(MAX_CLUSTERS, n // WORDS_PER_CLUSTER))
    rng = np.random.default_rng(seed)
    sample = positions[np.sort(rng.permutation(n)[:CLUSTER_SAMPLE])]
    with warnings.catch_warnings(action="ignore"):  # an empty cluster is dropped below
        centers, _ = vq.kmeans2(sample, n_clusters, iter=25, minit="++", rng=rng)
    _, numbers = np.unique(vq.vq(positions, centers)[0], return_inverse=True)
    mean = vectors.mean(0)
    names = [
        _name(words, vectors, np.flatnonzero(numbers == number), mean)
        for number in range(numbers.max() + 1)
    ]
    return Clusters(names, numbers.astype(np.uint8))


def _name(words: list[str], vectors: np.ndarray, members: np.ndarray, mean: np.ndarray) -> str:
    """The two frequent words that are most typical of a cluster, as opposed to all words."""
    direction = vectors[members].mean(0) - mean
    frequent = members[: max(20, int(NAMING_SHARE * len(members)))]
    order = np.argsort(-(vectors[frequent] @ direction), kind="stable")
    return " · ".join(words[frequent[i]] for i in order[:2])


def quantized(vectors: np.ndarray, key: jax.Array, progress: Progress) -> Codes:
    """Codes of unit vectors, of at most `MAX_CODES` bytes each."""
    n, dims = vectors.shape
    width = max(2 if dims > 1 else 1, -(-dims // MAX_CODES))
    quantizers = -(-dims // width)
    padded = NdArray(np.pad(vectors, ((0, 0), (0, quantizers * width - dims))))
    centroids = 1 << min(8, n.bit_length() - 1)
    settings = PQSettings(quantizers, centroids, PQ_STEPS, 1, min(n, PQ_SAMPLE))
    pq = train_pq(sample_rows(padded, settings.sample, None, key), settings, key, progress)
    codes = encode_rows(padded, pq, None, lambda count, total: None)
    return Codes(np.asarray(codes), np.asarray(pq.codebooks))

