"""Distinct words and their numbers, over many blocks of text, in NumPy.

Words get a slot in a table by a hash with a random key. The last one that wants an empty slot gets
it, with all that are equal to it; the others try the next slot.
"""

import secrets
from typing import Any

import numpy as np

from ffjax._internal.arrays import Growing, ranges
from ffjax.kernels.spans_numpy import equal_spans, keyed_hashes

# Words up to this length are equal if their first eight bytes and their hashes are: from the other
# eight, the hash is made by steps that can be undone.
_EXACT = 16


class WordTable:
    """Distinct words, numbered from 0 as they come.

    Args:
        capacity: how many words there may be.

    Examples:
        >>> data = np.frombuffer(b"to be or not to be" + bytes(8), np.uint8)
        >>> starts, lengths = np.array([0, 3, 6, 9, 13, 16]), np.array([2, 2, 2, 3, 2, 2])
        >>> numbers, new = WordTable(6).add(data, starts, lengths)
        >>> bool(numbers[0] == numbers[4]), int(numbers.max()), new.size
        (True, 3, 4)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity, self.n_words = capacity, 0
        self._bits = (2 * capacity).bit_length()
        self._key = np.uint64(secrets.randbits(64) | 1)
        self._slots = np.zeros(1 << self._bits, np.int32)  # numbers from 1 on, 0 in empty slots
        # Of each word the first eight bytes, the hash, the length, and where its bytes are stored.
        self._words = np.empty((capacity, 4), np.uint64)
        self._data = Growing(np.uint8)

    def add(
        self, data: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, int32 `[n]`, and where new ones are, in the order of their numbers.

        Words have no zeros. At least eight bytes follow the last one.
        """
        heads, hashes = keyed_hashes(data, starts, lengths, self._key)
        slots = (hashes >> np.uint64(64 - self._bits)).astype(np.int64)
        numbers, new = np.empty(len(starts), np.int32), []
        rows: Any = slice(None)  # all at first
        n_rows = np.arange(len(starts))
        while slots.size:
            candidates = self._slots[slots]
            empty = np.flatnonzero(candidates == 0)
            if empty.size:
                marks = -empty.astype(np.int32) - 1
                self._slots[slots[empty]] = marks
                chosen = empty[self._slots[slots[empty]] == marks]
                words = n_rows[rows][chosen]
                new.append(words)
                spans = data, starts[words], lengths[words]
                self._slots[slots[chosen]] = self._store(heads[words], hashes[words], *spans)
                candidates = self._slots[slots]
            candidates -= 1
            head, hash, length, begin = self._words.take(candidates, 0).T
            same = (hash == hashes[rows]) & (head == heads[rows])
            same &= length.view(np.int64) == lengths[rows]
            long = np.flatnonzero(same & (length > _EXACT))
            if long.size:
                words = n_rows[rows][long]
                stored = self._data.values, begin[long].view(np.int64) + 8
                same[long] = equal_spans(data, starts[words] + 8, *stored, lengths[words] - 8)
            differ = np.flatnonzero(~same)
            numbers[rows] = candidates  # those that differ are overwritten later
            rows = n_rows[rows][differ]
            slots = (slots[differ] + 1) & ((1 << self._bits) - 1)
        return numbers, np.concatenate([np.zeros(0, np.int64), *new])

    def has_room(self, n: int) -> bool:
        """Whether `n` more words fit."""
        return self.n_words + n <= self._capacity

    def _store(
        self,
        heads: np.ndarray,
        hashes: np.ndarray,
        data: np.ndarray,
        starts: np.ndarray,
        lengths: np.ndarray,
    ) -> np.ndarray:
        """Stores distinct new words; their numbers from 1 on."""
        first, self.n_words = self.n_words, self.n_words + len(starts)
        sizes = np.where(lengths > _EXACT, lengths, 0)
        begins = self._data.append(data[ranges(starts, sizes)]) + np.cumsum(sizes) - sizes
        self._words[first : self.n_words].T[:] = heads, hashes, lengths, begins
        return np.arange(first + 1, self.n_words + 1, dtype=np.int32)
