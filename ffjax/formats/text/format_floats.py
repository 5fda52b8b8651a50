"""float32 to decimal text: the shortest that reads back as the same bits, many numbers at a time.

Seven to nine digits distinguish a float32 from its neighbours. If seven are enough, zeros at their
end are dropped, which finds every shorter decimal. Whether a number of digits is enough is tried:
the number is rounded to that many, which is exact in float64, and then to float32 again. The digits
are written sixteen at once, as two 64-bit words.

Like `parse_floats`, this is code that nobody should have to change.
"""

import numpy as np
from jaxtyping import Float32

_U = np.uint64
# Numbers outside of this range are written with an exponent, one row at a time.
_LOW, _HIGH = np.float32(1e-5), np.float32(1e7)
_COARSE, _FINE = np.float32(2**-10), np.float32(1e-3)
_TENS = 10.0 ** np.arange(16)
_BLOCK_NUMBERS = 1 << 14  # what fits the cache
_WIDTH = 18  # a sign, sixteen digits and a point less a leading zero, a space
_ZEROS = _U(0x3030303030303030)


def _word(characters: bytes) -> np.uint64:
    return np.frombuffer(characters, "<u8").astype(_U)[0]


# For a point at byte 0 to 15 of two words: what precedes it, and the point itself.
_BEFORE = [[_word((b"\xff" * at + bytes(16))[i : i + 8]) for at in range(16)] for i in (0, 8)]
_POINT = [[_word((bytes(at) + b"." + bytes(16))[i : i + 8]) for at in range(16)] for i in (0, 8)]
_AFTER = [[_word((bytes(at + 1) + b"\xff" * 16)[i : i + 8]) for at in range(16)] for i in (0, 8)]
_BEFORE, _POINT, _AFTER = (np.array(table, _U) for table in (_BEFORE, _POINT, _AFTER))


def format_rows(rows: Float32[np.ndarray, "n dims"]) -> list[bytes]:
    """Each row as text, its numbers separated by spaces.

    Args:
        rows: the numbers; NaN and infinities are written as `nan`, `inf` and `-inf`.

    Examples:
        >>> format_rows(np.array([[0.1, -2.5, 3.0], [1e-30, np.nan, 0.0]], np.float32))
        [b'0.1 -2.5 3.0', b'1e-30 nan 0.0']
    """
    step = max(1, _BLOCK_NUMBERS // max(1, rows.shape[1]))
    lines: list[bytes] = []
    for start in range(0, len(rows), step):
        lines += _format_block(rows[start : start + step])
    return lines


def _format_block(rows: np.ndarray) -> list[bytes]:
    numbers = rows.reshape(-1)
    size = np.abs(numbers)
    with np.errstate(invalid="ignore"):
        usual = ((size >= _LOW) & (size < _HIGH)) | (size == 0)
    mantissas, decimals = _shortest(np.where(usual, size, np.float32(0)))
    text, lengths = _write(mantissas, decimals, np.signbit(numbers))
    ends = np.cumsum(lengths.reshape(rows.shape).sum(axis=1)).tolist()
    lines = [text[start : end - 1] for start, end in zip([0, *ends[:-1]], ends, strict=False)]
    for i in np.flatnonzero(~usual.reshape(rows.shape).all(axis=1)).tolist():
        lines[i] = " ".join(map(str, rows[i])).encode()
    return lines


def _shortest(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Digits as whole numbers, and how many of them are decimals, at least one."""
    wide = size.astype(np.float64)
    exponents = np.floor(np.log10(np.where(size > 0, wide, 1))).astype(np.int64)
    decimals = 6 - exponents
    mantissas, same = _rounded(wide, size, decimals)
    remaining = np.flatnonzero(~same)
    # Seven digits are finer than these float32: two decimals may fit, and the nearest hide a zero.
    coarse = np.flatnonzero((size >= _COARSE) & (size < _FINE))
    six, fits = _rounded(wide[coarse], size[coarse], decimals[coarse] - 1)
    mantissas[coarse] = np.where(fits, 10 * six, mantissas[coarse])
    for zeros, power in ((4, 10**4), (2, 100), (1, 10), (1, 10)):
        quotient = mantissas // power
        short = same & (quotient * power == mantissas) & (decimals > zeros)
        mantissas = np.where(short, quotient, mantissas)
        decimals -= zeros * short
    for last_digit in (7, 8):
        i = remaining
        decimals[i] = last_digit - exponents[i]
        mantissas[i], same = _rounded(wide[i], size[i], decimals[i])
        remaining = i[~same]
    padded = mantissas * 10 ** np.clip(1 - decimals, 0, 3)
    return np.where(decimals < 1, padded, mantissas), np.maximum(decimals, 1)


def _rounded(
    wide: np.ndarray, size: np.ndarray, decimals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers rounded to some decimals, as integers, and whether the float32 is the same."""
    scale = _TENS[np.clip(decimals, 0, 15)]
    rounded = np.rint(wide * scale)
    return rounded.astype(np.int64), (rounded / scale).astype(np.float32) == size


def _write(
    mantissas: np.ndarray, decimals: np.ndarray, negative: np.ndarray
) -> tuple[bytes, np.ndarray]:
    """The text of all numbers, each followed by a space, and the length of each."""
    n = len(mantissas)
    high = mantissas // 10**8
    words = [_digits(high.view(_U)), _digits((mantissas - high * 10**8).view(_U))]
    at = 15 - decimals
    # What precedes the point moves one to the left, over a leading zero.
    moved = [(words[0] >> _U(8)) | (words[1] << _U(56)), words[1] >> _U(8)]
    page = np.empty((n, _WIDTH), np.uint8)
    for i in (0, 1):
        word = (moved[i] & _BEFORE[i][at]) | _POINT[i][at] | (words[i] & _AFTER[i][at])
        page[:, 1 + 8 * i : 9 + 8 * i] = word.astype("<u8").view(np.uint8).reshape(n, 8)
    page[:, _WIDTH - 1] = ord(" ")
    integers = mantissas // (_TENS[decimals]).astype(np.int64)
    n_digits = np.searchsorted(10 ** np.arange(1, 8), integers, side="right") + 1
    first = 1 + at - n_digits - negative
    minus = np.flatnonzero(negative)
    page[minus, first[minus]] = ord("-")
    return page[np.arange(_WIDTH) >= first[:, None]].tobytes(), _WIDTH - first


def _digits(number: np.ndarray) -> np.ndarray:
    """Numbers below 10**8 as eight digits, the first one in the lowest byte."""
    fours = number // _U(10**4)
    x = fours | ((number - fours * _U(10**4)) << _U(32))
    # x * 10486 >> 20 is x // 100 below 10**4, and x * 103 >> 10 is x // 10 below 100.
    twos = ((x * _U(10486)) >> _U(20)) & _U(0x0000007F0000007F)
    x = twos | ((x - twos * _U(100)) << _U(16))
    ones = ((x * _U(103)) >> _U(10)) & _U(0x000F000F000F000F)
    return (ones | ((x - ones * _U(10)) << _U(8))) | _ZEROS
