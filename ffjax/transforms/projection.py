"""Words in two dimensions, for pictures, from their exact neighbours: UMAP, t-SNE or PCA.

UMAP after McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection"
(2018), with its usual settings: 15 neighbours, `min_dist` 0.1, `spread` 1, five negative samples an
edge. A word and its neighbours attract each other, and words drawn at random repel it. With weights
w of edges and positions y, the force on a word is

    F[i] = sum_j w[i, j] (2 k(d[i, j]) (y[j] - y[i]) + 5 r(d[i, l]) (y[i] - y[l])),  l at random

    k(d) = 2 a b d**(2 (b - 1)) / (1 + a d**(2 b)),   r(d) = 2 b / ((0.001 + d**2) (1 + a d**(2 b)))

The reference implementation moves along sampled edges one after the other. Here all edges act in
each step, in proportion to their weights, and all words move at once. To keep that stable, the
attraction is taken at the new position of the word (an implicit Euler step).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, Int32
from scipy import sparse

from ffjax._internal.extras import needs_extra
from ffjax._internal.progress import Progress
from ffjax.storage import NdArray
from ffjax.transforms.neighbours import neighbour_blocks
from ffjax.transforms.pca import principal_axes

# What captions call them.
METHODS = {"umap": "UMAP", "pca": "principal components", "tsne": "t-SNE", "umap-learn": "UMAP"}
PERPLEXITY = 30
N_NEIGHBORS = 15  # the word itself included, as in the reference implementation
A, B = 1.5769434, 0.8950609  # of 1 / (1 + a d**(2 b)), fitted to `min_dist` 0.1 and `spread` 1
NEGATIVES = 5
MAX_STEP = 4.0
N_STEPS = 500
STEPS_EACH = 10  # steps of one call of the compiled program
WIDTH = 16  # edges in a row; words with more have several rows
EXTENT = 10.0  # of the positions at the start


class Neighbors(NamedTuple):
    """The nearest words of each word, best first; rows are -1 where there are fewer."""

    rows: np.ndarray  # int32 [words, k]
    scores: np.ndarray  # cosines, float32 [words, k]


def nearest_words(vectors: np.ndarray, k: int, progress: Progress) -> Neighbors:
    """The exact nearest neighbours of unit vectors among themselves, by the cosine."""
    n = len(vectors)
    k = max(0, min(k, n - 1))
    rows, scores = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    for block in neighbour_blocks(NdArray(vectors), k) if k else ():
        ids, count = slice(block.start, block.stop), block.stop - block.start
        rows[ids], scores[ids] = block.rows[:count], block.scores[:count]
        progress(block.stop, n)
    return Neighbors(rows, np.maximum(scores, -1))


def plane(
    vectors: np.ndarray, neighbors: Neighbors, method: str, key: Array, progress: Progress
) -> np.ndarray:
    """Unit vectors `[n, dims]` in two dimensions, float32 `[n, 2]`."""
    start = principal_plane(vectors)[0].astype(np.float32)
    if method == "pca" or len(vectors) < N_NEIGHBORS:
        return start
    if method == "umap":
        return umap(start, *neighbors, key, progress)
    seed = int(jax.random.bits(key)) % 2**31
    if method == "tsne":
        return _tsne(start, *neighbors, seed)
    with needs_extra("explore", '`projection="umap-learn"`'):
        from umap import UMAP
    ids = np.arange(len(vectors))[:, None]
    rows = np.hstack([ids, neighbors.rows[:, : N_NEIGHBORS - 1]])
    distances = np.hstack([0 * ids, 1 - neighbors.scores[:, : N_NEIGHBORS - 1]])
    near = rows, distances.astype(np.float32), None
    options = {"metric": "cosine", "init": "pca", "random_state": seed}
    reference = UMAP(n_neighbors=N_NEIGHBORS, precomputed_knn=near, **options)
    return np.asarray(reference.fit_transform(vectors), np.float32)


def _tsne(start: np.ndarray, rows: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """By openTSNE, from the neighbours; perplexity is at most a third of their number."""
    with needs_extra("explore", '`projection="tsne"`'):
        from openTSNE import TSNE, affinity, initialization
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    near = PrecomputedNeighbors(np.maximum(rows, 0), 1 - scores)
    perplexity = min(PERPLEXITY, rows.shape[1] / 3)
    affinities = affinity.PerplexityBasedNN(knn_index=near, perplexity=perplexity)
    begin = initialization.rescale(start.astype(np.float64))
    tsne = TSNE(random_state=seed, n_jobs=-1)
    return np.asarray(tsne.fit(affinities=affinities, initialization=begin), np.float32)


def principal_plane(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors on their two principal components, `[n, 2]`, and the variance these explain."""
    centered = vectors - vectors.mean(0, dtype=np.float64)
    variances, axes = principal_axes(centered.T @ centered)
    positions, shares = np.zeros((len(vectors), 2)), np.zeros(2)
    n = min(2, len(axes))
    positions[:, :n] = centered @ axes[:, :n]
    shares[:n] = variances[:n] / max(variances.sum(), np.finfo(float).tiny)
    return positions, shares


