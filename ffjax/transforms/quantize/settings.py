"""How quantizers are trained: the options of `quantize`, checked and with their defaults."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ffjax._internal.arguments import whole_number
from ffjax._internal.warn import warn_user

# As `Progress`, called with what is being done first.
Report = Callable[[str, int, int], None]

# Training rows for each centroid by default; faiss takes as many.
_ROWS_PER_CENTROID = 256
_ITERATIONS = {"pq": 25, "opq": 50}


class PQSettings(NamedTuple):
    """How codebooks are trained."""

    subquantizers: int  # vectors that a row is divided into
    centroids: int  # in each codebook, a power of two
    iterations: int  # steps of k-means, or rotations
    attempts: int  # how often to start again, to keep the best
    sample: int  # rows to train on


def pq_settings(method: str, rows: int, dims: int, options: dict[str, Any]) -> PQSettings:
    """The checked options of `"pq"` or `"opq"`, with defaults where they are `None`."""

    def number(name: str, default: int) -> int:
        if options[name] is None:
            return default
        hint = "Leave it out, or give None, for the default."
        return whole_number(name, options[name], 1, hint)

    # Half of the dimensions or a third, or all of them where they have neither.
    default = next((dims // divisor for divisor in (2, 3) if dims % divisor == 0), dims)
    subquantizers = number("subquantizers", default)
    bits = number("bits", 8)
    if bits > 8:
        raise ValueError(f"`bits`: expected 1 to 8, since a code is a byte, got {bits}.")
    divisors = ", ".join(str(n) for n in range(1, dims + 1) if dims % n == 0)
    if dims % subquantizers:
        expected = f"expected a divisor of the {dims} dimensions ({divisors})"
        raise ValueError(f"`subquantizers`: {expected}, got {subquantizers}.")
    centroids = 1 << bits
    if rows < centroids:
        hint = f" Take `bits={rows.bit_length() - 1}` or less." if rows > 1 else ""
        raise ValueError(
            f"`embeddings`: expected at least {centroids} rows, one for each centroid of {bits} "
            f"bits, got {rows}.{hint}"
        )
    sample = number("sample", _ROWS_PER_CENTROID * centroids)
    if sample < centroids:
        expected = f"expected at least {centroids} rows, one for each centroid"
        raise ValueError(f"`sample`: {expected}, got {sample}.")
    iterations = number("iterations", _ITERATIONS[method])
    settings = PQSettings(subquantizers, centroids, iterations, number("attempts", 1), sample)
    if options["subquantizers"] is None and subquantizers == dims > 1:
        warn_user(
            f"`subquantizers`: {dims} dimensions have neither a half nor a third, so each is "
            f"quantized by itself, and a row takes {dims} bytes. Give `subquantizers` "
            f"({divisors}) to choose, or reduce the vectors to {dims - 1} dimensions first."
        )
    return settings
