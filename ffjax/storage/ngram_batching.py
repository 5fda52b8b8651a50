"""`vmap` over words: one batch of all of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap

from ffjax.kernels.ngram_hashes import Words
from ffjax.vocab.ngrams.base import NgramIndexer


def as_one_batch(
    work: Callable[..., Any],
    storage: Any,
    indexer: NgramIndexer,
    words: Words,
    batch: Any,
    *static: Any,
    joins: bool = True,
) -> Any:
    """`work`, which under `vmap` over words alone takes all words as one batch if it `joins` them.

    Left to itself, `vmap` would turn each choice in the loops into doing both.
    """

    @custom_vmap
    def call(storage: Any, indexer: NgramIndexer, words: Words, batch: Any) -> Any:
        return work(storage, indexer, words, batch, *static)

    @call.def_vmap
    def _(size: int, mapped: Any, *args: Any) -> tuple[Any, Any]:
        if not joins or any(jax.tree.leaves(mapped[:2])):

            def call_one(i: Array) -> Any:
                return call(*jax.tree.map(lambda x, many: x[i] if many else x, args, tuple(mapped)))

            out = lax.map(call_one, jnp.arange(size, dtype=jnp.int32))
        else:
            flat, batch = _joined(size, mapped[2:], args[2:])
            out = call(*args[:2], flat, batch)
            out = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return call(storage, indexer, words, batch)


def _joined(size: int, mapped: Any, args: Any) -> Any:
    """The words of all batches as one, and what belongs to each."""

    def join(x: Array, is_mapped: bool) -> Array:
        x = x if is_mapped else jnp.broadcast_to(x, (size, *x.shape))
        return x.reshape(-1, *x.shape[2:])

    (data, begins, lengths), (data_mapped, begins_mapped, lengths_mapped) = args[0], mapped[0]
    if begins is None:
        data = join(data, data_mapped)
    else:
        begins = join(begins, begins_mapped)
        if data_mapped:
            starts = data.shape[1] * jnp.arange(size, dtype=jnp.int32)
            begins += jnp.repeat(starts, len(begins) // size)
    words = Words(data, begins, join(lengths, lengths_mapped))
    return words, jax.tree.map(join, args[1], mapped[1])
