"""Distinct words and their numbers, over many blocks of text, in NumPy.

Words get a slot in a table by a hash with a random key. The last one that wants an empty slot gets
it, with all that are equal to it; the others try the next slot.
"""

import secrets
from typing import NamedTuple

import numpy as np

from ffjax._internal.arrays import Growing, ranges
from ffjax.kernels.spans_numpy import equal_spans, keyed_hashes

# Words up to this length are equal if their first eight bytes and their hashes are: the hash is an
# invertible function of the other eight.
_EXACT = 16


class HashedWords(NamedTuple):
    """Words in a buffer, at least eight bytes of which follow the last one, and their hashes."""

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    heads: np.ndarray
    hashes: np.ndarray

    def take(self, rows: np.ndarray) -> "HashedWords":
        """Some of the words."""
        return HashedWords(self.data, *(x.take(rows) for x in self[1:]))


class WordTable:
    """Distinct words, numbered from 0 as they come.

    Several threads may `find` words while one adds others.

    Args:
        capacity: how many words there may be.

    Examples:
        >>> data = np.frombuffer(b"to be or not to be" + bytes(8), np.uint8)
        >>> starts, lengths = np.array([0, 3, 6, 9, 13, 16]), np.array([2, 2, 2, 3, 2, 2])
        >>> table = WordTable(6)
        >>> words = table.hashed(data, starts, lengths)
        >>> numbers, new = table.add(words)
        >>> bool(numbers[0] == numbers[4]), int(numbers.max()), new.size
        (True, 3, 4)
        >>> bool((table.find(words)[0] == numbers).all())
        True
    """

    def __init__(self, capacity: int) -> None:
        self._capacity, self.n_words = capacity, 0
        # Random, so that nobody can prepare colliding words.
        self._key = np.uint64(secrets.randbits(64) | 1)
        bits = (2 * capacity - 1).bit_length()
        self._shift = np.uint64(64 - bits)
        self._slots = np.zeros(1 << bits, np.int32)  # numbers from 1 on, 0 in empty slots
        # By these numbers: head, hash, length, and where the bytes of a long word are stored.
        self._words = np.zeros((capacity + 1, 4), np.uint64)
        self._data = Growing(np.uint8)

    def hashed(self, data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> HashedWords:
        """Words of a byte or more, without zeros, with their hashes."""
        return HashedWords(data, starts, lengths, *keyed_hashes(data, starts, lengths, self._key))

    def find(self, words: HashedWords) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, int32 `[n]`, below 0 if they are missing, and their slots."""
        slots = self._slots_of(words)
        candidates = self._slots.take(slots)
        rows = self._differ(words, candidates)
        while (rows := rows[candidates[rows] > 0]).size:
            slots[rows] = self._next(slots[rows])
            candidates[rows] = self._slots[slots[rows]]
            rows = rows[self._differ(words.take(rows), candidates[rows])]
        return candidates - 1, slots

    def add(
        self, words: HashedWords, slots: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of words, int32 `[n]`, and where new ones are, in the order of numbers.

        The slots are those that `find` gave, from which on the words are looked for.
        """
        slots = self._slots_of(words) if slots is None else slots
        rows = np.arange(len(slots))
        numbers, new = np.empty(len(rows), np.int32), [rows[:0]]
        while rows.size:
            empty = np.flatnonzero(self._slots[slots] == 0)
            self._slots[slots[empty]] = ~empty  # negative, which other threads take for empty
            is_chosen = self._slots[slots] == ~np.arange(len(rows))
            chosen = np.flatnonzero(is_chosen)
            self._slots[slots[chosen]] = self._store(words.take(chosen))
            new.append(rows[chosen])
            numbers[rows] = self._slots[slots] - 1  # those that differ are overwritten later
            unchosen = np.flatnonzero(~is_chosen)
            rows, slots, words = rows[unchosen], slots[unchosen], words.take(unchosen)
            differ = self._differ(words, numbers[rows] + 1)
            rows, slots, words = rows[differ], self._next(slots[differ]), words.take(differ)
        return numbers, np.concatenate(new)

    def has_room(self, n: int) -> bool:
        """Whether `n` more words fit."""
        return self.n_words + n <= self._capacity

    def _slots_of(self, words: HashedWords) -> np.ndarray:
        return (words.hashes >> self._shift).astype(np.int64)

    def _next(self, slots: np.ndarray) -> np.ndarray:
        return slots + 1 & len(self._slots) - 1

    def _differ(self, words: HashedWords, numbers: np.ndarray) -> np.ndarray:
        """Which words are not those with these numbers."""
        head, hash, length, begin = self._words.take(numbers, 0).T
        same = (hash == words.hashes) & (head == words.heads)
        same &= length.view(np.int64) == words.lengths
        long = np.flatnonzero(same & (length > _EXACT))
        if long.size:
            # Their first eight bytes are known to be equal.
            starts, sizes = words.starts[long] + 8, words.lengths[long] - 8
            stored = self._data.values, begin[long].view(np.int64) + 8
            same[long] = equal_spans(words.data, starts, *stored, sizes)
        return np.flatnonzero(~same)

    def _store(self, words: HashedWords) -> np.ndarray:
        """Stores distinct new words; their numbers from 1 on."""
        data, starts, lengths, heads, hashes = words
        first, self.n_words = self.n_words + 1, self.n_words + len(starts)
        new = slice(first, self.n_words + 1)
        sizes = np.where(lengths > _EXACT, lengths, 0)
        begins = self._data.append(data[ranges(starts, sizes)]) + np.cumsum(sizes) - sizes
        self._words[new].T[:] = heads, hashes, lengths, begins
        return np.arange(first, self.n_words + 1, dtype=np.int32)
