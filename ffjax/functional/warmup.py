"""Compiling ahead of time."""

from collections.abc import Iterable

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax.functional.lookup import EmbeddingsLike, embed
from ffjax.strings.strings import Strings


def warmup(
    embeddings: EmbeddingsLike,
    *,
    counts: Iterable[int] = (4, 16, 64, 256, 1024),
    widths: Iterable[int] = (16, 64),
    unnormalize: bool = False,
) -> int:
    """Compiles the programs of `embed` for the sizes that `pack` makes, so that no later call has to wait.

    With the default sizes these are all batches of up to 1024 words of up to 64 bytes: ten programs. They belong to
    embeddings of these shapes and settings, so other embeddings of the same kind and size share them.

    Args:
        embeddings: the embeddings.
        counts: numbers of rows; for larger batches powers of two from 2048, and widths of 16, 32 and 64.
        widths: bytes a row.
        unnormalize: as in `embed`.

    Returns:
        How many pairs of sizes there were.

    Raises:
        TypeError: `embeddings` is something else, or sizes are no lists of whole numbers.
        ValueError: a count is negative, or a width less than 1.

    Examples:
        >>> import ffjax
        >>> ffjax.warmup(ffjax.demo(), counts=[4], widths=[16])
        1
    """
    check_embeddings(embeddings)
    counts, widths = _sizes("counts", counts, 0), _sizes("widths", widths, 1)
    sizes = [(count, width) for count in counts for width in widths]
    for count, width in sizes:
        nothing = Strings(np.zeros((count, width), np.uint8), np.full(count, -1, np.int32))
        jax.block_until_ready(embed(embeddings, nothing, unnormalize=unnormalize))
    return len(sizes)


def _sizes(name: str, values: Iterable[int], least: int) -> list[int]:
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise TypeError(f"`{name}`: expected a list of sizes, got {type(values).__name__} {values!r}.")
    return [whole_number(name, value, least) for value in values]
