"""UMAP: two dimensions in which neighbours stay neighbours.

After McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection" (2018),
with its usual settings: 15 neighbours, `min_dist` 0.1, `spread` 1, five negative samples an edge. A
word and its neighbours attract each other, and words drawn at random repel it. With weights w of
edges and positions y, the force on a word is

    F[i] = sum_j w[i, j] (2 k(d[i, j]) (y[j] - y[i]) + 5 r(d[i, l]) (y[i] - y[l])),  l at random

    k(d) = 2 a b d**(2 (b - 1)) / (1 + a d**(2 b)),   r(d) = 2 b / ((0.001 + d**2) (1 + a d**(2 b)))

The reference implementation moves along sampled edges one after the other. Here all edges act in
each step, in proportion to their weights, and all words move at once. To keep that stable, the
attraction is taken at the new position of the word (an implicit Euler step).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, Int32
from scipy import sparse

from ffjax._internal.progress import Progress

N_NEIGHBORS = 15  # the word itself included, as in the reference implementation
A, B = 1.5769434, 0.8950609  # of 1 / (1 + a d**(2 b)), fitted to `min_dist` 0.1 and `spread` 1
NEGATIVES = 5
MAX_STEP = 4.0
N_STEPS = 500
STEPS_EACH = 10  # steps of one call of the compiled program
WIDTH = 16  # edges in a row; words with more have several rows
EXTENT = 10.0  # of the positions at the start


def umap(
    start: Float32[np.ndarray, "n 2"],
    neighbor_rows: Int32[np.ndarray, "n k"],
    neighbor_scores: Float32[np.ndarray, "n k"],
    key: Array,
    progress: Progress,
) -> Float32[np.ndarray, "n 2"]:
    """Positions from a start, and the cosines of the nearest neighbours, best first."""
    n = len(start)
    if n < 3:
        return start
    graph = fuzzy_graph(neighbor_rows[:, : N_NEIGHBORS - 1], neighbor_scores[:, : N_NEIGHBORS - 1])
    edges = _padded_edges(graph)
    noise_key, key = jax.random.split(key)
    positions = jnp.asarray(start * (EXTENT / max(float(abs(start).max()), 1e-12)))
    positions = positions + 1e-4 * jax.random.normal(noise_key, (n, 2))
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


def _padded_edges(graph: sparse.csr_array) -> tuple[Array, Array, Array]:
    """Edges by word in rows of `WIDTH`: the other word, the weight, and each row's word."""
    starts: np.ndarray = graph.indptr
    counts = starts[1:] - starts[:-1]
    rows_each = -(-counts // WIDTH)
    first = np.cumsum(rows_each) - rows_each
    within = np.arange(graph.nnz) - np.repeat(starts[:-1], counts)
    slots = np.repeat(first * WIDTH, counts) + within
    tails = np.zeros(rows_each.sum() * WIDTH, np.int32)
    weights = np.zeros(len(tails), np.float32)
    tails[slots], weights[slots] = graph.indices, graph.data
    heads = np.repeat(np.arange(len(counts), dtype=np.int32), rows_each)
    tails, weights = tails.reshape(-1, WIDTH), weights.reshape(-1, WIDTH)
    return jnp.asarray(tails), jnp.asarray(weights), jnp.asarray(heads)


@partial(jax.jit, donate_argnums=0)
def _moved(
    positions: Float32[Array, "n 2"],
    edges: tuple[Array, Array, Array],
    key: Array,
    first_step: Array,
) -> Float32[Array, "n 2"]:
    """Positions after some steps, whose size falls to zero over all `N_STEPS`."""
    tails, weights, heads = edges
    n = len(positions)
    sum_rows = partial(
        jax.ops.segment_sum, segment_ids=heads, num_segments=n, indices_are_sorted=True
    )
    total_weight = sum_rows(weights.sum(1))

    def attraction(x: Array) -> tuple[Array, Array]:
        """The sums of pull times position of the other word, and of the pulls."""
        ends = x[tails]
        squares = jnp.square(ends - x[heads][:, None]).sum(-1)
        pull = weights * _pull(squares)
        return sum_rows((pull[..., None] * ends).sum(1)), sum_rows(pull.sum(1))[:, None]

    def repulsion(x: Array, step_key: Array) -> Array:
        """Pushes by words drawn at random: each by the words at a few random distances in order."""
        twice = jnp.concatenate([x, x])
        shifts = jax.random.randint(step_key, (NEGATIVES,), 1, n)

        def push(shift: Array) -> Array:
            differences = x - lax.dynamic_slice_in_dim(twice, shift, n)
            forces = _push(jnp.square(differences).sum(-1, keepdims=True)) * differences
            return jnp.clip(forces, -MAX_STEP, MAX_STEP)

        return jax.vmap(push)(shifts).sum(0) * total_weight[:, None]

    def step(number: Array, x: Array) -> Array:
        size = 1 - number / N_STEPS
        pulled, pull = attraction(x)
        pushed = repulsion(x, jax.random.fold_in(key, number))
        return (x + size * (pulled + pushed)) / (1 + size * pull)

    return lax.fori_loop(first_step, first_step + STEPS_EACH, step, positions)


def _pull(squares: Array) -> Array:
    power = jnp.maximum(squares, 1e-12) ** (B - 1)
    return 4 * A * B * power / (1 + A * power * squares)


def _push(squares: Array) -> Array:
    return 2 * B / ((0.001 + squares) * (1 + A * jnp.maximum(squares, 1e-12) ** B))
