"""The hashes and the order of n-grams, written once more from their definitions, plainly."""

import numpy as np


def finalfusion_hash(ngram: str) -> int:
    """64-bit FNV-1a over the length as u64 and each code point as u32, little endian."""
    state = 0xCBF29CE484222325
    for byte in b"".join(
        [len(ngram).to_bytes(8, "little"), *(ord(c).to_bytes(4, "little") for c in ngram)]
    ):
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    return state


def fasttext_hash(raw: bytes) -> int:
    """32-bit FNV-1a over signed bytes."""
    state = 2166136261
    for byte in raw:
        signed = byte - 256 if byte > 127 else byte
        state = ((state ^ (signed % 2**32)) * 16777619) % 2**32
    return state


def murmur3(raws: list[bytes], seed: int) -> np.ndarray:
    """MurmurHash3 x64 128 with plain integers: the four quarters of each hash, lowest first."""
    return np.array([list(_murmur3(raw, seed)) for raw in raws], np.uint32)


def _murmur3(raw: bytes, seed: int):
    low = 2**64 - 1
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F

    def rotate(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & low

    def finalize(x: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            x = ((x ^ x >> 33) * factor) & low
        return x ^ x >> 33

    h1 = h2 = seed
    full = len(raw) // 16
    for i in range(full + 1):
        block = raw[16 * i : 16 * i + 16].ljust(16, b"\0")
        k1, k2 = int.from_bytes(block[:8], "little"), int.from_bytes(block[8:], "little")
        h1 ^= rotate(k1 * c1 & low, 31) * c2 & low
        if i < full:
            h1 = ((rotate(h1, 27) + h2) * 5 + 0x52DCE729) & low
        h2 ^= rotate(k2 * c2 & low, 33) * c1 & low
        if i < full:
            h2 = ((rotate(h2, 31) + h1) * 5 + 0x38495AB5) & low
    h1, h2 = h1 ^ len(raw), h2 ^ len(raw)
    h1 = (h1 + h2) & low
    h2 = (h2 + h1) & low
    h1, h2 = finalize(h1), finalize(h2)
    h1 = (h1 + h2) & low
    h2 = (h2 + h1) & low
    return h1 & 0xFFFFFFFF, h1 >> 32, h2 & 0xFFFFFFFF, h2 >> 32


def lead_characters(raw: bytes) -> list[bytes]:
    """FastText's characters: a byte that continues none, and the continuation bytes after it."""
    characters: list[bytes] = []
    for i in range(len(raw)):
        if raw[i] & 0xC0 != 0x80:
            characters.append(raw[i : i + 1])
        elif characters:
            characters[-1] += raw[i : i + 1]
    return characters


def stretches(characters, min_n: int, max_n: int, skip_edges: bool = False) -> list:
    """N-grams of a `str` or of a list of characters, by start, longest first."""
    found = []
    for start in range(len(characters)):
        for n in range(max_n, min_n - 1, -1):
            end = start + n
            at_edge = n == 1 and (start == 0 or end == len(characters))
            if end <= len(characters) and not (skip_edges and at_edge):
                found.append(characters[start:end])
    return found


def fasttext_indices(
    raw: bytes, n_buckets: int, min_n: int, max_n: int, skip_edges: bool = False
) -> list[int]:
    """The buckets of a marked word."""
    found = stretches(lead_characters(raw), min_n, max_n, skip_edges)
    return [fasttext_hash(b"".join(ngram)) % n_buckets for ngram in found]
