"""Rows at unit length: how readers scale them, and how writers undo it.

Several float32 numbers may become the same number of unit length, and seven digits do not always
tell them apart. Numbers of up to six digits, as most files have, always come back.
"""

import numpy as np

_CACHED_NUMBERS = 1 << 15  # what fits the cache
_FIRST_POWER = -40
_POWERS = 10.0 ** np.arange(_FIRST_POWER, 60)
_LEAST = 1e-45  # below all of float32 but zero


def row_norms(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """The norms of rows, 1 where they are not finite, and how many are not."""
    with np.errstate(over="ignore", invalid="ignore"):
        wide = rows.astype(np.float64)  # in which no square of a float32 overflows
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide)).astype(np.float32)
    infinite = ~np.isfinite(norms)
    norms[infinite] = 1
    return norms, int(np.count_nonzero(infinite))


def unit_length(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Scales rows to unit length in place: their norms, and how many have no finite norm.

    Zero rows stay zero, with norm 0 (finalfusion-python divides by it and gets NaN). Rows without
    a finite norm stay as they are, with norm 1, so that nothing of them is lost.
    """
    norms, n_infinite = np.empty(len(rows), np.float32), 0
    step = max(1, _CACHED_NUMBERS // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        lengths, n = row_norms(block)
        norms[start : start + step] = lengths
        n_infinite += n
        with np.errstate(invalid="ignore"):  # signaling NaN
            block /= np.where(lengths > 0, lengths, np.float32(1))[:, None]
    return norms, n_infinite


def original_rows(units: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """The rows that `unit_length` scaled, or those of the fewest digits that become these.

    Examples:
        >>> rows = np.array([[0.947, 0.7]], np.float32)
        >>> norms, _ = unit_length(rows)
        >>> print(rows[0, 0] * norms[0], original_rows(rows, norms)[0, 0])
        0.94699997 0.947
    """
    rows = np.empty(units.shape, np.float32)
    step = max(1, _CACHED_NUMBERS // max(1, units.shape[1]))
    for start in range(0, len(units), step):
        block = slice(start, start + step)
        with np.errstate(all="ignore"):
            _undo(units[block], norms[block, None], rows[block])
    return rows


def _undo(units: np.ndarray, norms: np.ndarray, rows: np.ndarray) -> None:
    np.multiply(units, norms, out=rows)
    bits = rows.view(np.int32)
    lower, upper = ((bits + np.int32(step)).view(np.float32) for step in (-1, 1))
    is_shared = (lower / norms == units) | (upper / norms == units)
    shared = np.flatnonzero(is_shared)
    norm = np.repeat(norms[:, 0], np.count_nonzero(is_shared, axis=1))
    unit, best = units.reshape(-1)[shared], rows.reshape(-1)[shared]
    number = unit.astype(np.float64) * norm
    exponents = np.floor(np.log10(np.maximum(np.abs(number), _LEAST)))
    power = _POWERS[(6 - _FIRST_POWER - exponents).astype(np.intp)]
    for scale in (power, power / 10):  # seven digits, and six
        short = (np.rint(number * scale) / scale).astype(np.float32)
        np.copyto(best, short, where=short / norm == unit)
    rows.reshape(-1)[shared] = best
