"""How many entries a dictionary has, and where each of them ends; `dictionary` has the layout.

Entries have no lengths and lie without gaps, so an entry's start is known only when the one before
has been read. But where a count is below 2**32, a word begins after five zeros (the upper half of
the count before and the type), and nowhere else do five zeros precede something else. So all starts
are guessed at once and then checked; what follows the first wrong guess is read entry by entry.
"""

from typing import NamedTuple

import numpy as np

from ffjax.formats.io.binary import Cursor
from ffjax.kernels.byte_words import words_at

# What follows the word in an entry: a zero, a count and a type.
TAIL_BYTES = 10
TAIL = np.dtype((np.void, TAIL_BYTES))
_N_ZEROS = 5
_MIN_WINDOW_BYTES = 1 << 16
_ENTRY_BYTES = 24  # more than the mean
_NO_ENDS = np.zeros(0, np.int64)


class Sizes(NamedTuple):
    """The numbers at the start of a dictionary; `pruned` is negative if nothing was pruned."""

    n_words: int
    n_labels: int
    n_tokens: int
    pruned: int

    @property
    def n_entries(self) -> int:
        """How many entries follow."""
        return self.n_words + self.n_labels


def read_sizes(cursor: Cursor, *, has_pruned: bool = True) -> Sizes:
    """Reads the start of a dictionary."""
    cursor.chunk = "dictionary"
    start = cursor.position
    size, n_words, n_labels = (cursor.number("i", name) for name in ("size", "n_words", "n_labels"))
    if min(size, n_words, n_labels) < 0 or size != n_words + n_labels:
        expected, got = "a size that is the sum of the others", f"{size}, {n_words} and {n_labels}"
        raise cursor.error("size, n_words, n_labels", expected, got, offset=start)
    n_tokens = cursor.number("q", "n_tokens")
    pruned_at = cursor.position
    pruned = cursor.number("q", "pruned") if has_pruned else -1
    cursor.claim("size", size, TAIL_BYTES, offset=start)
    cursor.claim("pruned", max(pruned, 0), 8, offset=pruned_at)
    return Sizes(n_words, n_labels, n_tokens, pruned)


def find_ends(cursor: Cursor, data: np.ndarray, size: int) -> np.ndarray:
    """Where the word of each entry ends, counted from the first entry."""
    blocks = [_NO_ENDS]
    position, remaining, window_bytes = 0, size, _MIN_WINDOW_BYTES
    while remaining:
        window = data[position : position + max(window_bytes, remaining * _ENTRY_BYTES)]
        ends = _ends_in(window, remaining)
        if len(ends) == 0:
            if position + window.size == data.size:
                expected = "a word, a count and a type" if window.size else "an entry"
                offset, got = cursor.position + position, "the end of the file"
                raise cursor.error(f"entry {size - remaining}", expected, got, offset=offset)
            window_bytes = 4 * window.size
            continue
        blocks.append(ends + position)
        remaining -= len(ends)
        position += int(ends[-1]) + TAIL_BYTES
    return np.concatenate(blocks)


def _ends_in(window: np.ndarray, most: int) -> np.ndarray:
    """The ends of the words of those entries that lie within the window."""
    guessed = _guess_ends(window)[:most]
    start = int(guessed[-1]) + TAIL_BYTES if len(guessed) else 0
    raw, stepped = window[start:].tobytes(), []
    position, last = 0, len(raw) - TAIL_BYTES
    for _ in range(most - len(guessed)):
        end = raw.find(0, position)
        if end < 0 or end > last:
            break
        stepped.append(end)
        position = end + TAIL_BYTES
    return np.concatenate([guessed, np.array(stepped, np.int64) + start])


def _guess_ends(window: np.ndarray) -> np.ndarray:
    """The ends of words up to the first that is not where a guess has it."""
    if window.size <= TAIL_BYTES:
        return _NO_ENDS
    zero = window == 0
    two = zero[:-1] & zero[1:]
    four = two[:-2] & two[2:]
    word_starts = np.flatnonzero(four[:-2] & zero[4:-1] & ~zero[_N_ZEROS:]) + _N_ZEROS
    if not word_starts.size:
        return _NO_ENDS
    starts = np.concatenate([[0], word_starts[:-1]])
    ends = word_starts - TAIL_BYTES
    is_right = (ends > starts) & zero[ends]
    n = len(is_right) if is_right.all() else int(np.argmin(is_right))
    if n == 0:
        return _NO_ENDS
    # Words have no zeros if the tails have all of them.
    tails = words_at(window, TAIL)[ends[:n]].view(np.uint8)
    if np.count_nonzero(zero[: ends[n - 1] + TAIL_BYTES]) != np.count_nonzero(tails == 0):
        bounds = np.stack([starts[:n], ends[:n]], axis=1).reshape(-1)
        has_no_zero = np.minimum.reduceat(window, bounds)[::2] > 0
        n = int(np.argmin(has_no_zero))
    return ends[:n]
