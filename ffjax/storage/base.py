"""The interface of storages: row ids to rows.

Lookup, search, saving, sharding, transforms and gradients are written against `Storage`. A new
storage is one new module with a subclass of it, or of `RowArrays` if its rows lie in arrays that
have an entry for each row. It defines what is abstract; the rest follows from `shape`, `gather` and
`read`, and a storage that knows a faster way may replace it.

    on the device   gather, partial_sum, finish_sum, gather_sum, add_gradient, row_source
    on the host     read, view_rows, embedding, row_blocks, host_scores, [...], np.asarray
    whole storages  take, concat, slice_rows, to_tree, from_tree
"""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Integer

from ffjax._internal.arguments import check_out, row_key
from ffjax._internal.arrays import (
    AnyArray,
    aligned_empty,
    all_on_host,
    host_view,
    is_mapped,
    release_pages,
    with_automatic_axes,
)
from ffjax._internal.chunk import Chunk, SnapshotValue
from ffjax._internal.pytree import replace
from ffjax.kernels.gather_sum import gather_sum
from ffjax.kernels.top_k.rows import RowSource
from ffjax.kernels.top_k.top_k_numpy import Queries, Scores, row_scores

Ids: TypeAlias = Integer[AnyArray, "*batch"]
Slots: TypeAlias = Int32[Array, "*batch slots"]
Vectors: TypeAlias = Float[Array, "*batch dims"]
NewRows: TypeAlias = Float[np.ndarray, "n dims"]
Gradient: TypeAlias = tuple[Array, ...]
RowKey: TypeAlias = slice | np.ndarray

# Numbers of a block of rows: 16 MiB of float32.
_BLOCK_NUMBERS = 1 << 22


