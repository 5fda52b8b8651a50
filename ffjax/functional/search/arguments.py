"""The arguments and answers of searches; `candidates=` and `exclude=` as a `RowFilter`."""

import operator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float32, Int32

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.arrays import AnyArray, as_int32
from ffjax._internal.distinct import distinct
from ffjax._internal.file_arguments import check_choice
from ffjax._internal.pytree import value
from ffjax.kernels.top_k.rows import METRICS, RowFilter
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab


@runtime_checkable
class EmbeddingsLike(Protocol):
    """What the device functions need of `Embeddings`."""

    @property
    def storage(self) -> Storage:
        """The rows."""
        ...

    @property
    def vocab(self) -> Vocab:
        """The words."""
        ...

    @property
    def norms(self) -> Norms | None:
        """The norms of the words' rows."""
        ...


@value(static=("recall",))
class TopK:
    """The best rows for each query, best first.

    Attributes:
        scores: float32 `[*batch, k]`; minus infinity where there were fewer than `k` candidates.
        rows: int32 `[*batch, k]`; -1 there.
        recall: the share of the best rows that the search is expected to find, 1 if it is exact;
            `None` if nobody knows, as in `search_index`.
    """

    scores: Float32[AnyArray, "*batch k"]
    rows: Int32[AnyArray, "*batch k"]
    recall: float | None = 1.0


def checked_k(k: Any) -> int:
    """`k` as an `int`."""
    hint = "It is part of the answer's shape, so inside `jit` it must be a static argument."
    return whole_number("k", k, 0, hint)


def searched_rows(embeddings: EmbeddingsLike | Storage) -> tuple[Storage, int]:
    """The storage, and how many rows of it are searched."""
    if isinstance(embeddings, Storage):
        return embeddings, len(embeddings)
    check_embeddings(embeddings, expected="Embeddings or a storage")
    return embeddings.storage, embeddings.vocab.n_word_rows


def check_search(storage: Storage, queries: Any, metric: str) -> None:
    """Checks the dimensions of queries and the name of a metric."""
    shape, dims = np.shape(queries), storage.shape[1]
    if not shape or shape[-1] != dims:
        raise ValueError(f"`queries`: expected {dims} dimensions, got shape {shape}.")
    if not dims:
        raise ValueError("`embeddings`: expected rows of at least one dimension, got 0.")
    check_metric(metric)


def check_metric(metric: str) -> None:
    """Checks the name of a metric."""
    check_choice("metric", metric, METRICS)


def check_options(shape: tuple[int, ...], exclude: Any, approximate: float | None) -> None:
    """Checks the shape of `exclude`, and a recall."""
    if exclude is not None and exclude.shape[:-1] != shape[:-1]:
        raise ValueError(
            f"`exclude`: expected shape {shape[:-1]} and one more axis, a list of rows for each "
            f"query, got {exclude.shape}."
        )
    if approximate is None:
        return
    expected = "`approximate`: expected a recall above 0 and up to 1, or None"
    if isinstance(approximate, bool) or not isinstance(approximate, float | int | np.number):
        raise TypeError(f"{expected}, got {type(approximate).__name__} {approximate!r}.")
    if not 0 < approximate <= 1:
        raise ValueError(f"{expected}, got {approximate}.")


def row_filter(candidates: Any, exclude: AnyArray | None, n_rows: int) -> RowFilter:
    """The filter for a slice, a range, a mask or row numbers, any of which may be traced."""
    if candidates is None:
        return RowFilter(exclude=exclude)
    if isinstance(candidates, slice | range):
        return _of_slice(candidates, n_rows)._replace(exclude=exclude)
    array = candidates
    if not isinstance(candidates, jax.Array | np.ndarray):
        try:
            array = np.asarray(candidates)
        except ValueError:  # lists of different lengths
            array = np.zeros(1, object)
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
        ids = distinct(ids)
    return RowFilter(ids=ids.astype(np.int32), exclude=exclude)


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
