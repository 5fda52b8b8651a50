"""Words in two dimensions by the method that a name chooses, from their exact neighbours."""

from typing import NamedTuple

import jax
import numpy as np

from ffjax._internal.extras import needs_extra
from ffjax._internal.progress import Progress
from ffjax.storage import NdArray
from ffjax.transforms.neighbours import neighbour_blocks
from ffjax.transforms.pca import principal_axes
from ffjax.transforms.projection.umap import N_NEIGHBORS, umap

# What captions call them.
METHODS = {"umap": "UMAP", "pca": "principal components", "tsne": "t-SNE", "umap-learn": "UMAP"}
PERPLEXITY = 30


class Neighbors(NamedTuple):
    """The nearest words of each word, best first; rows are -1 where there are fewer."""

    rows: np.ndarray  # int32 [words, k]
    scores: np.ndarray  # cosines, float32 [words, k]


def nearest_words(vectors: np.ndarray, k: int, progress: Progress) -> Neighbors:
    """The exact nearest neighbours of unit vectors among themselves, by the cosine."""
    n = len(vectors)
    k = max(0, min(k, n - 1))
    rows, scores = np.full((n, k), -1, np.int32), np.full((n, k), -1, np.float32)
    for block in neighbour_blocks(NdArray(vectors), k) if k else ():
        size = block.stop - block.start
        best = block.scores[:size]
        rows[block.start : block.stop] = np.where(best > -np.inf, block.rows[:size], -1)
        scores[block.start : block.stop] = np.where(best > -np.inf, best, -1)
        progress(block.stop, n)
    return Neighbors(rows, scores)


def plane(
    vectors: np.ndarray, neighbors: Neighbors, method: str, key: jax.Array, progress: Progress
) -> np.ndarray:
    """Unit vectors `[n, dims]` in two dimensions, float32 `[n, 2]`."""
    start = principal_plane(vectors)[0].astype(np.float32)
    if method == "pca" or len(vectors) < N_NEIGHBORS:
        return start
    if method == "umap":
        return umap(start, neighbors.rows, neighbors.scores, key, progress)
    seed = int(jax.random.bits(key))
    return (_tsne if method == "tsne" else _umap_learn)(vectors, start, neighbors, seed)


def principal_plane(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors on their two principal components, `[n, 2]`, and the variance these explain."""
    centered = vectors - vectors.mean(0, dtype=np.float64)
    variances, axes = principal_axes(centered.T @ centered)
    positions, shares = np.zeros((len(vectors), 2)), np.zeros(2)
    n = min(2, len(axes))
    positions[:, :n] = centered @ axes[:, :n]
    shares[:n] = variances[:n] / max(variances.sum(), np.finfo(float).tiny)
    return positions, shares


def _tsne(vectors: np.ndarray, start: np.ndarray, neighbors: Neighbors, seed: int) -> np.ndarray:
    """By openTSNE, from the neighbours; perplexity is at most a third of their number."""
    with needs_extra("explore", '`projection="tsne"`'):
        from openTSNE import TSNE, affinity, initialization
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    near = PrecomputedNeighbors(np.maximum(neighbors.rows, 0), 1 - neighbors.scores)
    k = neighbors.rows.shape[1]
    perplexity = min(PERPLEXITY, k / 3)
    affinities = affinity.PerplexityBasedNN(knn_index=near, perplexity=perplexity)
    begin = initialization.rescale(start.astype(np.float64))
    tsne = TSNE(random_state=seed % 2**31, n_jobs=-1)
    return np.asarray(tsne.fit(affinities=affinities, initialization=begin), np.float32)


def _umap_learn(
    vectors: np.ndarray, start: np.ndarray, neighbors: Neighbors, seed: int
) -> np.ndarray:
    """By umap-learn, the reference implementation, from the neighbours."""
    with needs_extra("explore", '`projection="umap-learn"`'):
        from umap import UMAP
    self_row = np.arange(len(vectors))[:, None]
    rows = np.hstack([self_row, neighbors.rows[:, : N_NEIGHBORS - 1]])
    distances = np.hstack([0 * self_row, 1 - neighbors.scores[:, : N_NEIGHBORS - 1]])
    umap = UMAP(
        n_neighbors=N_NEIGHBORS,
        metric="cosine",
        precomputed_knn=(rows, distances.astype(np.float32), None),
        init="pca",
        random_state=seed % 2**31,
    )
    return np.asarray(umap.fit_transform(vectors), np.float32)
