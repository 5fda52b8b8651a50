"""MurmurHash3 x64 128, with which floret and spaCy hash n-grams.

The hash reads blocks of 16 bytes as two little-endian 64-bit words and keeps a state of two. A last
block that is not full is read as if zeros followed. A word of zeros mixes in nothing, so blocks of
zeros may follow without changing the hash, and n-grams of different sizes, each padded with zeros,
are hashed together.

On a device a 64-bit number is a pair `(low, high)` of uint32 arrays (`start`, `absorb`, `finish`);
on the host NumPy has 64-bit numbers (`murmur3_spans`).

Definition: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp (public domain).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Pair: TypeAlias = tuple[Any, Any]
State: TypeAlias = tuple[Pair, Pair]

C1, C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
ADD1, ADD2 = 0x52DCE729, 0x38495AB5
MIX1, MIX2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_C1, _C2 = np.uint64(C1), np.uint64(C2)


def start(seed: Any, like: Any) -> State:
    """The state before the first block, in the shape of the uint32 array `like`."""
    zero = like & np.uint32(0)
    return (zero | np.uint32(seed), zero), (zero | np.uint32(seed), zero)


def absorb(state: State, words: Sequence[Any], full: Any) -> State:
    """The state after one more block: four uint32 arrays, little endian, padded with zeros.

    `full` (uint32) is all ones where the block has 16 bytes, zero where it has fewer.
    """
    h1, h2 = state
    h1 = _xor(h1, multiply_64(_rotate(multiply_64((words[0], words[1]), C1), 31), C2))
    h2 = _xor(h2, multiply_64(_rotate(multiply_64((words[2], words[3]), C2), 33), C1))
    full1 = add_64(multiply_64(add_64(_rotate(h1, 27), state[1]), 5), _constant(ADD1))
    full2 = add_64(multiply_64(add_64(_rotate(h2, 31), full1), 5), _constant(ADD2))
    return _choose(full, full1, h1), _choose(full, full2, h2)


def finish(state: State, size: Any) -> tuple[Any, Any, Any, Any]:
    """The hash as four uint32 arrays, lowest first, of texts of `size` bytes (uint32)."""
    h1, h2 = ((low ^ size, high) for low, high in state)
    h1 = add_64(h1, h2)
    h2 = add_64(h2, h1)
    h1, h2 = _finalize(h1), _finalize(h2)
    h1 = add_64(h1, h2)
    h2 = add_64(h2, h1)
    return (*h1, *h2)


def murmur3_spans(data: np.ndarray, begins: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    """The hashes of texts in a buffer, in NumPy: uint32 `[n, 4]`, the lowest quarters first.

    Example:
        >>> data = np.frombuffer(b"<tea>", np.uint8)
        >>> murmur3_spans(data, np.array([0, 2]), np.array([3, 3]), 0).tolist()
        [[3273232396, 3279105928, 2235887917, 2213429524],
         [3339595866, 143510849, 3160880295, 1598771381]]
    """
    h1 = np.full(len(sizes), seed, np.uint64)
    h2 = h1.copy()
    data = data if data.size else np.zeros(1, np.uint8)
    rest = np.arange(len(sizes))
    column = np.arange(16)
    for block in range(int(sizes.max(initial=0)) // 16 + 1):
        # Only texts that reach into the block.
        rest = rest[sizes[rest] >= 16 * block] if block else rest
        size = sizes[rest] - 16 * block
        raw = data.take((begins[rest] + 16 * block)[:, None] + column, mode="clip")
        raw[column >= size[:, None]] = 0
        k1, k2 = raw.view("<u8").T
        a, b = h1[rest], h2[rest]
        a ^= _rotate_64(k1 * _C1, 31) * _C2
        c = b ^ _rotate_64(k2 * _C2, 33) * _C1
        full = size >= 16
        if full.any():
            a = np.where(full, (_rotate_64(a, 27) + b) * np.uint64(5) + np.uint64(ADD1), a)
            c = np.where(full, (_rotate_64(c, 31) + a) * np.uint64(5) + np.uint64(ADD2), c)
        h1[rest], h2[rest] = a, c
    h1 ^= sizes.astype(np.uint64)
    h2 ^= sizes.astype(np.uint64)
    h1 += h2
    h2 += h1
    h1, h2 = _finalize_64(h1), _finalize_64(h2)
    h1 += h2
    h2 += h1
    return np.stack([h1, h2], 1).astype("<u8").view("<u4").astype(np.uint32, copy=False)


def _rotate_64(x: np.ndarray, bits: int) -> np.ndarray:
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


def _finalize_64(x: np.ndarray) -> np.ndarray:
    for factor in (MIX1, MIX2):
        x = (x ^ (x >> np.uint64(33))) * np.uint64(factor)
    return x ^ (x >> np.uint64(33))


def _constant(value: int) -> tuple[np.uint32, np.uint32]:
    return np.uint32(value & 0xFFFFFFFF), np.uint32(value >> 32)


def _xor(a: Pair, b: Pair) -> Pair:
    return a[0] ^ b[0], a[1] ^ b[1]


def _choose(mask: Any, a: Pair, b: Pair) -> Pair:
    return tuple((x & mask) | (y & ~mask) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def add_64(a: Pair, b: Pair) -> Pair:
    """The low 64 bits of a sum."""
    low = a[0] + b[0]
    return low, a[1] + b[1] + (low < b[0]).astype(np.uint32)


def _rotate(a: Pair, by: int) -> Pair:
    low, high = a if by < 32 else (a[1], a[0])
    by %= 32
    up, down = np.uint32(by), np.uint32(32 - by)
    return low << up | high >> down, high << up | low >> down


def multiply_64(a: Pair, by: int) -> Pair:
    """The low 64 bits of a product, from products of 16-bit halves."""
    half, sixteen = np.uint32(0xFFFF), np.uint32(16)
    by_low, by_high = _constant(by)
    b0, b1 = by_low & half, by_low >> sixteen
    low, high = a
    a0, a1 = low & half, low >> sixteen
    middle = a1 * b0 + ((a0 * b0) >> sixteen)
    carried = a0 * b1 + (middle & half)
    upper = a1 * b1 + (middle >> sixteen) + (carried >> sixteen)
    return low * by_low, upper + low * by_high + high * by_low


def _finalize(a: Pair) -> Pair:
    for by in (MIX1, MIX2):
        a = multiply_64((a[0] ^ a[1] >> np.uint32(1), a[1]), by)
    return a[0] ^ a[1] >> np.uint32(1), a[1]
