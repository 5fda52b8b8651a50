"""The hashes and the order of n-grams, written once more from their definitions, plainly."""


def finalfusion_hash(ngram: str) -> int:
    """64-bit FNV-1a over the length as u64 and each code point as u32, little endian."""
    state = 0xCBF29CE484222325
    for byte in b"".join([len(ngram).to_bytes(8, "little"), *(ord(c).to_bytes(4, "little") for c in ngram)]):
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    return state


def fasttext_hash(raw: bytes) -> int:
    """32-bit FNV-1a over signed bytes."""
    state = 2166136261
    for byte in raw:
        signed = byte - 256 if byte > 127 else byte
        state = ((state ^ (signed % 2**32)) * 16777619) % 2**32
    return state


def lead_characters(raw: bytes) -> list[bytes]:
    """FastText's characters: a byte that is no continuation byte and the continuation bytes after it."""
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


def fasttext_indices(raw: bytes, n_buckets: int, min_n: int, max_n: int, skip_edges: bool = False) -> list[int]:
    """The buckets of a marked word."""
    found = stretches(lead_characters(raw), min_n, max_n, skip_edges)
    return [fasttext_hash(b"".join(ngram)) % n_buckets for ngram in found]
