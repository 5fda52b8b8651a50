"""Decimal numbers out of bytes, many at a time: what makes reading text fast.

A number is the correctly rounded float64 of its decimal digits, rounded again to float32: bit for
bit what `np.float32(float(text))` gives. Eight characters at once are read as a 64-bit word, whose
digits three multiplications turn into a number (D. Lemire, "Number parsing at a gigabyte per
second", 2021); that is divided by a power of ten. Both are exact in float64, the one below 2**53,
the other up to 10**22, so the quotient is correctly rounded (W. Clinger, "How to read floating
point numbers accurately", 1990). Python reads what is longer, has an exponent or is not a number.

This is code that nobody should have to change: it does one thing, in place and without branches,
and the tests compare it with `float` on millions of fields. Buffers have `PAD` bytes to spare on
both sides, and a length that is a multiple of eight.

Types of arrays stand in docstrings, since `ffjax info` reads text without jaxtyping.
"""

import numpy as np

# Words are read from up to 24 bytes before a field's start, and from the word after its end.
PAD = 32

_U = np.uint64
_ONES = _U(0x0101010101010101)
_HIGH = _U(0x8080808080808080)
_ZEROS = _U(0x3030303030303030)  # "00000000"
_POINTS = _U(0x2E2E2E2E2E2E2E2E)  # "........"
_ABOVE_9 = _U(0x7676767676767676)  # carries into the high bit of a byte above 9
_MINUS, _PLUS = 45, 43
_PAIRS = (_U(2561), _U(8), _U(0x00FF00FF00FF00FF))
_FOURS = (_U(6553601), _U(16), _U(0x0000FFFF0000FFFF))
_EIGHT = (_U(42949672960001), _U(32))
_TENS = 10.0 ** np.arange(23)
# By the byte of the point within its word (0 the first, 7 the last character), plus 8 for negative
# numbers.
_SCALE = np.concatenate([10.0 ** np.arange(7, -1, -1), -(10.0 ** np.arange(7, -1, -1))])


