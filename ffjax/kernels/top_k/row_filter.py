"""Which rows may be answers."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32


class RowFilter(NamedTuple):
    """Which rows may be answers. A field that is `None` restricts nothing and costs nothing.

    Attributes:
        start: the first row that may be one, an int32 scalar, may be traced.
        stop: the row after the last, an int32 scalar, may be traced.
        mask: whether each row may be one, bool `[n_rows]`.
        ids: the rows that may be one, int32 `[n_ids]`, ascending; duplicates and numbers out of
            range are ignored.
        exclude: rows that may not be answers of each query, int32 `[batch, n]`, padded with -1.
    """

    start: Array | np.int32 | None = None
    stop: Array | np.int32 | None = None
    mask: Array | np.ndarray | None = None
    ids: Array | np.ndarray | None = None
    exclude: Array | None = None

    @property
    def n_excluded(self) -> int:
        """How many rows are excluded for each query, at most."""
        return 0 if self.exclude is None else self.exclude.shape[1]

    @property
    def n_ends(self) -> int:
        """How many ends of the range are given."""
        return (self.start is not None) + (self.stop is not None)

    def allows(self, rows: Int32[Array, "*batch n"]) -> Bool[Array, "*batch n"]:
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
        new = jnp.concatenate([jnp.ones(1, bool), ids[1:] != ids[:-1]])
        return RowFilter(mask=new & (ids >= 0) & (ids < n_rows), exclude=self.excluded_positions())

    def excluded_positions(self) -> Int32[Array, "batch n"] | None:
        """The positions in `ids` of the rows to exclude, -1 for those not in it."""
        if self.exclude is None:
            return None
        ids = jnp.asarray(self.ids)
        positions = jnp.searchsorted(ids, self.exclude).astype(jnp.int32)
        return jnp.where(ids.at[positions].get(mode="clip") == self.exclude, positions, -1)


def listed_rows(positions: Array, ids: Array | np.ndarray) -> Int32[Array, "batch k"]:
    """The rows at some positions of a list, -1 for negative positions."""
    rows = jnp.asarray(ids).at[jnp.maximum(positions, 0)].get(mode="promise_in_bounds")
    return jnp.where(positions < 0, -1, rows)
