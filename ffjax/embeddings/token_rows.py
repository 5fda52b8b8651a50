"""The rows of a static model's tokens: checked, read, and added up."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import array_of
from ffjax._internal.arrays import on_host
from ffjax.kernels.ragged import Ragged
from ffjax.strings.tokenizer_file import TokenizerFile

_DTYPES = ("float32", "float16", "bfloat16", "float64", "int8")
# Numbers of vectors that are computed at a time, which stay in a CPU's cache.
_VECTOR_NUMBERS = 1 << 18
# Whole numbers up to this one are exact in float32.
_EXACT = 1 << 24


class TokenRows(NamedTuple):
    """The rows of tokens.

    Attributes:
        rows: `[n_rows, dims]`.
        mapping: the row of each token, or `None` if token i has row i.
        weights: a factor for each token, or `None`.
    """

    rows: np.ndarray
    mapping: np.ndarray | None
    weights: np.ndarray | None

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """The weighted rows of tokens, in the type that NumPy gives their product."""
        rows = self.rows[tokens if self.mapping is None else self.mapping[tokens]]
        if rows.dtype.kind == "V":  # bfloat16
            rows = rows.astype(np.float32)
        return rows if self.weights is None else rows * self.weights[tokens][:, None]

    def sums(self, tokens: Ragged) -> Iterator[tuple[slice, np.ndarray]]:
        """The sums of the rows of lists of tokens, for some lists at a time."""
        table, ids = self.rows, tokens.values
        if self.mapping is not None or self.weights is not None or table.dtype.itemsize < 4:
            occurs = np.zeros(len(self.rows if self.mapping is None else self.mapping), bool)
            occurs[ids] = True
            table = self.read(np.flatnonzero(occurs))
            ids = (np.cumsum(occurs, dtype=np.int32) - np.int32(1))[ids]
        if table.dtype.itemsize < 4:
            is_exact = 128 * tokens.counts.max(initial=0) < _EXACT
            table = table.astype(np.float32 if is_exact else np.float64)
        splits, step = tokens.splits, max(1, _VECTOR_NUMBERS // max(1, table.shape[1]))
        for start in range(0, len(splits) - 1, step):
            bounds = splits[start : start + step + 1]
            lists = Ragged(ids[bounds[0] : bounds[-1]], (bounds - bounds[0]).astype(np.int32))
            yield slice(start, start + len(bounds) - 1), lists.sum_rows(table)


def checked_arrays(rows: Any, mapping: Any, weights: Any, tokenizer: TokenizerFile) -> TokenRows:
    """The arrays of a model, none of which can be written to; an error if they don't fit."""
    if not isinstance(rows, np.ndarray | jax.Array):
        raise TypeError(f"`rows`: expected a NumPy or JAX array, got {type(rows).__name__}.")
    if rows.ndim != 2 or rows.dtype.name not in _DTYPES or not rows.dtype.isnative:
        raise TypeError(
            f"`rows`: expected 2 dimensions of {', '.join(_DTYPES)}, got {rows.ndim} of "
            f"{rows.dtype}."
        )
    n_tokens = max(tokenizer.vocab.values(), default=-1) + 1
    if mapping is not None:
        mapping = _per_token("mapping", mapping, jnp.integer, "a row", n_tokens)
        if mapping.size and not 0 <= mapping.min() <= mapping.max() < len(rows):
            expected, got = f"0 to {len(rows) - 1}", f"{mapping.min()} to {mapping.max()}"
            raise ValueError(f"`mapping`: expected numbers from {expected}, got {got}.")
    elif len(rows) != len(tokenizer.vocab) or n_tokens > len(rows):
        raise ValueError(
            f"`rows`: expected one for each token, {max(n_tokens, len(tokenizer.vocab))}, got "
            f"{len(rows)}. With `mapping` tokens may share rows."
        )
    if weights is not None:
        weights = _per_token("weights", weights, jnp.floating, "a factor", n_tokens)
    return TokenRows(frozen(rows), mapping, weights)


def frozen(array: Any) -> Any:
    """An array that does not change: a copy of a NumPy array that can be written to."""
    if isinstance(array, np.ndarray) and not isinstance(array, np.memmap) and array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def file_bytes(name: str, content: Any) -> np.ndarray:
    """The content of a file as an array."""
    if isinstance(content, bytes):
        return np.frombuffer(content, np.uint8)
    return frozen(on_host(array_of(name, content, jnp.uint8, "the bytes of a file", (None,))))


def _per_token(name: str, array: Any, kind: Any, what: str, n_tokens: int) -> Any:
    """An array with an entry for each token."""
    array = frozen(array_of(name, array, kind, f"{what} for each token", (None,)))
    if len(array) < n_tokens:
        raise ValueError(
            f"`{name}`: expected {what} for each of {n_tokens} tokens, got {len(array)}."
        )
    return array
