"""The models of spaCy's pipelines: what is read fits together, and anything else is an error."""

import msgpack
import numpy as np

from ffjax import FormatError
from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.spacy.thinc_model import read_model
from ffjax.layers.pipeline import _tok2vec


def array(*shape: int) -> dict:
    data = np.arange(np.prod(shape), dtype="<f4").tobytes()
    return {b"nd": True, b"type": "<f4", b"kind": b"", b"shape": shape, b"data": data}


def maxout(n_inputs: int) -> list[tuple]:
    norm = {"G": array(2), "b": array(2)}
    return [("maxout", {}, {"W": array(2, 2, n_inputs), "b": array(2, 2)}), ("layernorm", {}, norm)]


def packed(*nodes: tuple) -> bytes:
    names = [{"name": name} for name, _, _ in nodes]
    attrs = [{key: msgpack.packb(value) for key, value in attrs.items()} for _, attrs, _ in nodes]
    return msgpack.packb({"nodes": names, "attrs": attrs, "params": [node[2] for node in nodes]})


TABLE = ("hashembed", {"seed": 8}, {"E": array(3, 2)})
SECOND = ("hashembed", {"seed": 9}, {"E": array(1, 2)})
STATIC = ("static_vectors", {}, {"W": array(2, 1)})
SEEDS = [
    packed(("extract_features", {"columns": ["NORM"]}, {}), TABLE, *maxout(2)),
    packed(
        ("extract_features", {"columns": ["ORTH", 73]}, {}), TABLE, SECOND, STATIC, *maxout(6),
        ("expand_window", {"window_size": 1}, {}), *maxout(6),
    ),
]  # fmt: skip


def target(data: bytes) -> None:
    """Reads a model."""
    cursor = Cursor(ByteSource(None, data), chunk="tok2vec/model")
    try:
        weights, attrs = _tok2vec(cursor, read_model(cursor))
    except FormatError:
        return
    assert len(attrs) == len(weights.tables)
    inputs = [len(attrs) + (weights.static is not None)]
    inputs += [2 * weights.window + 1] * len(weights.layers)
    for layer, n in zip((weights.mixer, *weights.layers), inputs, strict=True):
        assert layer.weight.shape == (*layer.bias.shape, n * len(layer.scale))
        assert len(layer.scale) == len(layer.shift) == len(layer.bias)
