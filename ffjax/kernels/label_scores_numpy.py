"""Logits into scores in NumPy, in place: the twin of `label_scores`, and products for it."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from ffjax.kernels.label_scores import TINY, LabelTree, table_sigmoid

# OpenBLAS multiplies up to 2**18 numbers on the thread that calls it. Beyond that its other threads
# take part, and wait in loops, which takes the time of the threads that run here.
_TILE_LABELS, _TILE_NUMBERS = 32, 1 << 18


def logits(
    output: Float32[np.ndarray, "labels dims"], hidden: Float32[np.ndarray, "batch dims"]
) -> Float32[np.ndarray, "labels batch"]:
    """The products of the output matrix with hidden vectors, tile by tile on this thread.

    Examples:
        >>> logits(np.eye(2, dtype=np.float32), np.array([[2, 3]], np.float32)).tolist()
        [[2.0], [3.0]]
    """
    products = np.empty((len(output), len(hidden)), np.float32)
    tile_lines = max(1, _TILE_NUMBERS // (_TILE_LABELS * output.shape[1]))
    for first, labels in _tiles(output, _TILE_LABELS):
        rows = products[first : first + labels.shape[0] * labels.shape[1]]
        for start, lines in _tiles(hidden, tile_lines):
            (n, size, _), (m, width, _) = labels.shape, lines.shape
            out = rows[:, start : start + m * width].reshape(n, size, m, width)
            np.matmul(labels[:, None], lines.transpose(0, 2, 1), out=out.transpose(0, 2, 1, 3))
    return products


def _tiles(rows: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows in tiles, `[n_tiles, size, dims]`, and the rest in one of its size."""
    n = len(rows) // size * size
    if n:
        yield 0, rows[:n].reshape(-1, size, rows.shape[1])
    if n < len(rows):
        yield n, rows[None, n:]


def label_scores_numpy(
    loss: str,
    logits: Float32[np.ndarray, "labels batch"],
    tree: LabelTree | None,
    threshold: np.float32,
    shift: np.float32,
) -> Float32[np.ndarray, "labels batch"]:
    """As `label_scores`; `shift` is added to probabilities, and `logits` are overwritten."""
    if tree is not None:
        least = threshold + shift
        scores = tree_scores(logits, tree, shift, least)
        are_answers = scores >= least  # false for NaN
        np.fmax(scores, TINY, out=scores)
        scores *= are_answers
        return scores
    if loss == "Softmax":
        logits -= logits.max(0)
        np.exp(logits, out=logits)
        logits /= logits.sum(0)
    else:
        logits = table_sigmoid(np, logits)
    excluded = ~(logits >= threshold)  # true for NaN
    logits += shift
    logits[excluded] = 0
    return logits


def best_label(
    scores: Float32[np.ndarray, "labels batch"],
) -> tuple[Float32[np.ndarray, " batch"], np.ndarray]:
    """The largest score of each text and its label, of equal ones the last; NaN is passed over.

    Examples:
        >>> scores, labels = best_label(np.array([[0.5, 0.1], [0.5, 0.2]], np.float32))
        >>> labels.tolist()
        [1, 1]
    """
    best, n = np.fmax.reduce(scores, 0), scores.shape[1]
    # Several times as fast as `argmax` along the first axis. The last of equal positions counts.
    positions = np.flatnonzero(scores == best)
    labels = np.zeros(n, np.int32)
    labels[positions % n] = positions // n
    return best, labels


def tree_scores(
    logits: Float32[np.ndarray, "labels batch"],
    tree: LabelTree,
    shift: np.float32,
    least: np.float32,
) -> Float32[np.ndarray, "labels batch"]:
    """The scores of the leaves of a tree, 0 below nodes whose score is less than `least`."""
    # Nodes come level by level, so that the factors of a level stand together.
    rights = logits.take(tree.edges[::2], 0)
    np.negative(rights, out=rights)
    np.exp(rights, out=rights)
    rights += 1
    np.divide(1, rights, out=rights)
    lefts = 1 - rights
    lefts += shift  # not `1 + shift - rights`, where small numbers would lose digits
    rights += shift
    scores = np.empty((sum(tree.sizes), rights.shape[1]), np.float32)
    scores[0] = 0 if least > 1 else 1
    level, end = scores[:1], 1
    for size in tree.sizes[1:]:
        # The two children of each node stand together, the left one first.
        children = slice(end, end + size)
        nodes = slice(end // 2, (end + size) // 2)
        above = level.take(tree.parents[end - 1 : end - 1 + size : 2], 0)
        if least > 0:
            # What fastText does not visit is 0, and so is all below. Products are several times as
            # fast as assignments to chosen numbers.
            above *= above >= least
        level, end = scores[children], end + size
        np.multiply(above, lefts[nodes], out=level[::2])
        np.multiply(above, rights[nodes], out=level[1::2])
    return scores.take(tree.leaves, 0)
