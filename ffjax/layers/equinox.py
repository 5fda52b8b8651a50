"""Modules of Equinox over `ffjax.layers`; needs the extra `train`.

Constructors take weights, new ones of `init_*` or those of a pipeline.
"""

from typing import Any

from jaxtyping import Array

from ffjax._internal.extras import needs_extra
from ffjax.layers import functions
from ffjax.layers.weights import MaxoutWeights, Tok2VecWeights

with needs_extra("train", "`ffjax.layers.equinox`"):
    import equinox as eqx


class HashEmbed(eqx.Module):
    """`hash_embed` with a table."""

    table: Array
    seed: int = eqx.field(static=True)

    def __call__(self, ids: Any) -> Array:
        """Embeds ids `[*batch, 2]`."""
        return functions.hash_embed(self.table, ids, seed=self.seed)


class MultiHashEmbed(eqx.Module):
    """`multi_hash_embed` with its tables and its mixing layer."""

    tables: tuple[Array, ...]
    mixer: MaxoutWeights

    def __call__(self, features: Any, vectors: Any = None) -> Array:
        """Embeds features `[*batch, attrs, 2]`, with the output of `StaticVectors` if any."""
        return functions.multi_hash_embed(features, self.tables, self.mixer, vectors=vectors)


class StaticVectors(eqx.Module):
    """`static_vectors` with its linear layer."""

    weight: Array

    def __call__(self, embeddings: Any, strings: Any) -> Array:
        """The vectors of packed words through the layer."""
        return functions.static_vectors(embeddings, strings, self.weight)


class MaxoutWindowEncoder(eqx.Module):
    """`maxout_window_encoder` with its layers."""

    layers: tuple[MaxoutWeights, ...]
    window: int = eqx.field(static=True, default=1)

    def __call__(self, x: Any, mask: Any) -> Array:
        """Mixes neighbours into vectors `[*batch, length, width]`."""
        return functions.maxout_window_encoder(x, mask, self.layers, window=self.window)


class Tok2Vec(eqx.Module):
    """`tok2vec` with its weights."""

    weights: Tok2VecWeights

    def __call__(self, batch: Any, embeddings: Any = None) -> Array:
        """Vectors of the tokens of a `TokenBatch`, `[documents, length, width]`."""
        return functions.tok2vec(self.weights, batch, embeddings)
