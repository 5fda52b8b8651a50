"""MurmurHash3 x64 128, which floret and spaCy hash n-grams with, in 32-bit arithmetic and in Python integers.

The hash reads blocks of 16 bytes as two little-endian 64-bit words and keeps a state of two. A last block that is not
full is read as if zeros followed, mixed in, and nothing more; as a word of zeros mixes in nothing, blocks of zeros
may follow without changing the hash. So n-grams of different sizes are hashed together, zeros behind each.

A 64-bit number is a pair `(low, high)` of uint32 arrays, NumPy's or a device's alike (`start`, `absorb`, `finish`).
For one word on the host, `murmur3_pieces` hashes all its n-grams in lanes of one Python integer.

The definition: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp (public domain).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ffjax.kernels.swar import ones

Pair: TypeAlias = tuple[Any, Any]
State: TypeAlias = tuple[Pair, Pair]

C1, C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
ADD1, ADD2 = 0x52DCE729, 0x38495AB5
MIX1, MIX2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_LOW = 2**64 - 1


def start(seed: int, like: Any) -> State:
    """The state before the first block, in the shape of the uint32 array `like`."""
    zero = like & np.uint32(0)
    return (zero | np.uint32(seed), zero), (zero | np.uint32(seed), zero)


def absorb(state: State, words: Sequence[Any], full: Any) -> State:
    """The state after one more block.

    Args:
        state: the state so far.
        words: the block as four uint32 arrays, little endian, zeros behind the last byte.
        full: uint32 array, all ones where the block has 16 bytes, zero where it has fewer.
    """
    h1, h2 = state
    h1 = _xor(h1, _multiply(_rotate(_multiply((words[0], words[1]), C1), 31), C2))
    h2 = _xor(h2, _multiply(_rotate(_multiply((words[2], words[3]), C2), 33), C1))
    full1 = _add(_multiply(_add(_rotate(h1, 27), state[1]), 5), _constant(ADD1))
    full2 = _add(_multiply(_add(_rotate(h2, 31), full1), 5), _constant(ADD2))
    return _choose(full, full1, h1), _choose(full, full2, h2)


def finish(state: State, size: Any) -> tuple[Any, Any, Any, Any]:
    """The hash as four uint32 arrays, lowest first, of texts of `size` bytes (uint32)."""
    h1, h2 = ((low ^ size, high) for low, high in state)
    h1 = _add(h1, h2)
    h2 = _add(h2, h1)
    h1, h2 = _finalize(h1), _finalize(h2)
    h1 = _add(h1, h2)
    h2 = _add(h2, h1)
    return (*h1, *h2)


def murmur3_pieces(pieces: Sequence[bytes], seed: int) -> np.ndarray:
    """The hashes of several texts on the host.

    Args:
        pieces: the texts.
        seed: 0 to `2**32 - 1`.

    Returns:
        uint32 `[len(pieces), 4]`, the four quarters of each hash, lowest first.

    Example:
        >>> murmur3_pieces([b"<te", b"ea>"], 0).tolist()
        [[3273232396, 3279105928, 2235887917, 2213429524], [3339595866, 143510849, 3160880295, 1598771381]]
    """
    groups: dict[int, list[int]] = {}
    for i, piece in enumerate(pieces):
        groups.setdefault(len(piece) >> 4, []).append(i)
    if len(groups) == 1:
        return _murmur3_lanes(pieces, seed)
    hashes = np.zeros((len(pieces), 4), np.uint32)
    for members in groups.values():
        hashes[members] = _murmur3_lanes([pieces[i] for i in members], seed)
    return hashes


def _murmur3_lanes(pieces: Sequence[bytes], seed: int) -> np.ndarray:
    """The hashes of texts that have the same number of full blocks; one text a lane of 128 bits, products fit."""
    blocks = len(pieces[0]) >> 4
    unit = ones(len(pieces), 16)
    keep = _LOW * unit
    h1 = h2 = seed * unit
    for block in range(blocks + 1):
        lanes = b"".join([piece[16 * block : 16 * block + 16].ljust(16, b"\0") for piece in pieces])
        words = int.from_bytes(lanes, "little")
        before = h2
        h1 ^= (_lanes_rotate(((words & keep) * C1) & keep, 31, keep) * C2) & keep
        h2 ^= (_lanes_rotate(((words >> 64 & keep) * C2) & keep, 33, keep) * C1) & keep
        if block < blocks:
            h1 = (((_lanes_rotate(h1, 27, keep) + before) & keep) * 5 + ADD1 * unit) & keep
            h2 = (((_lanes_rotate(h2, 31, keep) + h1) & keep) * 5 + ADD2 * unit) & keep
    sizes = int.from_bytes(b"".join([len(piece).to_bytes(16, "little") for piece in pieces]), "little")
    h1 ^= sizes
    h2 ^= sizes
    h1 = (h1 + h2) & keep
    h2 = (h2 + h1) & keep
    h1, h2 = _lanes_finalize(h1, keep), _lanes_finalize(h2, keep)
    h1 = (h1 + h2) & keep
    h2 = (h2 + h1) & keep
    return np.frombuffer((h1 | h2 << 64).to_bytes(16 * len(pieces), "little"), "<u4").reshape(-1, 4)


def _lanes_rotate(words: int, by: int, keep: int) -> int:
    return (words << by | words >> (64 - by)) & keep


def _lanes_finalize(words: int, keep: int) -> int:
    words = ((words ^ (words >> 33 & keep)) * MIX1) & keep
    words = ((words ^ (words >> 33 & keep)) * MIX2) & keep
    return words ^ (words >> 33 & keep)


def _constant(value: int) -> tuple[np.uint32, np.uint32]:
    return np.uint32(value & 0xFFFFFFFF), np.uint32(value >> 32)


def _xor(a: Pair, b: Pair) -> Pair:
    return a[0] ^ b[0], a[1] ^ b[1]


def _choose(mask: Any, a: Pair, b: Pair) -> Pair:
    return tuple((x & mask) | (y & ~mask) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _add(a: Pair, b: Pair) -> Pair:
    low = a[0] + b[0]
    return low, a[1] + b[1] + (low < b[0]).astype(np.uint32)


def _rotate(a: Pair, by: int) -> Pair:
    low, high = a if by < 32 else (a[1], a[0])
    by %= 32
    left, right = np.uint32(by), np.uint32(32 - by)
    return low << left | high >> right, high << left | low >> right


def _multiply(a: Pair, by: int) -> Pair:
    """The low 64 bits of a product; the high half of the low words' product is put together from halves of 16 bits."""
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
        a = _multiply((a[0] ^ a[1] >> np.uint32(1), a[1]), by)
    return a[0] ^ a[1] >> np.uint32(1), a[1]
