"""The rows that a compiled search reads: those of a storage, of which a list names some, or of a block of a file."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int32

from ffjax.kernels.top_k.row_source import RowSource


def of_window(flat: Float[Array, " numbers"], lead: Int32[Array, ""], shape: tuple[int, int]) -> RowSource:
    """Rows that lie one after the other in `flat`, from number `lead` on."""
    n_rows, dims = shape

    def chunk(start: Array | int, size: int) -> Array:
        held, first = lax.optimization_barrier((flat, jnp.asarray(start, jnp.int32) * dims + lead))
        return lax.dynamic_slice_in_dim(held, first, size * dims).reshape(size, dims)

    def rows(ids: Array) -> Array:
        at = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(), start_index_map=(0,))
        places = (ids * dims + lead)[:, None]
        return lax.gather(flat, places, at, (dims,), mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS)

    return RowSource(n_rows, chunk, rows)


def of_ids(source: RowSource, ids: Int32[Array, " n"]) -> tuple[RowSource, Bool[Array, " n"]]:
    """The rows that a list names, and which entries of the list count.

    Args:
        source: all rows.
        ids: row numbers, ascending. A number that comes again and one that is none of the rows' count for nothing.

    Returns:
        Rows numbered by their places in the list, to be restricted to those that count.
    """
    inside = jnp.clip(ids, 0, source.n_rows - 1)
    again = jnp.concatenate([jnp.zeros(1, bool), ids[1:] == ids[:-1]])
    counts = (ids == inside) & ~again

    def chunk(start: Array | int, size: int) -> Array:
        return source.rows(lax.dynamic_slice_in_dim(inside, start, size))

    def rows(places: Array) -> Array:
        return source.rows(inside[places])

    return source._replace(n_rows=ids.shape[0], chunk=chunk, rows=rows, tables=None), counts


def placed(exclude: Int32[Array, "batch n"], ids: Int32[Array, " n_ids"]) -> Int32[Array, "batch n"]:
    """The places of row numbers in an ascending list without repetitions that count; -1 for those not in it."""
    places = jnp.searchsorted(ids, exclude).astype(jnp.int32)
    return jnp.where(ids.at[places].get(mode="clip") == exclude, places, -1)
