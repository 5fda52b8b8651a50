"""The weights of the layers: what they are, and new ones as thinc and spaCy initialize them."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import replace, value


class MaxoutWeights(NamedTuple):
    """The weights of a maxout layer with layer norm.

    Attributes:
        weight: `[outputs, pieces, inputs]`; of its linear maps, the largest output counts.
        bias: `[outputs, pieces]`.
        scale: of the layer norm, `[outputs]`.
        shift: of the layer norm, `[outputs]`.
    """

    weight: Float[AnyArray, "outputs pieces inputs"]
    bias: Float[AnyArray, "outputs pieces"]
    scale: Float[AnyArray, " outputs"]
    shift: Float[AnyArray, " outputs"]


@value(static=("window",))
class Tok2VecWeights:
    """The weights of spaCy's `Tok2Vec`: `MultiHashEmbed.v2`, then `MaxoutWindowEncoder.v2`.

    Attributes:
        tables: one for each attribute, `[rows, width]`.
        static: the linear layer over word vectors, `[width, dims]`; `None` if there is none.
        mixer: the layer from all tables to one vector.
        layers: those of the encoder.
        window: how many neighbours on each side a layer of the encoder sees.
    """

    tables: tuple[Float[AnyArray, "_rows width"], ...]
    static: Float[AnyArray, "width dims"] | None
    mixer: MaxoutWeights
    layers: tuple[MaxoutWeights, ...]
    window: int = 1

    def replace(self, **changes: Any) -> "Tok2VecWeights":
        """A copy with other values for any of the attributes.

        Raises:
            TypeError: for another name.
        """
        return replace(self, **changes)


def init_table(key: Array, *, rows: int, width: int) -> Float[Array, "rows width"]:
    """The table of a new `hash_embed`: uniform between -0.1 and 0.1, as in thinc.

    Args:
        key: JAX's random key.
        rows: a few thousand are enough for any vocabulary.
        width: dimensions of the vectors.
    """
    return jax.random.uniform(key, (rows, width), minval=-0.1, maxval=0.1)


def init_maxout(key: Array, *, inputs: int, outputs: int, maps: int = 3) -> MaxoutWeights:
    """The weights of a new maxout layer with layer norm, as in thinc.

    Args:
        key: JAX's random key.
        inputs: dimensions before it.
        outputs: dimensions after it.
        maps: linear maps per output.
    """
    weight = _glorot(key, (outputs, maps, inputs))
    return MaxoutWeights(weight, jnp.zeros((outputs, maps)), jnp.ones(outputs), jnp.zeros(outputs))


def init_tok2vec(
    key: Array,
    rows: Sequence[int] = (5000, 1000, 2500, 2500),
    *,
    width: int = 96,
    depth: int = 4,
    window: int = 1,
    dims: int | None = None,
) -> Tok2VecWeights:
    """The weights of a new `tok2vec`, as spaCy initializes them.

    Args:
        key: JAX's random key.
        rows: of each table, one for each attribute.
        width: dimensions of the vectors.
        depth: layers of the encoder.
        window: how many neighbours on each side a layer of the encoder sees.
        dims: dimensions of word vectors, if there are any.
    """
    return _init_tok2vec(key, tuple(rows), width, depth, window, dims)


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def _init_tok2vec(
    key: Array, rows: tuple[int, ...], width: int, depth: int, window: int, dims: int | None
) -> Tok2VecWeights:
    keys = iter(jax.random.split(key, len(rows) + depth + 2))
    tables = tuple(init_table(next(keys), rows=n, width=width) for n in rows)
    static = _glorot(next(keys), (width, dims)) if dims else None
    inputs = width * (len(rows) + bool(dims))
    mixer = init_maxout(next(keys), inputs=inputs, outputs=width)
    inputs = width * (2 * window + 1)
    layers = tuple(init_maxout(next(keys), inputs=inputs, outputs=width) for _ in range(depth))
    return Tok2VecWeights(tables, static, mixer, layers, window)


def _glorot(key: Array, shape: tuple[int, ...]) -> Array:
    """Glorot's uniform distribution, of the first two dimensions as in thinc."""
    bound = (6 / (shape[0] + shape[1])) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
