"""Modules of Flax NNX over `ffjax.layers`; needs the extra `train`.

Constructors take weights, new ones of `init_*` or those of a pipeline; each array becomes an
`nnx.Param`.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Array

from ffjax._internal.extras import needs_extra
from ffjax.layers import functions
from ffjax.layers.weights import MaxoutWeights, Tok2VecWeights

with needs_extra("train", "`ffjax.layers.nnx`"):
    from flax import nnx


class Maxout(nnx.Module):
    """The weights of a maxout layer with layer norm."""

    def __init__(self, weights: MaxoutWeights) -> None:
        self.weight, self.bias = nnx.Param(weights.weight), nnx.Param(weights.bias)
        self.scale, self.shift = nnx.Param(weights.scale), nnx.Param(weights.shift)

    @property
    def weights(self) -> MaxoutWeights:
        """The arrays."""
        return MaxoutWeights(self.weight[...], self.bias[...], self.scale[...], self.shift[...])


class HashEmbed(nnx.Module):
    """`hash_embed` with a table."""

    def __init__(self, table: Any, *, seed: int) -> None:
        self.table, self.seed = nnx.Param(table), seed

    def __call__(self, ids: Any) -> Array:
        """Embeds ids `[*batch, 2]`."""
        return functions.hash_embed(self.table[...], ids, seed=self.seed)


class MultiHashEmbed(nnx.Module):
    """`multi_hash_embed` with its tables and its mixing layer."""

    def __init__(self, tables: Sequence[Any], mixer: MaxoutWeights) -> None:
        self.tables = nnx.List([nnx.Param(table) for table in tables])
        self.mixer = Maxout(mixer)

    def __call__(self, features: Any, vectors: Any = None) -> Array:
        """Embeds features `[*batch, attrs, 2]`, with the output of `StaticVectors` if any."""
        tables = [table[...] for table in self.tables]
        return functions.multi_hash_embed(features, tables, self.mixer.weights, vectors=vectors)


class StaticVectors(nnx.Module):
    """`static_vectors` with its linear layer."""

    def __init__(self, weight: Any) -> None:
        self.weight = nnx.Param(weight)

    def __call__(self, embeddings: Any, strings: Any) -> Array:
        """The vectors of packed words through the layer."""
        return functions.static_vectors(embeddings, strings, self.weight[...])


class MaxoutWindowEncoder(nnx.Module):
    """`maxout_window_encoder` with its layers."""

    def __init__(self, layers: Sequence[MaxoutWeights], *, window: int = 1) -> None:
        self.layers, self.window = nnx.List([Maxout(weights) for weights in layers]), window

    def __call__(self, x: Any, mask: Any) -> Array:
        """Mixes neighbours into vectors `[*batch, length, width]`."""
        layers = [layer.weights for layer in self.layers]
        return functions.maxout_window_encoder(x, mask, layers, window=self.window)


class Tok2Vec(nnx.Module):
    """`tok2vec` with its weights."""

    def __init__(self, weights: Tok2VecWeights) -> None:
        self.embed = MultiHashEmbed(weights.tables, weights.mixer)
        self.static = None if weights.static is None else StaticVectors(weights.static)
        self.encode = MaxoutWindowEncoder(weights.layers, window=weights.window)

    @property
    def weights(self) -> Tok2VecWeights:
        """The arrays."""
        tables = tuple(table[...] for table in self.embed.tables)
        static = None if self.static is None else self.static.weight[...]
        layers = tuple(layer.weights for layer in self.encode.layers)
        window = self.encode.window
        return Tok2VecWeights(tables, static, self.embed.mixer.weights, layers, window)

    def __call__(self, batch: Any, embeddings: Any = None) -> Array:
        """Vectors of the tokens of a `TokenBatch`, `[documents, length, width]`."""
        return functions.tok2vec(self.weights, batch, embeddings)
