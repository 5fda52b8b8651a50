"""Many small numbers in one Python integer, so that one operation of the interpreter serves all of them.

A *lane* is a fixed number of bytes of a big integer, lane 0 in the lowest. Multiplying the integer by a small one
multiplies every lane, if no product is wider than a lane. For the n-grams of one word this is several times as fast as
a loop, and as NumPy, whose calls cost more than such small arrays are worth.
"""

# Words of up to so many characters use constants that were made in advance.
HELD = 64


def ones(count: int, lane: int) -> int:
    """The integer with 1 in each of `count` lanes of `lane` bytes.

    Example:
        >>> hex(ones(3, 1))
        '0x10101'
    """
    return ((1 << 8 * lane * count) - 1) // ((1 << 8 * lane) - 1)


def spread(values: bytes, lane: int) -> int:
    """The integer with one byte of `values` in each lane of `lane` bytes.

    Example:
        >>> hex(spread(b"abc", 2))
        '0x6300620061'
    """
    lanes = bytearray(lane * len(values))
    lanes[::lane] = values
    return int.from_bytes(lanes, "little")
