"""The two FNV-1a hashes of n-grams: finalfusion's and fastText's.

- finalfusion: 64-bit FNV-1a over the number of characters as eight bytes, then over each code point as four bytes, all
  little endian; the low `buckets_exp` bits are the bucket.
- fastText: 32-bit FNV-1a over the UTF-8 bytes, except that each byte is taken as signed, so that bytes from 0x80 up
  flip the upper 24 bits of the state too; the bucket is the remainder by the number of buckets.

Low bits of an FNV state depend on nothing but its low bits, as XOR and multiplication carry upwards only. So buckets
of up to 32 bits need the low half of the 64-bit state alone, and a batch is hashed in 32-bit arithmetic, on NumPy
arrays or on a device by the same code (`finalfusion_extend`, `fasttext_extend`).

For one word on the host, array calls would cost more than the work. There a word is hashed in Python's big integers,
each n-gram start in a lane of its own: a multiplication by the prime then is one for all starts (`FinalfusionLanes`,
`FastTextLanes`). Lanes are wide enough that no product runs into the next.

Parameters of FNV: https://datatracker.ietf.org/doc/html/rfc9923.
"""

from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from ffjax.kernels.swar import HELD, ones, spread

OFFSET_32, PRIME_32 = 0x811C9DC5, 0x01000193
OFFSET_64, PRIME_64 = 0xCBF29CE484222325, 0x100000001B3


def length_state(n: int) -> int:
    """The 64-bit FNV-1a state of an n-gram of `n` characters before its first character."""
    state = OFFSET_64
    for byte in n.to_bytes(8, "little"):
        state = ((state ^ byte) * PRIME_64) % 2**64
    return state


def finalfusion_extend(state: Any, code: Any) -> Any:
    """The low halves of finalfusion's states after one more character.

    Args:
        state: the states so far, uint32; the low half of `length_state(n)` before the first of `n` characters, so
            that n-grams of different lengths share no work.
        code: the next code points, uint32 in the same shape.
    """
    once, twice = np.uint32(PRIME_64 % 2**32), np.uint32(PRIME_64**2 % 2**32)
    state = (state ^ (code & np.uint32(0xFF))) * once
    state = (state ^ ((code >> np.uint32(8)) & np.uint32(0xFF))) * once
    return (state ^ (code >> np.uint32(16))) * twice  # the fourth byte of a code point is zero


def fasttext_extend(state: Any, character: Any, *, xp: ModuleType = jnp) -> Any:
    """FastText's states of n-grams that are one character longer.

    Args:
        state: the states so far, uint32; `OFFSET_32` before the first character.
        character: the next characters, of up to four bytes, little endian, uint32 in the same shape.
        xp: the array namespace, `jax.numpy` or `numpy`.
    """
    state = fasttext_byte(state, character & np.uint32(0xFF))
    for k in (1, 2, 3):
        # Bytes after the first are continuation bytes: not zero, so a character that has byte k is at least 256**k,
        # and negative when signed, so the bytes above it in the character do no harm.
        grown = (state ^ (character >> np.uint32(8 * k) | np.uint32(0xFFFFFF00))) * np.uint32(PRIME_32)
        state = xp.where(character >= np.uint32(256**k), grown, state)
    return state


def fasttext_byte(state: Any, byte: Any) -> Any:
    """FastText's states after one more byte (uint32, below 256), taken as signed."""
    return (state ^ ((byte ^ np.uint32(0x80)) - np.uint32(0x80))) * np.uint32(PRIME_32)


class FinalfusionLanes:
    """Finalfusion's hash for all n-grams of one text at once, in Python integers."""

    def __init__(self, buckets_exp: int, max_n: int) -> None:
        modulus = 1 << buckets_exp
        # A state, and what it grows by within one character, must fit a lane: 28 + 36 bits, or 63 + 145 bits.
        self.lane = 8 if buckets_exp <= 28 else 32
        self.primes = tuple(PRIME_64**k % modulus for k in range(5))
        self.states = [length_state(n) % modulus for n in range(min(max_n, HELD) + 1)]
        self.modulus = modulus
        self.ones = ones(HELD, self.lane)
        self.keep = (modulus - 1) * self.ones

    def hashes(self, text: str, min_n: int, max_n: int) -> np.ndarray:
        """Buckets as uint64, one row after the other for n from `max_n` down, in each one number a start.

        Those of n-grams that would leave the text mean nothing. `max_n` is at most the number of characters.
        """
        length, lane = len(text), self.lane
        if length <= HELD:
            unit, keep = self.ones >> 8 * lane * (HELD - length), self.keep
        else:
            unit = ones(length, lane)
            keep = (self.modulus - 1) * unit
        step = 8 * lane
        _, p1, p2, p3, p4 = self.primes
        rows = []
        if text.isascii():
            low = spread(text.encode(), lane)
            lows = [low >> step * k for k in range(max_n)]
            for n in range(max_n, min_n - 1, -1):
                state = self._state(n) * unit
                for low in lows[:n]:
                    state = ((state ^ low) * p4) & keep
                rows.append(state.to_bytes(lane * length, "little"))
        else:
            codes = text.encode("utf-32-le", "surrogatepass")
            low, middle, high = (spread(codes[k::4], lane) for k in range(3))
            characters = [(low >> step * k, middle >> step * k, high >> step * k) for k in range(max_n)]
            for n in range(max_n, min_n - 1, -1):
                state = self._state(n) * unit
                for low, middle, high in characters[:n]:
                    if high:
                        state = (((((state ^ low) * p1) ^ middle) * p1 ^ high) * p2) & keep
                    else:
                        state = ((((state ^ low) * p1) ^ middle) * p3) & keep
                rows.append(state.to_bytes(lane * length, "little"))
        return np.frombuffer(b"".join(rows), "<u8")[:: lane // 8]

    def _state(self, n: int) -> int:
        return self.states[n] if n < len(self.states) else length_state(n) % self.modulus


class FastTextLanes:
    """FastText's hash for all n-grams of one text at once, in Python integers."""

    # States of 32 bits times a prime of 25.
    lane = 8

    def __init__(self) -> None:
        self.ones = ones(HELD, self.lane)
        self.keep = 0xFFFFFFFF * self.ones

    def hashes(self, raw: bytes, min_size: int, max_size: int) -> np.ndarray:
        """Hashes as uint64, one row after the other for sizes from `max_size` bytes down, in each one number a start.

        Those of stretches that would leave the text mean nothing. `max_size` is at most the number of bytes.
        """
        length, lane = len(raw), self.lane
        if length <= HELD:
            unit, keep = self.ones >> 8 * lane * (HELD - length), self.keep
        else:
            unit = ones(length, lane)
            keep = 0xFFFFFFFF * unit
        signed = spread(raw, lane)
        if not raw.isascii():
            signed |= spread(raw.translate(_SIGNS), lane) * 0xFFFFFF00
        state = OFFSET_32 * unit
        rows = []
        for size in range(1, max_size + 1):
            state = ((state ^ signed) * PRIME_32) & keep
            signed >>= 8 * lane
            if size >= min_size:
                rows.append(state.to_bytes(lane * length, "little"))
        rows.reverse()
        return np.frombuffer(b"".join(rows), "<u8")


def fasttext_hash(raw: bytes) -> int:
    """FastText's hash of one n-gram."""
    state = OFFSET_32
    for byte in raw:
        state = ((state ^ byte ^ (0xFFFFFF00 if byte >= 0x80 else 0)) * PRIME_32) & 0xFFFFFFFF
    return state


# 1 for each byte that is negative when signed.
_SIGNS = bytes(128) + b"\x01" * 128
