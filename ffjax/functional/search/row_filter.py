"""Which rows a search is restricted to: what `candidates=` may be, checked and in one form."""

import operator
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

RowsLike = Any  # a slice, a range, a mask or an array of row numbers


class Chosen(NamedTuple):
    """The rows that may be answers; what is None does not restrict.

    Attributes:
        start: the first row, an `int` or an int32 scalar that may be traced.
        stop: the row after the last.
        mask: whether each row may be one, bool `[n_rows]`.
        ids: row numbers, int32 `[n]`; those outside of the storage are none.
        ascending: whether these ascend.
    """

    start: Any = None
    stop: Any = None
    mask: Any = None
    ids: Any = None
    ascending: bool = True


def chosen(rows: RowsLike, n_rows: int) -> Chosen:
    """Checks `candidates` and brings it into one form.

    Raises:
        TypeError: it is something else.
        ValueError: a mask of another length, or more than one dimension.
        IndexError: a row number that is known is not one of the rows.
    """
    if rows is None:
        return Chosen()
    if isinstance(rows, slice | range):
        return _of_slice(rows, n_rows)
    try:
        array = rows if isinstance(rows, jax.Array | np.ndarray) else np.asarray(rows)
    except ValueError:
        array = np.zeros(1, object)  # lists of different lengths, refused below
    if array.dtype == bool:
        if array.shape != (n_rows,):
            raise ValueError(f"`candidates`: expected a mask of shape ({n_rows},), one entry a row, got {array.shape}.")
        return Chosen(mask=array)
    if array.ndim != 1 and array.dtype.kind in "iuf":
        raise ValueError(f"`candidates`: expected one dimension of row numbers, got shape {array.shape}.")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(
            "`candidates`: expected a slice, a range, a mask of booleans or an array of row numbers, "
            f"got {type(rows).__name__} of {array.dtype}."
        )
    if not isinstance(array, jax.core.Tracer):
        found = np.asarray(array)
        if found.size and (found.min() < 0 or found.max() >= n_rows):
            raise IndexError(f"`candidates`: expected 0 to {n_rows - 1}, got {found.min()} to {found.max()}.")
        if not (np.diff(found) > 0).all():
            found = np.unique(found)
        return Chosen(ids=found.astype(np.int32))
    return Chosen(ids=array.astype(jnp.int32), ascending=False)


def as_row(end: Any) -> Any:
    """An end of a range as an int32 scalar, if there is one."""
    return None if end is None else jnp.asarray(end, jnp.int32)


def _of_slice(rows: slice | range, n_rows: int) -> Chosen:
    if isinstance(rows, slice) and any(isinstance(end, jax.Array) for end in (rows.start, rows.stop)):
        if rows.step is not None and operator.index(rows.step) != 1:
            raise ValueError(f"`candidates`: expected a step of 1 where the ends of a slice are arrays, got {rows.step}.")
        return Chosen(start=_from_top(rows.start, n_rows), stop=_from_top(rows.stop, n_rows))
    try:
        span = range(*rows.indices(n_rows)) if isinstance(rows, slice) else rows
    except TypeError as error:
        raise TypeError(f"`candidates`: expected a slice of whole numbers, got {rows}.") from error
    if len(span) == 0:
        return Chosen(start=0, stop=0)
    if span.step < 0:
        span = span[::-1]
    if span[0] < 0 or span[-1] >= n_rows:
        raise IndexError(f"`candidates`: expected rows from 0 to {n_rows - 1}, got {rows}.")
    if span.step == 1:
        return Chosen(start=span.start if span.start > 0 else None, stop=span.stop if span.stop < n_rows else None)
    return Chosen(ids=np.arange(span.start, span.stop, span.step, dtype=np.int32))


def _from_top(end: Any, n_rows: int) -> Any:
    """The end of a slice, which counts from the last row if it is negative, as Python's do."""
    if end is None:
        return None
    end = jnp.asarray(end, jnp.int32)
    return jnp.where(end < 0, jnp.maximum(end + n_rows, 0), end)