class Scratch:
    """Work space for `short_numbers`, allocated once; a small one stays in the cache."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.words = np.empty((6, n), np.int64)
        self.flags = np.empty((3, n), bool)
        self.bytes = np.empty(n, np.uint8)


def padded(n_bytes: int) -> np.ndarray:
    """A buffer for `n_bytes` from index `PAD` on."""
    return np.empty(PAD + (n_bytes + 7) // 8 * 8 + PAD, np.uint8)


def short_numbers(
    buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, out: np.ndarray, scratch: Scratch
) -> np.ndarray:
    """Reads numbers of up to eight digits with a point before one of the last seven: `-0.0382`.

    The bytes from `starts` to `ends` (int64) of `buffer` are the fields. Their numbers go to `out`
    (float32), where those of unread fields are arbitrary. Returns which are unread, bool, in an
    array that belongs to `scratch`.
    """
    words = buffer.view(np.uint64)
    n = starts.size
    a, b, c, d, e, f = scratch.words[:, :n]
    negative, bad, flag = scratch.flags[:, :n]
    before = scratch.bytes[:n]
    A, B, C, D, E = a.view(_U), b.view(_U), c.view(_U), d.view(_U), e.view(_U)

    # A: the last eight characters, from two aligned words; `before`: the character before those.
    np.subtract(ends, 9, out=f)
    np.take(buffer, f, out=before, mode="clip")
    f += 1
    np.bitwise_and(f, 7, out=b)
    b <<= 3
    f >>= 3
    np.take(words, f, out=A, mode="clip")
    f += 1
    np.take(words, f, out=C, mode="clip")
    A >>= B
    np.subtract(_U(64), B, out=B)
    C <<= B  # a shift by 64 gives 0
    A |= C

    # Characters before the field become zero bytes, so that no earlier point is found.
    np.subtract(ends, starts, out=f)
    np.minimum(f, 8, out=d)
    _keep_last(A, d)

    # B: 0x80 at the point.
    np.bitwise_xor(A, _POINTS, out=B)
    np.subtract(B, _ONES, out=C)
    np.invert(B, out=B)
    B &= C
    B &= _HIGH
    np.negative(b, out=c)
    B &= C
    np.equal(b, 0, out=bad)

    # The characters before the point move up by one, over it.
    np.right_shift(B, _U(7), out=C)
    C -= _U(1)
    np.bitwise_and(A, C, out=E)
    E <<= _U(8)
    np.copyto(D, before)
    E |= D
    np.left_shift(B, _U(1), out=C)
    C -= _U(1)
    np.invert(C, out=C)
    A &= C
    A |= E

    # Only digits stay: neither the sign nor anything before the field.
    np.take(buffer, starts, out=before, mode="clip")
    np.equal(before, _MINUS, out=negative)
    f -= 1
    f -= negative
    np.subtract(f, 1, out=d)
    np.greater(d.view(_U), _U(7), out=flag)  # fewer than one or more than eight
    bad |= flag
    A ^= _ZEROS
    np.copyto(d, f)
    _keep_last(A, d)
    np.add(A, _ABOVE_9, out=C)
    C |= A
    C &= _HIGH
    np.not_equal(C, _U(0), out=flag)
    bad |= flag
    _eight_digits(A)

    # As a float64 the point's bit 8 * j + 7 has the exponent 1030 + 8 * j = 8 * (128 + j) + 6.
    power = f.view(np.float64)
    np.copyto(power, b)
    f >>= 55
    f &= 7
    np.left_shift(negative.view(np.uint8), 3, out=before)
    f += before
    scale = c.view(np.float64)
    np.take(_SCALE, f, out=scale, mode="clip")
    value = d.view(np.float64)
    np.copyto(value, a)
    value /= scale
    np.copyto(out, value, casting="same_kind")
    return bad


def long_numbers(
    buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reads numbers of up to fifteen digits and a point, or sixteen digits, and perhaps a sign.

    Returns the numbers, and which fields were not read; their numbers are arbitrary.
    """
    words = buffer.view(np.uint64)
    first = buffer[starts]
    negative = first == _MINUS
    signed = negative | (first == _PLUS)
    length = ends - starts - signed

    # The sixteen last characters as two words, `low` the first eight of them.
    index, shift = (ends - 16) >> 3, ((ends & 7) << 3).view(_U)
    w0, w1, w2 = words[index], words[index + 1], words[index + 2]
    low = (w0 >> shift) | (w1 << (_U(64) - shift))
    high = (w1 >> shift) | (w2 << (_U(64) - shift))
    _keep_last(high, np.minimum(length, 8))
    _keep_last(low, np.clip(length - 8, 0, 8))

    point_high = _first_point(high)
    in_high = point_high != 0
    point_low = np.where(in_high, _U(0), _first_point(low))
    in_low = point_low != 0
    high = _close_gap(high, point_high) | np.where(in_high, low >> _U(56), _U(0))
    low = np.where(in_high, low << _U(8), _close_gap(low, point_low))

    digits = length - (in_high | in_low)
    bad = (digits < 1) | (length > 16)
    high ^= _ZEROS
    low ^= _ZEROS
    _keep_last(high, np.clip(digits, 0, 8))
    _keep_last(low, np.clip(digits - 8, 0, 8))
    for word in (high, low):
        bad |= ((word + _ABOVE_9 | word) & _HIGH) != 0
        _eight_digits(word)
    mantissa = low * _U(10**8) + high
    bad |= mantissa > _U(2**53)
    # The number of the byte that `_first_point` marked.
    byte = ((point_high | point_low).astype(np.float64).view(np.int64) >> 55) & 7
    decimals = np.where(in_high, 7 - byte, np.where(in_low, 15 - byte, 0))
    value = mantissa.astype(np.float64) / _TENS[decimals]
    return np.where(negative, -value, value).astype(np.float32), bad


def _keep_last(word: np.ndarray, count: np.ndarray) -> None:
    """Sets all but the last `count` bytes to zero; `count` (int64, at most 8) is overwritten."""
    count <<= 3
    np.subtract(64, count, out=count)
    shift = count.view(_U)
    word >>= shift
    word <<= shift


def _eight_digits(word: np.ndarray) -> None:
    """Turns eight digits, a byte each and the first one lowest, into their number, in place."""
    for factor, shift, mask in (_PAIRS, _FOURS):
        word *= factor
        word >>= shift
        word &= mask
    word *= _EIGHT[0]
    word >>= _EIGHT[1]


def _first_point(word: np.ndarray) -> np.ndarray:
    """0x80 in the byte of the first point of each word, 0 without one."""
    x = word ^ _POINTS
    points = (x - _ONES) & ~x & _HIGH
    return points & (~points + _U(1))


def _close_gap(word: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Moves the characters before the point over it."""
    one = (point != 0).astype(_U)  # a word without a point stays as it is
    after = word & ~((point << _U(1)) - one)
    before = word & ((point >> _U(7)) - one)
    return after | (before << _U(8))
