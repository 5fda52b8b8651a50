"""The output layer of fastText's classifiers: from hidden vectors to a score for each label.

fastText's answers are not quite probabilities. It sums logarithms of `p + 1e-5` and answers with
`exp` of that, so a score is the probability plus 1e-5; with hierarchical softmax it is the product
of such sums along the path to the label. Here the products are taken as they are, without
logarithms. `label_scores_numpy` has the same for NumPy.

    softmax              exp(z_i) / sum of exp(z_j)
    one against all      a table of the logistic function with 513 entries for -8 to 8
    negative sampling    likewise
    hierarchical softmax the product of logistic functions at the nodes above a label

Source: `loss.cc` of fastText, https://github.com/facebookresearch/fastText.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float32, Int, Int32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value

HIERARCHICAL = "HierarchicalSoftmax"
# What fastText adds to a probability before it takes the logarithm.
SHIFT = np.float32(1e-5)
_STEPS, _MOST = 512, 8
_X = np.arange(_STEPS + 1, dtype=np.float32) * np.float32(2 * _MOST / _STEPS) - np.float32(_MOST)
_SIGMOID = (1 / (1 + np.exp(-_X).astype(np.float64))).astype(np.float32)
_NO_COUNT = 10**15
# The smallest normal float32.
TINY = np.finfo(np.float32).tiny


@value(static=("sizes",))
class LabelTree:
    """The Huffman tree over the labels, its nodes level by level from the root down.

    Attributes:
        parents: the position of each node's parent in the level above, after the root.
        edges: which factor each node adds: `row` of the output matrix for the left child of the
            node that the row belongs to, `n_labels - 1 + row` for the right one.
        leaves: the position of each label among all nodes.
        sizes: how many nodes each level has.
    """

    parents: Int32[AnyArray, " n_nodes_below"]
    edges: Int32[AnyArray, " n_nodes_below"]
    leaves: Int32[AnyArray, " n_labels"]
    sizes: tuple[int, ...]

    @classmethod
    def build(cls, counts: Int[np.ndarray, " n_labels"]) -> "LabelTree":
        """The tree that fastText builds from the counts of labels, in the order of the file.

        Examples:
            >>> LabelTree.build(np.array([5, 2, 1])).sizes
            (1, 2, 2)
        """
        n = len(counts)
        if counts.max(initial=0) >= _NO_COUNT:
            raise ValueError(
                f"`label_counts`: expected less than {_NO_COUNT}, got {counts.max()}, for which "
                "fastText builds no tree."
            )
        weights = [*counts.tolist(), *[_NO_COUNT] * (n - 1)]
        children: dict[int, list[int]] = {}
        leaf, node = n - 1, n
        for parent in range(n, 2 * n - 1):
            pair = []
            for _ in range(2):
                # If both weigh the same the node is taken.
                if leaf >= 0 and weights[leaf] < weights[node]:
                    pair.append(leaf)
                    leaf -= 1
                else:
                    pair.append(node)
                    node += 1
            weights[parent] = weights[pair[0]] + weights[pair[1]]
            children[parent] = pair

        level, order, sizes = [2 * n - 2], [2 * n - 2], [1]
        parents, edges = [], []
        while any(node >= n for node in level):
            below = []
            for position, node in enumerate(level):
                for side, child in enumerate(children.get(node, [])):
                    parents.append(position)
                    edges.append(side * (n - 1) + node - n)
                    below.append(child)
            level = below
            order += level
            sizes.append(len(level))
        leaves = np.empty(2 * n - 1, np.int32)
        leaves[order] = np.arange(2 * n - 1)
        arrays = np.array(parents, np.int32), np.array(edges, np.int32)
        return cls(*arrays, leaves[:n], tuple(sizes))


def label_scores(
    loss: str, logits: Array, tree: LabelTree | None, threshold: Array
) -> Float32[Array, "labels batch"]:
    """Scores as fastText answers them, 0 for those that `threshold` excludes; compiled code.

    Labels come first, so that sums over them add in their order, as fastText's do.

    Args:
        loss: the loss, by its name in the settings.
        logits: the products of the output matrix with the hidden vectors, float32
            `[labels, batch]`.
        tree: the tree of a model with hierarchical softmax.
        threshold: the minimum probability, float32 scalar; below zero for all labels.
    """
    if tree is not None:
        # The last row belongs to no node. Unlike a quotient of `exp`, this has finite gradients.
        right = lax.logistic(logits[: len(logits) - 1])
        # fastText compares sums of logarithms with that of the threshold.
        return _tree_scores(right, tree, threshold + SHIFT)
    if loss == "Softmax":
        powers = jnp.exp(logits - logits.max(0, keepdims=True))
        probabilities = powers / powers.sum(0, keepdims=True)
    else:
        probabilities = _table_sigmoid(logits)
    return jnp.where(probabilities >= threshold, probabilities + SHIFT, jnp.float32(0))


def table_sigmoid(xp: Any, x: Any) -> Any:
    """The logistic function from fastText's table; `xp` is `numpy` or `jax.numpy`."""
    position = xp.clip((x + np.float32(_MOST)) * np.float32(_STEPS / (2 * _MOST)), 0, _STEPS)
    index = xp.where(position >= 0, position, np.float32(0)).astype(np.int32)  # 0 for NaN
    inside = xp.where(x < -_MOST, np.float32(0), xp.asarray(_SIGMOID)[index])
    return xp.where(x <= _MOST, inside, xp.where(x > _MOST, np.float32(1), x))


# Steps have no slope: gradients are those of the logistic function.
_table_sigmoid = jax.custom_jvp(partial(table_sigmoid, jnp))
_table_sigmoid.defjvps(lambda slope, p, _: slope * p * (1 - p))


def _tree_scores(right: Array, tree: LabelTree, least: Array) -> Array:
    """The scores of all labels, `[labels, batch]`, from those of turning right at each node."""
    factors = jnp.concatenate([1 - right, right]) + SHIFT
    level = jnp.where(least > 1, jnp.float32(0), jnp.ones((1, right.shape[1]), jnp.float32))
    levels, start = [level], 0
    for size in tree.sizes[1:]:
        nodes = slice(start, start + size)
        level = level[tree.parents[nodes]] * factors[tree.edges[nodes]]
        # What fastText does not visit is 0, and no label below is answered; nothing else is.
        level = jnp.where(level >= least, jnp.maximum(level, TINY), jnp.float32(0))
        levels.append(level)
        start += size
    return jnp.concatenate(levels)[tree.leaves]
