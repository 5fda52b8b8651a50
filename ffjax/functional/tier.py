"""Which tier answers a method that takes strings: NumPy at once, or compiled code.

A new program takes half a second to several seconds, so work that takes NumPy less than about a
tenth of that is done in NumPy. The estimates below are all there is to the choice. The environment
variable `FFJAX_COMPILE` overrides them: `always` or `never`. Both tiers give the same answers.
"""

import os
from typing import Any

import jax

from ffjax._internal.arrays import host_view

# Numbers that are multiplied, times the storage's `host_cost`: NumPy takes about 60 ms.
SEARCH_NUMBERS = 400_000_000


def in_numpy(work: int, limit: int, *trees: Any) -> bool:
    """Whether NumPy does some work: no more than a limit, on a CPU, with arrays on the host."""
    choice = os.environ.get("FFJAX_COMPILE", "")
    if choice in ("always", "never"):
        return choice == "never"
    if work > limit or jax.default_backend() != "cpu":
        return False
    return all(host_view(leaf) is not None for leaf in jax.tree.leaves(trees))
