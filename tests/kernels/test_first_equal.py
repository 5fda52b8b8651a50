"""The first of equal strings, compared with a dictionary of Python's."""

import jax
import numpy as np
import pytest

from ffjax.kernels import first_equal as module
from ffjax.kernels.first_equal import first_equal

WORDS = [b"tea", b"", b"cup", b"tea", b"teas", b"te", b"cup", b"a" * 9, b"", b"a" * 9, b"tea"]
WIDTH = 8


def packed(words):
    """Words with other bytes after their ends, as slices of a text have them."""
    data = np.full((len(words), WIDTH), 120, np.uint8)
    for row, word in zip(data, words, strict=True):
        row[: len(word)] = list(word[:WIDTH])
    return data, np.array(list(map(len, words)), np.int32)


def expected(words):
    numbers = {}
    return [
        i if len(word) > WIDTH else numbers.setdefault(word, i) for i, word in enumerate(words)
    ]


def test_equal_strings_have_the_number_of_the_first():
    data, lengths = packed(WORDS)
    assert jax.jit(first_equal)(data, lengths).tolist() == expected(WORDS)
    reverse = WORDS[::-1]
    batch = tuple(np.stack(pair) for pair in zip(packed(WORDS), packed(reverse), strict=True))
    assert jax.vmap(first_equal)(*batch).tolist() == [expected(WORDS), expected(reverse)]


@pytest.mark.parametrize("n", [0, 1])
def test_few_strings(n):
    assert jax.jit(first_equal)(*packed(WORDS[:n])).tolist() == list(range(n))


def test_strings_of_the_same_hash_are_not_taken_for_equal(monkeypatch):
    monkeypatch.setattr(module, "PRIME_32", 0)
    first = jax.jit(first_equal)(*packed(WORDS))
    # Only those equal to the first of their hash have its number.
    for i, word in enumerate(WORDS):
        assert WORDS[first[i]] == word and first[i] <= i
