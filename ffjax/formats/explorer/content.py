"""What the explorer's page holds: positions, exact neighbors, named clusters, quantized rows."""

import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.cluster import vq

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.progress import Progress, Report
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import to_unit
from ffjax.storage import NdArray
from ffjax.transforms.pq_training import PQSettings, encode_rows, sample_rows, train_pq
from ffjax.transforms.projection import METHODS, Neighbors, nearest_words, plane

MAX_CODES = 60  # bytes that a word's approximate vector takes
PQ_STEPS = 12
PQ_SAMPLE = 20_000
WORDS_PER_CLUSTER, MAX_CLUSTERS = 150, 32
CLUSTER_SAMPLE = 20_000
NAMING_SHARE = 0.03  # of a cluster's words: the most frequent ones can name it


class WordMap(NamedTuple):
    """Words in two dimensions, with their exact neighbours."""

    words: list[str]
    vectors: np.ndarray  # of unit length, float32 [words, dims]
    norms: np.ndarray  # float32 [words]
    neighbors: Neighbors
    positions: np.ndarray  # float32 [words, 2]


class Clusters(NamedTuple):
    """Which words are alike, and what to call them."""

    names: list[str]
    numbers: np.ndarray  # uint8 [words]


class Codes(NamedTuple):
    """Vectors as a product quantizer's codes."""

    codes: np.ndarray  # uint8 [words, quantizers]
    codebooks: np.ndarray  # float32 [quantizers, centroids, dims of a quantizer]


def placed_words(
    embeddings: Embeddings,
    limit: int,
    projection: Any,
    neighbors: int,
    key: jax.Array,
    report: Report,
) -> WordMap:
    """The first words of embeddings, placed by a method or at positions that the caller gives."""
    names, rows = first_words(embeddings, limit)
    neighbors = whole_number("neighbors", neighbors, 1)
    positions = _checked_positions(projection, len(names))
    vectors = to_unit(rows)
    nearest = nearest_words(vectors, neighbors, partial(report, "Finding neighbours"))
    nearest.rows[~vectors.any(1)] = -1  # a zero vector has no direction
    if positions is None:
        drawing = partial(report, "Drawing the map")
        positions = plane(vectors, nearest, projection, key, drawing)
    norms = np.linalg.norm(rows, axis=1)
    if embeddings.norms is not None:
        norms = np.asarray(embeddings.norms)[embeddings.vocab.rows_of(names)]
    return WordMap(names, vectors, norms, nearest, positions)


def first_words(embeddings: Embeddings, limit: int) -> tuple[list[str], np.ndarray]:
    """The first words of embeddings and their vectors, float32 `[words, dims]`."""
    check_embeddings(embeddings)
    names = list(embeddings.vocab.words[: whole_number("limit", limit, 1)])
    if not names:
        raise ValueError("`embeddings`: expected some words, got none.")
    return names, np.asarray(embeddings.embedding_batch(names)[0], np.float32)


def _checked_positions(projection: Any, n_words: int) -> np.ndarray | None:
    """Positions that the caller gives, or `None` for a method."""
    if isinstance(projection, str):
        if projection not in METHODS:
            expected = ", ".join(map(repr, METHODS))
            raise ValueError(
                f"`projection`: expected one of {expected} or positions, got {projection!r}."
            )
        return None
    positions = np.asarray(projection)
    if positions.shape != (n_words, 2) or positions.dtype.kind not in "fiu":
        raise ValueError(
            f"`projection`: expected numbers of shape [{n_words}, 2], one row for each word, "
            f"got {positions.dtype} {list(positions.shape)}."
        )
    if not np.isfinite(positions).all():
        row = int(np.flatnonzero(~np.isfinite(positions).all(1))[0])
        raise ValueError(f"`projection`: expected finite positions, got {positions[row]} in {row}.")
    return positions.astype(np.float32)


def named_clusters(word_map: WordMap, seed: int) -> Clusters:
    """Regions of the map by k-means, each named after two of its frequent words."""
    words, vectors, positions = word_map.words, word_map.vectors, word_map.positions
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
    n_frequent = max(12, int(NAMING_SHARE * len(members)))
    frequent = [row for row in members if words[row].isalpha() and len(words[row]) > 2]
    frequent = frequent[:n_frequent] or list(members[:n_frequent])
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

