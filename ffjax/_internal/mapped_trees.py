"""Memory maps among the arrays of a value."""

from typing import Any

import jax
import numpy as np

from ffjax._internal.memmap import release_array_pages


def is_mapped(tree: Any) -> bool:
    """Whether an array of the tree is a memory map."""
    return any(isinstance(leaf, np.memmap) for leaf in jax.tree.leaves(tree))


def release_pages(tree: Any, *, keep: float = 0.0) -> None:
    """Takes the pages of memory maps out of this process's memory.

    Call this after each block when scanning a memory map; resident memory then stays at one block.
    The pages may stay in the system's cache and are read again when they are needed.

    Args:
        tree: an array, a storage, or anything else whose leaves may be maps or stretches of maps.
        keep: leave maps that take no more than this share of the machine's memory. Entering their
            pages in the page table again would take longer than searching them.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     rows = np.memmap(file, np.float32, "w+", shape=(2, 2))
        >>> rows[:] = 1
        >>> release_pages(rows)
        >>> rows.tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    for leaf in jax.tree.leaves(tree):
        release_array_pages(leaf, keep=keep)
