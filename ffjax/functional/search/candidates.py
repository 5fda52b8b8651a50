"""`candidates=` and `exclude=` of a search: checked and made a `RowFilter`."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ffjax._internal.arrays import AnyArray, as_int32
from ffjax.kernels.top_k.row_filter import RowFilter


def row_filter(candidates: Any, exclude: AnyArray | None, n_rows: int) -> RowFilter:
    """The filter for a slice, a range, a mask or row numbers, any of which may be traced."""
    if candidates is None:
        return RowFilter(exclude=exclude)
    if isinstance(candidates, slice | range):
        return _of_slice(candidates, n_rows)._replace(exclude=exclude)
    array = _array(candidates)
    if array.dtype == bool:
        if array.shape != (n_rows,):
            expected = f"expected a mask of shape ({n_rows},), one entry a row"
            raise ValueError(f"`candidates`: {expected}, got {array.shape}.")
        return RowFilter(mask=array, exclude=exclude)
    if array.ndim != 1 and array.dtype.kind in "iuf":
        raise ValueError(
            f"`candidates`: expected one dimension of row numbers, got shape {array.shape}."
        )
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(
            "`candidates`: expected a slice, a range, a mask of booleans or an array of row "
            f"numbers, got {type(candidates).__name__} of {array.dtype}."
        )
    if isinstance(array, Tracer):
        return RowFilter(ids=jnp.sort(as_int32(array)), exclude=exclude)
    ids = np.asarray(array)
    if ids.size and (ids.min() < 0 or ids.max() >= n_rows):
        got = f"{ids.min()} to {ids.max()}"
        raise IndexError(f"`candidates`: expected 0 to {n_rows - 1}, got {got}.")
    if not (np.diff(ids) > 0).all():
        ids = np.unique(ids)
    return RowFilter(ids=ids.astype(np.int32), exclude=exclude)


def _array(candidates: Any) -> Array | np.ndarray:
    if isinstance(candidates, jax.Array | np.ndarray):
        return candidates
    try:
        return np.asarray(candidates)
    except ValueError:  # lists of different lengths
        return np.zeros(1, object)


def _of_slice(rows: slice | range, n_rows: int) -> RowFilter:
    if isinstance(rows, slice) and any(isinstance(x, jax.Array) for x in (rows.start, rows.stop)):
        if rows.step is not None and operator.index(rows.step) != 1:
            raise ValueError(
                "`candidates`: expected a step of 1 where the ends of a slice are arrays, "
                f"got {rows.step}."
            )
        return RowFilter(_from_top(rows.start, n_rows), _from_top(rows.stop, n_rows))
    try:
        span = range(*rows.indices(n_rows)) if isinstance(rows, slice) else rows
    except TypeError as error:
        raise TypeError(f"`candidates`: expected a slice of whole numbers, got {rows}.") from error
    if len(span) == 0:
        return RowFilter(np.int32(0), np.int32(0))
    if span.step < 0:
        span = span[::-1]
    if span[0] < 0 or span[-1] >= n_rows:
        raise IndexError(f"`candidates`: expected rows from 0 to {n_rows - 1}, got {rows}.")
    if span.step != 1:
        return RowFilter(ids=np.arange(span.start, span.stop, span.step, dtype=np.int32))
    start = np.int32(span.start) if span.start > 0 else None
    return RowFilter(start, np.int32(span.stop) if span.stop < n_rows else None)


def _from_top(end: Any, n_rows: int) -> Array | None:
    """An end of a slice, counted from the last row if negative."""
    if end is None:
        return None
    end = as_int32(jnp.asarray(end))
    return jnp.where(end < 0, jnp.maximum(end + n_rows, 0), end)
