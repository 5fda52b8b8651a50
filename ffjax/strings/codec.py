"""`str` to UTF-8 bytes and back, one word or many at once.

Bytes that are not UTF-8 become lone surrogates, and those become the same bytes again (PEP 383).
"""

from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np

from ffjax._internal.file_arguments import shown

# Words joined at a time: they stay in a CPU's cache between being joined and being encoded.
_JOIN_WORDS = 4096


def encode_word(word: Any) -> bytes:
    """The UTF-8 bytes of one word, or the bytes themselves."""
    if isinstance(word, bytes):
        return word
    if not isinstance(word, str):
        raise TypeError(f"`word`: expected str or bytes, got {shown(word)}.")
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        expected = "expected text that UTF-8 can hold"
        raise ValueError(f"`word`: {expected}, got {word!r} ({error.reason}).") from error


def decode_word(raw: bytes) -> str:
    """The text of UTF-8 bytes."""
    return raw.decode("utf-8", "surrogateescape")


def join_words(words: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All words in one buffer (uint8), their starts (int64) and lengths in bytes (int32)."""
    data = _null_terminated(words)
    # One pass over the buffer finds the NUL after each word, which is several times as fast as
    # asking each word for its length, however many bytes a character takes.
    ends = np.flatnonzero(data == 0)
    if len(ends) != len(words):  # words contain NULs themselves
        encoded = [encode_word(word) for word in words]
        data = np.frombuffer(b"\0".join([*encoded, b""]), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1) - 1
    starts = np.zeros(len(words), np.int64)
    starts[1:] = ends[:-1] + 1
    return data, starts, (ends - starts).astype(np.int32)


def decode_words(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    """Decodes all strings of one buffer at once, which is faster than one at a time."""
    first, last = int(offsets[0]), int(offsets[-1])
    data = data[first:last]
    text = decode_word(data.tobytes())
    bounds = offsets - first
    if len(text) < len(data):
        leads = (data & 0xC0) != 0x80
        nonempty_starts = bounds[:-1][np.diff(bounds) > 0]
        if len(text) != np.count_nonzero(leads) or not leads[nonempty_starts].all():
            # Not valid UTF-8, or a character cut in two: each string by itself.
            return [decode_word(data[start:end].tobytes()) for start, end in pairwise(bounds)]
        # A string's first character is the number of lead bytes before its first byte.
        bounds = np.concatenate([[0], np.cumsum(leads)])[bounds]
    return [text[start:end] for start, end in pairwise(bounds.tolist())]


def _null_terminated(words: Sequence[Any]) -> np.ndarray:
    remaining = iter(words)
    blocks: list[bytes] = []
    while block := list(islice(remaining, _JOIN_WORDS)):
        try:
            if isinstance(block[0], bytes):
                joined = b"\0".join(block)
            else:
                joined = "\0".join(block).encode("utf-8", "surrogateescape")
        except (TypeError, UnicodeEncodeError):
            # `str` and `bytes` mixed, or a word that `encode_word` names in its error.
            joined = b"\0".join(map(encode_word, block))
        blocks.append(joined)
    return np.frombuffer(b"\0".join([*blocks, b""]), np.uint8)
