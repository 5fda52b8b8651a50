"""MurmurHash64A, with which spaCy makes a number of each word.

The hash reads words of 8 bytes, little endian; a rest of 1 to 7 bytes is read as if zeros followed.

Definition: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp (public domain).
"""

import numpy as np
from jaxtyping import Int, UInt8, UInt64

from ffjax._internal.cpus import map_blocks
from ffjax.kernels.byte_words import words_at

_FACTOR, _SHIFT = np.uint64(0xC6A4A7935BD1E995), np.uint64(47)
# Strings hashed at a time: the working set should stay in the second-level cache.
_BLOCK = 1 << 14
_LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(8)], np.uint64)
SLACK = 16


def murmur64a_spans(
    data: UInt8[np.ndarray, " size"],
    starts: Int[np.ndarray, " n"],
    lengths: Int[np.ndarray, " n"],
    seed: int = 1,
) -> UInt64[np.ndarray, " n"]:
    """The hashes of strings that lie in one buffer, on the host.

    Args:
        data: the buffer; at least `SLACK` bytes follow the last string.
        starts: where each string begins.
        lengths: its bytes.
        seed: spaCy's is 1.

    Examples:
        >>> data = np.frombuffer(b"tea coffee" + bytes(SLACK), np.uint8)
        >>> murmur64a_spans(data, np.array([0, 4]), np.array([3, 6])).tolist()
        [6041671307218480733, 3197928453018144401]
    """
    words = words_at(data, "<u8")
    hashes = np.empty(len(starts), np.uint64)

    def hash_block(begin: int) -> None:
        block = slice(begin, begin + _BLOCK)
        hashes[block] = _hash_block(words, starts[block], lengths[block], seed)

    map_blocks(hash_block, range(0, len(starts), _BLOCK))
    return hashes


def _hash_block(
    words: np.ndarray, starts: np.ndarray, lengths: np.ndarray, seed: int
) -> np.ndarray:
    hashes = np.uint64(seed) ^ lengths.astype(np.uint64) * _FACTOR
    n_words = lengths >> 3
    for i in range(int(n_words.max(initial=0))):
        longer = np.flatnonzero(n_words > i)  # strings with another word of 8 bytes
        word = words[starts[longer] + 8 * i] * _FACTOR
        word = (word ^ word >> _SHIFT) * _FACTOR
        hashes[longer] = (hashes[longer] ^ word) * _FACTOR
    rest = lengths & 7
    last = words[starts + (lengths - rest)] & _LOW_BYTES[rest]
    hashes = np.where(rest > 0, (hashes ^ last) * _FACTOR, hashes)
    hashes = (hashes ^ hashes >> _SHIFT) * _FACTOR
    return hashes ^ hashes >> _SHIFT
