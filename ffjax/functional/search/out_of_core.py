"""Search block by block, for rows that the device does not hold: memory maps, and rows composed on the host.

A block is read while the one before it is searched, and forgotten when it has been, so memory stays what a few blocks
take, however long the file. On the CPU the rows of a map are searched where they lie.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ffjax._internal.arrays import AnyArray
from ffjax._internal.memmap import read_ahead, release_pages
from ffjax.functional.search.in_memory import top_k_in
from ffjax.functional.search.map_slices import Window, window
from ffjax.functional.search.row_filter import Chosen
from ffjax.functional.search.row_sources import of_window, placed
from ffjax.kernels.top_k.block_max import take_best
from ffjax.kernels.top_k.row_source import RowFilter
from ffjax.storage import ComposedArray, NdArray, QuantizedArray, Storage

_BLOCK_BYTES = 1 << 26
_COMPOSED_ROWS = 1 << 14
_MULTIPLE = 32


class _Rows(NamedTuple):
    """Rows to search, numbered from zero in the order in which they are read.

    Attributes:
        n: how many.
        base: the row in the storage of number zero.
        ids: the row in the storage of each number, ascending, instead of `base`.
        read: reads `size` of them from number `first` on.
        at_once: how many to read at a time.
    """

    n: int
    base: int
    ids: np.ndarray | None
    read: Callable[[int, int], Window | Storage]
    at_once: int


def search_blocks(
    storage: Storage,
    queries: Array,
    exclude: Array | None,
    only: Chosen,
    *,
    k: int,
    metric: str,
    n_rows: int,
    block_bytes: int = _BLOCK_BYTES,
    keep: float = 0.25,
) -> tuple[Array, Array]:
    """Searches a storage in blocks; not for use inside of `jit`.

    Args:
        storage: the rows.
        queries: shape `[batch, dims]`.
        exclude: rows to leave out for each query.
        only: the rows that may be answers; `ids` ascend.
        k: how many.
        metric: how to score.
        n_rows: how many rows of the storage there are to search.
        block_bytes: how much to read at a time.
        keep: the share of the machine's memory up to which a map stays in memory, see `release_pages`.

    Returns:
        `(scores, rows)` as for a storage in memory.
    """
    batch = queries.shape[0]
    best = jnp.full((batch, k), -jnp.inf, jnp.float32), jnp.full((batch, k), -1, jnp.int32)
    rows = _rows(storage, only, n_rows, block_bytes, keep)
    if batch == 0 or k == 0 or rows.n == 0:
        return best
    number = -(-rows.n // rows.at_once)
    size = min(rows.n, -(-rows.n // (number * _MULTIPLE)) * _MULTIPLE)
    # The last block reaches back, so that all have one size and share a program.
    firsts = [min(new, rows.n - size) for new in range(0, rows.n, size)]
    search = partial(_search, queries=queries, exclude=exclude, shape=(size, storage.shape[1]), k=k, metric=metric)
    with ThreadPoolExecutor(1, thread_name_prefix="ffjax") as pool:
        coming, before = pool.submit(rows.read, firsts[0], size), None
        for i, first in enumerate(firsts):
            held = coming.result()
            if i + 1 < len(firsts):
                coming = pool.submit(rows.read, firsts[i + 1], size)
            row = rows.base + first
            mask = None if only.mask is None else np.asarray(only.mask[row : row + size])
            ids = None if rows.ids is None else rows.ids[first : first + size]
            flat, lead = held if isinstance(held, Window) else (held, 0)
            after = search(best, flat, np.array([row, i * size - first, lead], np.int32), mask, ids)
            if before is not None:  # one block is searched while the next one is read; no third is in memory
                jax.block_until_ready(best)
                release_pages(before, keep=keep)
            best, before = after, held.flat if isinstance(held, Window) else None
        jax.block_until_ready(best)
        if before is not None:
            release_pages(before, keep=keep)
    return best


def _rows(storage: Storage, only: Chosen, n_rows: int, block_bytes: int, keep: float) -> _Rows:
    if only.ids is not None:
        ids = only.ids
        at_once = max(1, block_bytes // (4 * max(1, storage.shape[1])))
        return _Rows(
            len(ids), 0, ids, lambda first, size: NdArray(storage.embedding(ids[first : first + size])), at_once
        )
    base = 0 if only.start is None else max(0, int(only.start))
    n = max(0, (n_rows if only.stop is None else min(n_rows, int(only.stop))) - base)
    if isinstance(storage, NdArray):
        matrix = np.asarray(storage.matrix)

        def map_rows(first: int, size: int) -> Window:
            held = window(matrix, base + first, size)
            read_ahead(held.flat)
            return held

        return _Rows(n, base, None, map_rows, max(1, block_bytes // max(1, matrix.itemsize * matrix.shape[1])))
    if isinstance(storage, QuantizedArray):
        at_once = block_bytes // max(1, storage.quantized_len)
        return _Rows(n, base, None, lambda first, size: _codes(storage, base + first, size, keep), max(1, at_once))
    at_once = _COMPOSED_ROWS if isinstance(storage, ComposedArray) else block_bytes // (4 * max(1, storage.shape[1]))
    return _Rows(n, base, None, lambda first, size: storage[base + first : base + first + size], max(1, at_once))


def _codes(storage: QuantizedArray, first: int, size: int, keep: float) -> Storage:
    """Some rows of codes, read and handed to the device; the pages they were read from are let go."""
    part = storage[first : first + size]

    def read(array: AnyArray) -> AnyArray:
        if not isinstance(array, np.memmap):
            return array
        held = jax.device_put(np.array(array))
        release_pages(array, keep=keep)
        return held

    return jax.tree.map(read, part)


@partial(jax.jit, static_argnames=("shape", "k", "metric"))
def _search(
    best: tuple[Array, Array],
    held: Array | Storage,
    place: Array,
    mask: Array | None,
    ids: Array | None,
    *,
    queries: Array,
    exclude: Array | None,
    shape: tuple[int, int],
    k: int,
    metric: str,
) -> tuple[Array, Array]:
    """The best rows so far and of one block; those of earlier blocks come first where scores are equal."""
    row, new, lead = place
    source = held.row_source(shape[0]) if isinstance(held, Storage) else of_window(held, lead, shape)
    if exclude is not None:
        inside = (exclude >= row) & (exclude < row + shape[0])
        exclude = jnp.where(inside, exclude - row, -1) if ids is None else placed(exclude, ids)
    restriction = RowFilter(allowed=mask, start=new, exclude=exclude)
    scores, places = top_k_in(source, queries, k, metric, restriction)
    found = places + row if ids is None else ids.at[jnp.maximum(places, 0)].get(mode="promise_in_bounds")
    found = jnp.where(places < 0, -1, found)
    return take_best(jnp.concatenate([best[0], scores], 1), jnp.concatenate([best[1], found], 1), k)
