"""Adding up rows: a scan over slots that gathers one row for each item and adds it.

Compiled on a CPU this reads memory at several times the speed of `table[ids].sum(1)`, whose
gathered copy has every row of the batch at once; it also keeps `segment_sum` and its scatter out of
the program.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, Integer

from ffjax._internal.arrays import AnyArray, as_int32
from ffjax._internal.jax_compat import fori_loop, scan


def gather_sum(
    gather: Callable[[Array], Array],
    ids: Int32[Array, "*batch slots"],
    dims: int,
    *,
    unroll: int = 8,
) -> Float32[Array, "*batch dims"]:
    """Adds the rows named in each line of `ids`, in float32; ids below zero add nothing.

    `gather` gives the rows of ids, clipped into range. In a line with ids below zero, an infinity
    in the row of its highest id becomes NaN.
    """
    # A slot to fill up reads a row that its line has, times zero: a product is compiled to vector
    # instructions, which a choice is not. The row's number stands there as its complement.
    highest = jnp.max(ids, -1, initial=-1, keepdims=True)
    ids = jnp.where(ids >= 0, ids, ~jnp.maximum(highest, 0))

    def add(total: Array, slot: Array) -> tuple[Array, None]:
        rows = gather(jnp.maximum(slot, ~slot)).astype(jnp.float32)
        return total + rows * (slot >= 0).astype(jnp.float32)[..., None], None

    total = jnp.zeros((*ids.shape[:-1], dims), jnp.float32)
    if ids.shape[-1] == 0:
        return total
    total, _ = scan(add, total, jnp.moveaxis(ids, -1, 0), unroll=unroll)
    return jnp.where(highest >= 0, total, jnp.float32(0))


def gather_rows(matrix: Array, ids: Integer[AnyArray, "*batch"]) -> Array:
    """The rows with these numbers, clipped into range; zeros if there are no rows."""
    if matrix.shape[0] == 0:
        return jnp.zeros((*ids.shape, *matrix.shape[1:]), matrix.dtype)
    return jnp.take(matrix, as_int32(ids), axis=0, mode="clip")


def scatter_add(
    matrix: Float32[Array, "rows *columns"],
    ids: Int32[Array, "batch slots"],
    rows: Callable[[Array], Array],
) -> Float32[Array, "rows *columns"]:
    """Adds `rows(slot_ids)` to the rows named in each slot of `ids`, those below zero left out."""
    targets = jnp.where(ids >= 0, ids, matrix.shape[0])

    def add(slot: Array, matrix: Array) -> Array:
        return matrix.at[targets[:, slot]].add(rows(targets[:, slot]), mode="drop")

    # Slot by slot, so that what is added is not repeated in memory for each.
    return fori_loop(0, ids.shape[1], add, matrix)
