"""Numbers of distinct words, compared with a `dict`."""

import numpy as np
import pytest

from ffjax.kernels.spans_numpy import keyed_hashes
from ffjax.kernels.word_table import WordTable


def spans(words):
    sizes = np.array(list(map(len, words)), np.int64)
    data = np.frombuffer(b"".join(words) + bytes(8), np.uint8)
    return data, np.cumsum(sizes) - sizes, sizes


@pytest.mark.parametrize("letters", [b"ab", bytes(range(1, 256))])
def test_equal_words_have_one_number_over_many_blocks(letters):
    rng = np.random.default_rng(0)
    pool = [bytes(rng.choice(list(letters), rng.integers(1, 40)).tolist()) for _ in range(2000)]
    # Words that differ in their last bytes only.
    pool += [b"x" * n + end for n in (7, 8, 15, 16, 17, 31, 300) for end in (b"", b"a", b"b")]
    table, numbers = WordTable(len(pool)), {}
    for block in range(6):
        words = [pool[i] for i in rng.integers(0, len(pool), 1500)]
        keyed = table.hashed(*spans(words))
        before = [numbers.get(word, -1) for word in words]
        found, slots = table.find(keyed)
        assert found.tolist() == before
        got, new = table.add(keyed, slots if block % 2 else None)
        for position in new.tolist():
            assert words[position] not in numbers
            numbers[words[position]] = len(numbers)
        assert got.tolist() == [numbers[word] for word in words]
    assert table.n_words == len(numbers)
    assert table.has_room(len(pool) - len(numbers))
    assert not table.has_room(len(pool) - len(numbers) + 1)


@pytest.mark.parametrize("length", [5, 20, 300])
def test_hashes_depend_on_the_key(length):
    words = spans([b"x" * length])
    keys = map(np.uint64, (3, 5))
    first, second = (int(keyed_hashes(*words, key)[1][0]) for key in keys)
    assert first != second
