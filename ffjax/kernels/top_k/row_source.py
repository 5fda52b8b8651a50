"""What a search is told: the rows, which of them may be answers, and sizes that follow the hardware."""

from collections.abc import Callable
from typing import NamedTuple

from jax import lax
from jaxtyping import Array, Bool, Int32

from ffjax.kernels.reciprocal_norms import reciprocal_norms


def _lengths(rows: Array, exact: bool) -> Array:
    return reciprocal_norms(rows)


class RowSource(NamedTuple):
    """Rows to search, however they are stored.

    What is read may be the rows before a linear map, which is then applied to the queries, since products are the same:
    `turned` does that, and `lengths` knows those behind the map.

    Attributes:
        n_rows: how many rows there are.
        chunk: `chunk(start, size)` gives `size` rows from row `start` (may be traced) on, shape `[size, dims]`.
        rows: `rows(ids)` gives the rows with these numbers, shape `[n, dims]` for ids of shape `[n]`.
        turned: what to multiply them with, given the queries, shape `[batch, dims]`.
        lengths: `lengths(rows, exact)` gives one over the lengths of rows that were read; in the pass over all rows,
            not `exact`, they may differ as rounding does.
        tables: `tables(queries, unit)` gives what scores chunks without reading rows: a function like `chunk` with the
            scores of all queries, `[size, batch]`, divided by the rows' lengths if `unit`. `None` if rows are read.
        scores: that function.
    """

    n_rows: int
    chunk: Callable[[Array | int, int], Array]
    rows: Callable[[Array], Array]
    turned: Callable[[Array], Array] = lambda queries: queries
    lengths: Callable[[Array, bool], Array] = _lengths
    tables: Callable[[Array, bool], Callable[[Array | int, int], Array] | None] | None = None
    scores: Callable[[Array | int, int], Array] | None = None


def of_matrix(matrix: Array, n_rows: int | None = None) -> RowSource:
    """The first rows of a matrix, by default all.

    The barriers tie the matrix to the step of the loop that reads it. Without them XLA's CPU backend, which knows no
    slice of bfloat16, widens the whole matrix to float32 before the loop.
    """

    def chunk(start: Array | int, size: int) -> Array:
        held, first = lax.optimization_barrier((lax.stop_gradient(matrix), start))
        return lax.dynamic_slice_in_dim(held, first, size)

    def rows(ids: Array) -> Array:
        tied, ids = lax.optimization_barrier((matrix, ids))
        return tied.at[ids].get(mode="promise_in_bounds")

    return RowSource(matrix.shape[0] if n_rows is None else n_rows, chunk, rows)


class RowFilter(NamedTuple):
    """What scales the scores and which rows may be answers. What is None costs nothing.

    Attributes:
        factors: what to multiply the score of each row with, float32 `[n_rows]`.
        unit: whether to divide the score of each row by the row's length (zero rows score zero).
        allowed: whether a row may be an answer, bool `[n_rows]`.
        start: the first row that may be one, int32, may be traced.
        stop: the row after the last, int32, may be traced.
        exclude: rows that may not be answers of each query, int32 `[batch, n]`, -1 to fill up.
    """

    factors: Array | None = None
    unit: bool = False
    allowed: Array | None = None
    start: Array | None = None
    stop: Array | None = None
    exclude: Array | None = None

    def applied(self, valid: Bool[Array, "*batch n"], rows: Int32[Array, "*batch n"]) -> Bool[Array, "*batch n"]:
        """Which of some valid rows may be answers, those left out for each query not yet considered."""
        if self.start is not None:
            valid &= rows >= self.start
        if self.stop is not None:
            valid &= rows < self.stop
        if self.allowed is not None:
            valid &= self.allowed.at[rows].get(mode="promise_in_bounds")
        return valid


class Tiling(NamedTuple):
    """Sizes, which follow the hardware.

    Attributes:
        chunk: numbers (of rows and of scores) that one step of the pass over the rows works on.
        queries: queries searched at a time.
        maxima: most maxima of blocks held at a time.
        gathered: numbers read at a time when rows are scored once more.
        widen: whether narrow floats are widened before they are multiplied, not by the product itself.
        in_order: whether a maximum takes the rows of a block one after the other, and not in a tree.
        tables: whether few queries are looked up in tables where the source has them.
        threshold: from how many answers, over all queries, on they are chosen by a threshold instead of `lax.top_k`,
            see `ffjax.kernels.top_k.threshold_select`; None for never.
    """

    chunk: int
    queries: int
    maxima: int
    gathered: int
    widen: bool
    in_order: bool
    tables: bool
    threshold: int | None


# Measured on two cores of an AMD EPYC (Zen 4, 1 MiB of level 2 cache each): see `benchmarks/`.
CPU = Tiling(
    chunk=1 << 20,
    queries=256,
    maxima=1 << 23,
    gathered=1 << 20,
    widen=True,
    in_order=True,
    tables=True,
    threshold=1 << 11,
)
# Large steps, since each is a launch; the scores of a chunk are 256 MiB.
ACCELERATOR = Tiling(
    chunk=1 << 26,
    queries=1024,
    maxima=1 << 28,
    gathered=1 << 26,
    widen=False,
    in_order=False,
    tables=False,
    threshold=None,
)
