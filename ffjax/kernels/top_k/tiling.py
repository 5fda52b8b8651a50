"""Tile sizes of a search, which depend on the hardware."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import lax
from jaxtyping import Array


class Tiling(NamedTuple):
    """Sizes and choices that depend on the hardware; they never change an answer.

    At a time there are `queries`, `maxima` of blocks, `chunk_numbers` (of rows and scores) in the
    pass over rows, and `gathered_numbers` of rows that are scored again. Narrow floats are widened
    before the product (`widen`) or by it; a maximum visits a block's rows in order (`sequential`)
    or in a tree; a few queries may use the source's `tables`. From `threshold` answers of all
    queries on, `threshold_select` replaces `lax.top_k`.
    """

    chunk_numbers: int
    queries: int
    maxima: int
    gathered_numbers: int
    widen: bool
    sequential: bool
    tables: bool
    threshold: int | None


# Measured on two cores of an AMD EPYC (Zen 4, 1 MiB of level 2 cache each): see `benchmarks/`.
CPU = Tiling(
    chunk_numbers=1 << 20,
    queries=256,
    maxima=1 << 23,
    gathered_numbers=1 << 20,
    widen=True,
    sequential=True,
    tables=True,
    threshold=1 << 11,
)
# Large steps, since each is a launch; the scores of a chunk are 256 MiB.
ACCELERATOR = Tiling(
    chunk_numbers=1 << 26,
    queries=1024,
    maxima=1 << 28,
    gathered_numbers=1 << 26,
    widen=False,
    sequential=False,
    tables=False,
    threshold=None,
)


def tiling_of(arrays: list[Any]) -> Tiling:
    """The tiling for the device on which an eager call over these arrays runs."""
    committed = [array for array in arrays if isinstance(array, jax.Array) and array.committed]
    if committed:
        device = next(iter(committed[0].devices()))
    else:
        default = jax.config.jax_default_device  # type: ignore[attr-defined]
        device = default or jax.default_backend()
    platform = device if isinstance(device, str) else device.platform
    return CPU if platform == "cpu" else ACCELERATOR


def for_platform(function: Callable[..., Any], tiling: Tiling | None, *arguments: Array) -> Any:
    """`function(tiling, *arguments)`; without a tiling, that of the platform compiled for."""
    if tiling is not None:
        return function(tiling, *arguments)
    # Inside a caller's `jit` the platform is known only when the program is lowered, perhaps for
    # several platforms (`jax.export`): both versions are traced and one is compiled.
    cpu, default = partial(function, CPU), partial(function, ACCELERATOR)
    return lax.platform_dependent(*arguments, cpu=cpu, default=default)
