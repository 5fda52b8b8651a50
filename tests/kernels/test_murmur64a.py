"""MurmurHash64A, against a loop over the definition and values of spaCy 3.8."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffjax.kernels.spans_numpy import SLACK, murmur64a_spans

KNOWN = {
    "a": 11901859001352538922,
    "tea": 6041671307218480733,
    "coffee": 3197928453018144401,
    "na\u00efve": 16224804062388677344,
    "\u65e5\u672c": 2324319125191504834,
    "abcdefgh": 17751780907874141760,
    "abcdefghi": 13885881106499164936,
    "x" * 40: 16963168017376624600,
    " ": 8532415787641010193,
}
FACTOR, MASK = 0xC6A4A7935BD1E995, (1 << 64) - 1


def reference(data: bytes, seed: int) -> int:
    value = seed ^ len(data) * FACTOR & MASK
    for start in range(0, len(data) - 7, 8):
        word = int.from_bytes(data[start : start + 8], "little") * FACTOR & MASK
        word = (word ^ word >> 47) * FACTOR & MASK
        value = (value ^ word) * FACTOR & MASK
    if rest := data[len(data) // 8 * 8 :]:
        value = (value ^ int.from_bytes(rest, "little")) * FACTOR & MASK
    value = (value ^ value >> 47) * FACTOR & MASK
    return value ^ value >> 47


def hashes(strings: list[bytes], seed: int = 1) -> list[int]:
    data = np.frombuffer(b"".join(strings) + bytes(SLACK), np.uint8)
    lengths = np.array(list(map(len, strings)), np.int64)
    return murmur64a_spans(data, np.cumsum(lengths) - lengths, lengths, seed).tolist()


def test_values_of_spacy() -> None:
    assert hashes([word.encode() for word in KNOWN]) == list(KNOWN.values())
    assert hashes([]) == []


@given(st.lists(st.binary(max_size=40)), st.integers(0, 2**63 - 1))
def test_it_is_the_definition(strings: list[bytes], seed: int) -> None:
    assert hashes(strings, seed) == [reference(string, seed) for string in strings]
