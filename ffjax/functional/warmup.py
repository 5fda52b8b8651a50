"""Compiling ahead of time."""

from collections.abc import Iterable
from itertools import product

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax.functional.lookup import embed
from ffjax.functional.search import EmbeddingsLike
from ffjax.strings.strings import Strings


def warmup(
    embeddings: EmbeddingsLike,
    *,
    counts: Iterable[int] = (4, 16, 64, 256, 1024),
    widths: Iterable[int] = (16, 64),
    unnormalize: bool = False,
) -> int:
    """Compiles `embed` for the sizes that `pack` makes, so that no later call has to wait.

    The default sizes are all batches of up to 1024 words of up to 64 bytes: ten programs. They
    belong to embeddings of these shapes and settings, so other embeddings of the same kind and size
    share them.

    Args:
        embeddings: the embeddings.
        counts: numbers of rows; for larger batches powers of two from 2048, and widths of 16, 32
            and 64.
        widths: bytes a row.
        unnormalize: as in `embed`.

    Returns:
        The number of pairs of sizes.

    Raises:
        TypeError: if `embeddings` is something else, or sizes are not lists of whole numbers.
        ValueError: if a count is negative, or a width less than 1.

    Examples:
        >>> import ffjax
        >>> ffjax.warmup(ffjax.demo(), counts=[4], widths=[16])
        1
    """
    check_embeddings(embeddings)
    sizes = list(product(_sizes("counts", counts, 0), _sizes("widths", widths, 1)))
    for count, width in sizes:
        fillers = Strings(np.zeros((count, width), np.uint8), np.full(count, -1, np.int32))
        jax.block_until_ready(embed(embeddings, fillers, unnormalize=unnormalize))
    return len(sizes)


def _sizes(name: str, values: Iterable[int], least: int) -> list[int]:
    if not isinstance(values, Iterable) or isinstance(values, str):
        got = f"{type(values).__name__} {values!r}"
        raise TypeError(f"`{name}`: expected a list of sizes, got {got}.")
    return [whole_number(name, value, least) for value in values]