class Storage(Chunk, SnapshotValue):
    """Rows of numbers, one for each word or n-gram.

    Storages are immutable pytrees. Methods that take ids as JAX arrays are compiled code; indexing
    with `[...]` gives NumPy arrays. A subclass is registered for snapshots by its `kind`, as in
    `class Rows(Storage, kind="Rows")`.

    Attributes:
        row_arrays: the fields that have an entry for each row, by which rows can be divided over
            devices; empty if they cannot.
        host_cost: how long NumPy takes to read a row, compared with a row of float32.
        is_divided: whether the value itself says how its rows are divided over devices.
    """

    row_arrays: ClassVar[tuple[str, ...]] = ()
    host_cost: ClassVar[float] = 4
    is_divided: ClassVar[bool] = False

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""

    @property
    def sums_are_linear(self) -> bool:
        """Whether `partial_sum` is linear in the leaves of floats, so has no second derivatives."""
        return False

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers that are read: float32 unless the rows are stored in another."""
        return np.dtype(np.float32)

    @abstractmethod
    def gather(self, ids: Ids) -> Vectors:
        """The rows with these numbers, in compiled code; numbers are clipped into range."""

    def partial_sum(self, ids: Slots) -> Vectors:
        """As `gather_sum`, before the linear step that `finish_sum` does once for many sums."""
        return gather_sum(self.gather, ids, self.shape[1])

    def finish_sum(self, total: Vectors) -> Vectors:
        """The sum of rows, given the sum of their `partial_sum`s."""
        return total

    def gather_sum(self, ids: Slots) -> Vectors:
        """The float32 sum of the rows named in each line of `ids`, those below zero left out."""
        return self.finish_sum(self.partial_sum(ids))

    def ngram_rows(self, first: int) -> "tuple[Storage, int]":
        """A storage that holds the rows from `first` on, and their first row in it."""
        return self, first

    def add_gradient(self, gradient: Gradient, ids: Slots, cotangent: Vectors) -> Gradient:
        """Adds what `partial_sum(ids)` passes back for a cotangent.

        The gradient is a float32 array for each leaf of floats, in the order of the leaves.
        """
        _, pull_back = jax.vjp(lambda storage: storage.partial_sum(ids), self)
        leaves = jax.tree.leaves(pull_back(cotangent))
        leaves = [leaf for leaf in leaves if leaf.dtype != jax.dtypes.float0]
        pairs = zip(gradient, leaves, strict=True)
        return tuple(total + leaf.astype(jnp.float32) for total, leaf in pairs)

    def row_source(self, n_rows: int) -> RowSource:
        """The first `n_rows` rows as search reads them: decoded in chunks, never as a whole."""

        def chunk(start: Array | int, size: int) -> Array:
            return self.gather(start + jnp.arange(size, dtype=jnp.int32))

        return RowSource(n_rows, chunk, self.gather)

    @abstractmethod
    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows on the host, in an array that the caller owns.

        Args:
            ids: an `int`, a slice or an integer array, none negative and all in range.
            out: an array of the answer's shape to write the rows to.
        """

    def view_rows(self, rows: RowKey) -> np.ndarray:
        """Rows on the host that the caller must not change: not copied if they exist as rows."""
        return self.read(rows)

    def host_scores(self, rows: RowKey, queries: Queries, *, unit: bool) -> Scores:
        """The products of some rows with queries in NumPy, divided by rows' norms if `unit`."""
        return row_scores(self.view_rows(rows), queries, unit=unit)

    def take(self, ids: np.ndarray) -> "Storage":
        """A storage in memory of the rows with these numbers, in this order."""
        return self.slice_rows(slice(None)).take(ids)

    def concat(self, rows: NewRows, at: int | None = None) -> "Storage":
        """A storage in memory with more rows: from row `at` on, or after the last."""
        return self.slice_rows(slice(None)).concat(rows, at)

    @abstractmethod
    def slice_rows(self, key: slice) -> "Storage":
        """A storage of the rows of a slice, views where that is possible.

        The defaults of `take` and `concat` are those of the storage that this gives for all rows.
        """

    @property
    def is_mapped(self) -> bool:
        """Whether an array of the storage is a memory map."""
        return is_mapped(self)

    @property
    def on_host(self) -> bool:
        """Whether the host reads rows without a copy from another device."""
        return all_on_host(self)

    @property
    def reads_on_host(self) -> bool:
        """Whether the host reads many rows at least as fast as compiled code does."""
        return False

    def host_matrix(self) -> Float32[np.ndarray, "rows dims"] | None:
        """The rows in host memory or a map of them, if they are float32 and need no decoding."""
        return None

    @property
    def nbytes(self) -> int:
        """The bytes that all arrays of the storage take."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self))

    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows as a NumPy array that the caller owns.

        Args:
            key: an `int` for one row; a slice, a mask, or integers as a list or an array for
                several. Negative numbers count from the last row.
            out: where to write the answer, of the answer's shape.

        Raises:
            TypeError: if `key` is something else, or `out` is not an array.
            IndexError: if a number is out of range.
            ValueError: if `out` has another shape or type, or is read-only.
        """
        rows, dims = self.shape
        if type(key) is int and out is None and 0 <= key < rows:
            return self.read(key)  # one word's row, asked for by its string: every step counts
        key = row_key(key, rows)
        if out is not None:
            batch = (len(range(rows)[key]),) if isinstance(key, slice) else np.shape(key)
            check_out(out, (*batch, dims), self.dtype)
        return self.read(key, out)

    def row_blocks(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        rows: int | None = None,
        finite: Callable[[int], str] | None = None,
    ) -> Iterator[tuple[int, Float32[np.ndarray, "n dims"]]]:
        """Rows in blocks, as float32: the number of the first and the rows, which the caller owns.

        Pages of memory maps are released after each block, so that memory stays that of a block.

        Args:
            start: the first row.
            stop: the row after the last; all rows by default.
            rows: rows of a block; by default as many as take 16 MiB.
            finite: if given, a row with NaN or infinity is an error that calls it `finite(row)`.

        Raises:
            ValueError: if there is a row with NaN or infinity, and `finite` is given.
        """
        stop = len(self) if stop is None else stop
        step = max(1, rows or _BLOCK_NUMBERS // max(1, self.shape[1]))
        for first in range(start, stop, step):
            block = self.read(slice(first, min(first + step, stop)))
            block = block.astype(np.float32, copy=False)
            if finite is not None:
                check_finite(block, first, finite)
            yield first, block
            release_pages(self)

    def __getitem__(self, key: Any) -> Any:
        """A storage of the rows of a slice, or rows as NumPy arrays for anything else."""
        return self.slice_rows(key) if isinstance(key, slice) else self.embedding(key)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(row) for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows; quantized ones are reconstructed."""
        if copy is not False:
            return np.asarray(self.read(slice(None)), dtype=dtype)
        matrix = self.host_matrix()
        if matrix is None:
            raise ValueError(
                f"`copy`: expected True or None, since a {type(self).__name__} makes its rows when "
                "they are read, got False."
            )
        return np.asarray(matrix, dtype=dtype, copy=False)

    def __repr__(self) -> str:
        rows, dims = self.shape
        return f"{type(self).__name__}({rows} x {dims}{self._details()})"

    def _details(self) -> str:
        """What the repr says after the shape."""
        return ""


class RowArrays(Storage):
    """A storage whose `row_arrays` have an entry for each row; all rows share its other fields."""

    @abstractmethod
    def encode(self, rows: NewRows) -> dict[str, np.ndarray]:
        """The entries of the row arrays that stand for other rows."""

    def take(self, ids: np.ndarray) -> Storage:
        """A storage in memory of the rows with these numbers, in this order."""

        def taken(array: Any) -> Array:
            source = np.asarray(array)
            out = aligned_empty((len(ids), *source.shape[1:]), source.dtype)
            np.take(source, ids, axis=0, out=out, mode="clip")  # "raise" would buffer
            return jax.device_put(out)

        return self._with_row_arrays(taken)

    def slice_rows(self, key: slice) -> Storage:
        """A storage of the rows of a slice, views where that is possible."""
        return self._with_row_arrays(lambda array: array[key])

    def concat(self, rows: NewRows, at: int | None = None) -> Storage:
        """A storage in memory with more rows: from row `at` on, or after the last."""
        at = len(self) if at is None else at
        stop, fields = at + len(rows), self.encode(rows)
        for name, new in fields.items():
            old = np.asarray(getattr(self, name))
            out = aligned_empty((len(old) + len(rows), *old.shape[1:]), old.dtype)
            out[:at], out[at:stop], out[stop:] = old[:at], new, old[at:]
            fields[name] = jax.device_put(out)
        return replace(self, **fields)

    def read_arrays(self, ids: Any) -> list[Any]:
        """Entries of the row arrays on the host; of another device's only these are fetched."""
        return [None if array is None else np.asarray(array[ids]) for array in self._readable]

    @cached_property
    def _readable(self) -> list[Any]:
        arrays = [getattr(self, name) for name in self.row_arrays]
        views = [None if array is None else host_view(array) for array in arrays]
        pairs = zip(arrays, views, strict=True)
        return [with_automatic_axes(x) if view is None else view for x, view in pairs]

    def _with_row_arrays(self, change: Callable[[Any], Any]) -> Storage:
        fields = {name: getattr(self, name) for name in self.row_arrays}
        return replace(self, **jax.tree.map(change, fields))


def check_finite(rows: np.ndarray, start: int, name: Callable[[int], str]) -> None:
    """Checks rows from row `start` on; an error calls a row with NaN or infinity `name(row)`."""
    valid = np.isfinite(rows).all(axis=1)
    if not valid.all():
        row = name(start + int(valid.argmin()))
        raise ValueError(
            f"`embeddings`: expected finite numbers, got NaN or infinity in {row}. "
            "Replace them, or leave the word out with `ffjax.select_words`."
        )


def rows_hash(storage: Storage, n_rows: int | None = None) -> Any:
    """A hash of the first rows as float32, wherever and however they are stored."""
    n_rows = len(storage) if n_rows is None else n_rows
    digest = hashlib.blake2b(f"{n_rows} x {storage.shape[1]}".encode(), digest_size=32)
    for _, rows in storage.row_blocks(0, n_rows):
        digest.update(rows.astype("<f4", order="C", copy=False).data)
    return digest


def written(rows: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """The rows, or `out` with them."""
    if out is None:
        return rows
    out[...] = rows
    return out


def float_leaves(tree: Any) -> list[Any]:
    """The leaves of a tree that hold floats, which are those that have gradients."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def with_float_leaves(tree: Any, leaves: Any) -> Any:
    """The tree with other leaves of floats."""
    new = iter(leaves)
    is_float = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)  # noqa: E731
    return jax.tree.map(lambda leaf: next(new) if is_float(leaf) else leaf, tree)
