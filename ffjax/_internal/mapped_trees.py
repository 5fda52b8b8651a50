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
    The pages may stay in the system's cache. Maps that take no more than the share `keep` of the
    machine's memory are left: entering their pages again would take longer than searching them.
    """
    for leaf in jax.tree.leaves(tree):
        release_array_pages(leaf, keep=keep)
