"""`vmap` over words: one batch of all of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap

from ffjax.kernels.ngram_hashes import Words
from ffjax.storage.base import Storage
from ffjax.vocab.ngrams.base import NgramIndexer


def as_one_batch(
    work: Callable[..., Any],
    storage: Storage,
    indexer: NgramIndexer,
    words: Words,
    batch: Any,
    subwords: Any,
    mode: str,
    *,
    joins: bool = True,
) -> Any:
    """`work`, which under `vmap` over words alone takes all words as one batch if it `joins` them.

    Left to itself, `vmap` would turn each choice in the loops into doing both.
    """

    @custom_vmap
    def call(storage: Storage, indexer: NgramIndexer, words: Words, batch: Any) -> Any:
        return work(storage, indexer, words, batch, subwords, mode)

    @call.def_vmap
    def _(size: int, mapped: Any, *args: Any) -> tuple[Any, Any]:
        if not joins or any(jax.tree.leaves(mapped[:2])):
            out = _one_by_one(call, size, mapped, args)
        else:
            data, data_mapped = args[2].data, mapped[2].data
            words, batch = jax.tree.map(
                lambda x, is_mapped: x if is_mapped else jnp.broadcast_to(x, (size, *x.shape)),
                ((args[2].begins, args[2].lengths), args[3]),
                ((mapped[2].begins, mapped[2].lengths), mapped[3]),
            )
            begins, lengths = words
            if data_mapped:
                begins = begins + data.shape[1] * jnp.arange(size, dtype=jnp.int32)[:, None]
            flat = Words(data.reshape(-1), begins.reshape(-1), lengths.reshape(-1))
            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
            out = call(*args[:2], flat, batch)
            out = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return call(storage, indexer, words, batch)


def _one_by_one(call: Callable[..., Any], size: int, mapped: Any, args: Any) -> Any:
    def pick(i: Array) -> Any:
        one = jax.tree.map(lambda x, is_mapped: x[i] if is_mapped else x, args, tuple(mapped))
        return call(*one)

    return lax.map(pick, jnp.arange(size, dtype=jnp.int32))
