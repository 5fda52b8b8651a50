"""spaCy's `Tok2Vec` in NumPy, token by token, as the definition has it."""

import numpy as np

from ffjax import layers
from ffjax.kernels.murmur3 import murmur3_spans


def tok2vec(weights, words, emb=None):
    """The vectors of the words of one document."""
    weights = _on_host(weights)
    width = weights.tables[0].shape[1]
    if not words:
        return np.zeros((0, width))
    features = layers.word_features(words)
    columns = []
    for i, table in enumerate(weights.tables):
        hashes = _murmur3(np.ascontiguousarray(features[:, i]), 8 + i)
        columns.append(table[hashes % len(table)].sum(1))
    if weights.static is not None:
        pairs = [emb.embedding_with_norm(word) if word in emb else None for word in words]
        rows = [np.zeros(emb.dims) if pair is None else pair[0] * pair[1] for pair in pairs]
        columns.append(np.stack(rows) @ weights.static.T)
    x = _maxout(np.concatenate(columns, 1), weights.mixer)
    reach = weights.window * len(weights.layers)
    x = np.pad(x, [(reach, reach), (0, 0)])
    for layer in weights.layers:
        padded = np.pad(x, [(weights.window, weights.window), (0, 0)])
        windows = [padded[i : i + 2 * weights.window + 1].ravel() for i in range(len(x))]
        x = x + _maxout(np.stack(windows), layer)
    return x[reach : len(x) - reach]


def _murmur3(pairs, seed):
    data = pairs.view(np.uint8).ravel()
    return murmur3_spans(data, np.arange(0, len(data), 8), np.full(len(pairs), 8), seed)


def _maxout(x, layer):
    x = (np.einsum("ni,opi->nop", x, layer.weight) + layer.bias).max(-1)
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-8)
    return normal * layer.scale + layer.shift


def _on_host(weights):
    import jax

    return jax.tree.map(lambda array: np.asarray(array, np.float64), weights)
