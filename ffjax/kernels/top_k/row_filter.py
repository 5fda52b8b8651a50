"""Which rows may be answers."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ffjax._internal.arrays import AnyArray


class RowFilter(NamedTuple):
    """Which rows may be answers. A field that is `None` restricts nothing and costs nothing.

    Rows lie from `start` up to `stop` (int32, may be traced), have a true `mask` (`[n_rows]`), are
    listed in `ids` (int32, ascending; duplicates and numbers out of range are ignored), and are not
    in `exclude` for the query (int32 `[batch, n]`, padded with -1).
    """

    start: Array | np.int32 | None = None
    stop: Array | np.int32 | None = None
    mask: AnyArray | None = None
    ids: AnyArray | None = None
    exclude: AnyArray | None = None

    @property
    def n_excluded(self) -> int:
        """How many rows are excluded for each query, at most."""
        return 0 if self.exclude is None else self.exclude.shape[1]

    @property
    def n_ends(self) -> int:
        """How many ends of the range are given."""
        return (self.start is not None) + (self.stop is not None)

    def allows(self, rows: Array) -> Array:
        """Which rows may be answers by range and mask."""
        allowed = jnp.ones(rows.shape, bool)
        if self.start is not None:
            allowed &= rows >= self.start
        if self.stop is not None:
            allowed &= rows < self.stop
        if self.mask is not None:
            allowed &= jnp.asarray(self.mask).at[rows].get(mode="promise_in_bounds")
        return allowed

    def of_listed(self, n_rows: int) -> "RowFilter":
        """The filter in which rows are numbered by their positions in `ids`."""
        ids = jnp.asarray(self.ids)
        is_new = jnp.concatenate([jnp.ones(1, bool), ids[1:] != ids[:-1]])
        mask = is_new & (ids >= 0) & (ids < n_rows)
        return RowFilter(mask=mask, exclude=self.excluded_positions())

    def excluded_positions(self) -> Array | None:
        """The positions in `ids` of the rows to exclude, -1 for those not in it."""
        if self.exclude is None:
            return None
        ids = jnp.asarray(self.ids)
        positions = jnp.searchsorted(ids, self.exclude).astype(jnp.int32)
        return jnp.where(ids.at[positions].get(mode="clip") == self.exclude, positions, -1)


def listed_rows(positions: Array, ids: AnyArray) -> Array:
    """The rows at some positions of a list, -1 for negative positions."""
    rows = jnp.asarray(ids).at[jnp.maximum(positions, 0)].get(mode="promise_in_bounds")
    return jnp.where(positions < 0, -1, rows)