def umap(
    start: Float32[np.ndarray, "n 2"],
    rows: Int32[np.ndarray, "n k"],
    scores: Float32[np.ndarray, "n k"],
    key: Array,
    progress: Progress,
) -> Float32[np.ndarray, "n 2"]:
    """Positions from a start, and the cosines of the nearest neighbours, best first."""
    n = len(start)
    if n < 3:
        return start
    edges = _edges(fuzzy_graph(rows[:, : N_NEIGHBORS - 1], scores[:, : N_NEIGHBORS - 1]))
    noise_key, key = jax.random.split(key)
    positions = jnp.asarray(start * (EXTENT / max(float(abs(start).max()), 1e-12)))
    positions = positions + 1e-4 * jax.random.normal(noise_key, (n, 2), jnp.float32)
    for step in range(0, N_STEPS, STEPS_EACH):
        positions = _moved(positions, edges, key, step).block_until_ready()
        progress(step + STEPS_EACH, N_STEPS)
    return np.asarray(positions)


def fuzzy_graph(
    rows: Int32[np.ndarray, "n k"], scores: Float32[np.ndarray, "n k"]
) -> sparse.csr_array:
    """Symmetric weights of edges, at most 1: a neighbour's weight falls with its distance.

    The nearest neighbour of a word has weight 1. The scale of the others makes the sum of the
    weights the logarithm of their number.
    """
    n, k = rows.shape
    distances = np.maximum(1 - scores, 0)
    excess = np.maximum(distances - distances[:, :1], 0)
    target = np.log2(k + 1)
    low, high = np.zeros((n, 1), np.float32), np.full((n, 1), np.inf, np.float32)
    scale = np.ones((n, 1), np.float32)
    for _ in range(40):
        is_large = np.exp(-excess / scale).sum(1, keepdims=True) > target
        high, low = np.where(is_large, scale, high), np.where(is_large, low, scale)
        scale = np.where(np.isinf(high), 2 * scale, (low + high) / 2)
    scale = np.maximum(scale, 1e-3 * distances.mean(1, keepdims=True) + 1e-12)
    weights = np.where(rows >= 0, np.exp(-excess / scale), 0)
    starts = np.arange(0, n * k + 1, k)
    near = sparse.csr_array((weights.ravel(), np.maximum(rows, 0).ravel(), starts), (n, n))
    near_to = near.T.tocsr()
    return (near + near_to - near * near_to).tocsr()


def _edges(graph: sparse.csr_array) -> tuple[Array, Array, Array]:
    """Edges by word in rows of `WIDTH`: the other word, the weight, and each row's word."""
    starts: np.ndarray = graph.indptr
    counts = np.diff(starts)
    n_rows = -(-counts // WIDTH)
    # How much further the edges of a word begin, with the rows before filled up.
    shifts = (np.cumsum(n_rows) - n_rows) * WIDTH - starts[:-1]
    slots = np.arange(graph.nnz) + np.repeat(shifts, counts)
    tails, weights = (np.zeros(n_rows.sum() * WIDTH, kind) for kind in (np.int32, np.float32))
    tails[slots], weights[slots] = graph.indices, graph.data
    heads = np.repeat(np.arange(len(counts), dtype=np.int32), n_rows)
    edges = tails.reshape(-1, WIDTH), weights.reshape(-1, WIDTH), heads
    return jax.tree.map(jnp.asarray, edges)


@partial(jax.jit, donate_argnums=0)
def _moved(
    positions: Float32[Array, "n 2"], edges: tuple[Array, Array, Array], key: Array, first: Array
) -> Float32[Array, "n 2"]:
    """Positions after some steps, whose size falls to zero over all `N_STEPS`."""
    tails, weights, heads = edges
    n = len(positions)
    sum_rows = partial(
        jax.ops.segment_sum, segment_ids=heads, num_segments=n, indices_are_sorted=True
    )
    total_weight = sum_rows(weights.sum(1))

    def pulls(x: Array) -> tuple[Array, Array]:
        # The sums of pull times position of the other word, and of the pulls.
        ends = x[tails]
        squares = jnp.square(ends - x[heads][:, None]).sum(-1)
        power = jnp.maximum(squares, 1e-12) ** (B - 1)
        pull = weights * (4 * A * B * power / (1 + A * power * squares))
        return sum_rows((pull[..., None] * ends).sum(1)), sum_rows(pull.sum(1))[:, None]

    def step(number: Array, x: Array) -> Array:
        pulled, total = pulls(x)
        pushed = _pushes(x, jax.random.fold_in(key, number)) * total_weight[:, None]
        size = 1 - number / N_STEPS
        return (x + size * (pulled + pushed)) / (1 + size * total)

    return lax.fori_loop(first, first + STEPS_EACH, step, positions)


def _pushes(x: Float32[Array, "n 2"], key: Array) -> Float32[Array, "n 2"]:
    """Pushes by words drawn at random: each by the words at a few random distances in order."""
    n, twice = len(x), jnp.concatenate([x, x])

    def push(shift: Array) -> Array:
        differences = x - lax.dynamic_slice_in_dim(twice, shift, n)
        squares = jnp.square(differences).sum(-1, keepdims=True)
        growth = 1 + A * jnp.maximum(squares, 1e-12) ** B
        forces = 2 * B / ((0.001 + squares) * growth) * differences
        return jnp.clip(forces, -MAX_STEP, MAX_STEP)

    return jax.vmap(push)(jax.random.randint(key, (NEGATIVES,), 1, n)).sum(0)
