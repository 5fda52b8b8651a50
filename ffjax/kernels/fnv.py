"""The two FNV-1a hashes of n-grams, for NumPy and for compiled code alike.

- finalfusion: 64-bit FNV-1a over the number of characters as eight bytes, then over each code point
  as four bytes, all little endian; the low `buckets_exp` bits are the bucket.
- fastText: 32-bit FNV-1a over the UTF-8 bytes, each taken as signed, so bytes from 0x80 up flip
  the upper 24 bits of the state too; the bucket is the remainder by the number of buckets.

XOR and multiplication carry upwards only, so the low half of a 64-bit state depends on low halves
alone. Buckets of up to 32 bits are therefore computed in 32-bit arithmetic on a device.

Parameters of FNV: https://datatracker.ietf.org/doc/html/rfc9923.
"""

from functools import lru_cache
from typing import Any

import numpy as np

OFFSET_32, PRIME_32 = 0x811C9DC5, 0x01000193
OFFSET_64, PRIME_64 = 0xCBF29CE484222325, 0x100000001B3


@lru_cache(256)
def length_state(n: int) -> np.uint64:
    """The 64-bit FNV-1a state of an n-gram of `n` characters before its first character."""
    state = OFFSET_64
    for byte in n.to_bytes(8, "little"):
        state = ((state ^ byte) * PRIME_64) % 2**64
    return np.uint64(state)


def finalfusion_extend(state: Any, code: Any) -> Any:
    """Finalfusion's states after one more code point; both uint32 for the low halves, or uint64."""
    number = state.dtype.type
    bits = 8 * state.dtype.itemsize
    once, twice = number(PRIME_64 % 2**bits), number(PRIME_64**2 % 2**bits)
    state = (state ^ (code & number(0xFF))) * once
    state = (state ^ ((code >> number(8)) & number(0xFF))) * once
    return (state ^ (code >> number(16))) * twice  # the fourth byte of a code point is zero


def fasttext_extend(state: Any, byte: Any) -> Any:
    """FastText's states after one more byte, both uint32."""
    signed = (byte ^ np.uint32(0x80)) - np.uint32(0x80)
    return (state ^ signed) * np.uint32(PRIME_32)


def fasttext_hash(raw: bytes) -> int:
    """FastText's hash of one string.

    Examples:
        >>> hex(fasttext_hash(b"tea"))
        '0xb401e629'
    """
    state = OFFSET_32
    for byte in raw:
        signed = byte if byte < 0x80 else byte | 0xFFFFFF00
        state = ((state ^ signed) * PRIME_32) & 0xFFFFFFFF
    return state
