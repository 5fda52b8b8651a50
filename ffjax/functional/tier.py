"""Which tier answers a method that takes strings: NumPy at once, or compiled code.

A new program takes half a second to several seconds, so work that takes NumPy less than about a
tenth of that is done in NumPy. The estimates below are all there is to the choice. The environment
variable `FFJAX_COMPILE` overrides them: `always` or `never`. Both tiers give the same answers.
"""

import os
from typing import Any

import jax

from ffjax._internal.arrays import all_on_host

# Numbers of rows, times the storage's `host_cost`, that a search multiplies in 60 ms, and that are
# read or added up for words in 20 ms. An unknown word has about so many n-grams.
SEARCH_NUMBERS, LOOKUP_NUMBERS, NGRAMS = 400_000_000, 10_000_000, 32
# Words that are looked up in the hash table, and bytes of text.
FOUND_WORDS, TEXT_BYTES = 1 << 14, 1 << 18


def in_numpy(work: float | int, limit: int, *trees: Any) -> bool:
    """Whether NumPy does some work: no more than a limit, on a CPU, with arrays on the host."""
    choice = os.environ.get("FFJAX_COMPILE", "")
    if choice in ("always", "never"):
        return choice == "never"
    if choice:
        raise ValueError(
            f"the environment variable FFJAX_COMPILE: expected always or never, got {choice!r}."
        )
    return work <= limit and jax.default_backend() == "cpu" and all_on_host(*trees)
