"""Search block by block, for rows that the device does not hold: memory maps, composed rows.

A block is read while the previous one is searched, then released: memory stays at a few blocks.
On CPUs the rows of a map are searched in place.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ffjax._internal.arrays import ALIGNMENT, AnyArray, aligned_empty, release_pages
from ffjax._internal.memmap import read_ahead
from ffjax.kernels.top_k.block_max import Answers, take_best
from ffjax.kernels.top_k.rows import RowFilter, listed_rows, of_flat
from ffjax.kernels.top_k.search import Plan, no_answers, top_k_rows
from ffjax.storage import NdArray, Storage

_BLOCK_BYTES = 1 << 26
_COMPOSED_ROWS = 1 << 14
_ALIGNED_ROWS = 32
# The share of the machine's memory up to which a map stays in memory.
KEEP = 0.25


# Reads a block of so many rows from a first one on: a storage, or a flat array with the offset in
# it of the first row.
_Read = Callable[[int, int], tuple[np.ndarray | Storage, int]]


def search_out_of_core(
    storage: Storage,
    queries: Any,
    row_filter: RowFilter,
    n_rows: int,
    plan: Plan,
    block_bytes: int = _BLOCK_BYTES,
) -> Answers:
    """Searches the first `n_rows` rows of a storage in blocks; not for use inside `jit`."""
    best = no_answers(queries.shape[0], plan.k)
    n, base, read, at_once = _rows(storage, row_filter, n_rows, block_bytes)
    if best[0].size == 0 or n == 0:
        return best
    n_blocks = -(-n // at_once)
    size = min(n, -(-n // (n_blocks * _ALIGNED_ROWS)) * _ALIGNED_ROWS)
    # The last block reaches back, so that all have one size and share a program.
    starts = [min(start, n - size) for start in range(0, n, size)]
    search = partial(_search_block, queries=queries, shape=(size, storage.shape[1]), plan=plan)
    ids, mask = row_filter.ids, row_filter.mask
    with ThreadPoolExecutor(1, thread_name_prefix="ffjax") as pool:
        coming, previous = pool.submit(read, base + starts[0], size), None
        for i, start in enumerate(starts):
            block, offset = coming.result()
            row = base + start
            block_mask = None if mask is None else np.asarray(mask[row : row + size])
            block_ids = None if ids is None else ids[start : start + size]
            first = np.int32(i * size - start)
            local_filter = RowFilter(first, None, block_mask, block_ids, row_filter.exclude)
            # One block is searched while the next is read; no third is in memory.
            jax.block_until_ready(best)
            release_pages(previous, keep=KEEP)
            best = search(best, block, np.array([row, offset], np.int32), local_filter)
            previous = block
            if i + 1 < len(starts):
                coming = pool.submit(read, base + starts[i + 1], size)
        jax.block_until_ready(best)
        release_pages(previous, keep=KEEP)
    return best


def map_slice(matrix: np.ndarray, first: int, size: int) -> tuple[np.ndarray, int]:
    """`size` rows from row `first` on as a flat array that a device can use, copied if need be.

    Also gives the offset of the first row in the array. All slices of one size of one matrix have
    one shape, so they share compiled programs.
    """
    dims, item = matrix.shape[1], matrix.itemsize
    step = max(1, ALIGNMENT // item)
    length = -(-(size * dims + step - 1) // step) * step
    address = matrix.ctypes.data + first * dims * item
    offset, misaligned = divmod(address % ALIGNMENT, item)
    start = first * dims - offset
    in_place = not misaligned and matrix.flags.c_contiguous
    if in_place and start >= 0 and start + length <= matrix.size:
        flat = matrix.reshape(-1)[start : start + length]
    else:
        flat, offset = aligned_empty((length,), matrix.dtype), 0
        flat[: size * dims] = matrix[first : first + size].reshape(-1)
        flat[size * dims :] = 0
    read_ahead(flat)
    return flat, offset


def _rows(
    storage: Storage, row_filter: RowFilter, n_rows: int, block_bytes: int
) -> tuple[int, int, _Read, int]:
    """The rows to search: how many, the first one, how to read a block, and rows of a block."""
    if row_filter.ids is not None:
        ids = np.asarray(row_filter.ids)
        at_once = max(1, block_bytes // (4 * max(1, storage.shape[1])))

        def listed(first: int, size: int) -> tuple[Storage, int]:
            return NdArray(storage.embedding(ids[first : first + size])), 0

        return len(ids), 0, listed, at_once
    base = 0 if row_filter.start is None else max(0, int(row_filter.start))
    stop = n_rows if row_filter.stop is None else min(n_rows, int(row_filter.stop))
    if isinstance(storage, NdArray):
        read = partial(map_slice, np.asarray(storage.matrix))
    else:
        read = partial(_read_block, storage)
    arrays = jax.tree.leaves([getattr(storage, name) for name in storage.row_arrays])
    row_bytes = sum(array.nbytes for array in arrays) // max(1, len(storage))
    at_once = block_bytes // max(1, row_bytes) if arrays else _COMPOSED_ROWS
    return max(0, stop - base), base, read, max(1, at_once)


def _read_block(storage: Storage, first: int, size: int) -> tuple[Storage, int]:
    """Some rows on the device; the pages that they were read from are released."""

    def read(array: AnyArray) -> AnyArray:
        if not isinstance(array, np.memmap):
            return array
        copied = jax.device_put(np.array(array))
        release_pages(array, keep=KEEP)
        return copied

    return jax.tree.map(read, storage.slice_rows(slice(first, first + size))), 0


@partial(jax.jit, static_argnames=("shape", "plan"))
def _search_block(
    best: Answers,
    block: Array | Storage,
    position: Array,
    row_filter: RowFilter,
    *,
    queries: Array,
    shape: tuple[int, int],
    plan: Plan,
) -> Answers:
    """The best rows so far and of one block; among equal scores earlier blocks come first."""
    row, offset = position
    ids, exclude = row_filter.ids, row_filter.exclude
    if isinstance(block, Storage):
        source = block.row_source(shape[0])
    else:
        source = of_flat(block, offset, shape)
    if ids is not None:
        exclude = row_filter.excluded_positions()
    elif exclude is not None:
        exclude = jnp.where((exclude >= row) & (exclude < row + shape[0]), exclude - row, -1)
    row_filter = row_filter._replace(ids=None, exclude=exclude)
    scores, rows = top_k_rows(source, queries, row_filter, plan)
    rows = jnp.where(rows < 0, -1, rows + row) if ids is None else listed_rows(rows, ids)
    scores = jnp.concatenate([best[0], scores], 1)
    return take_best(scores, jnp.concatenate([best[1], rows], 1), plan.k)
