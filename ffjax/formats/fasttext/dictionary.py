"""The dictionary of a fastText file, after the settings: words, labels, and the remaining n-grams.

    size      i32              entries: words and labels
    n_words   i32              the entries that come first
    n_labels  i32              the others
    n_tokens  i64              words in the training text
    pruned    i64              n-grams that remain after pruning; negative if nothing was pruned
    size times:
    word  bytes, 0         any bytes but 0; not always UTF-8
    count i64              how often it occurred
    type  i8               0 a word, 1 a label
    pruned times, if that is positive:
    bucket i32             an n-gram's bucket
    row    i32             its row, counted from the first after the words' rows

Entries have no lengths and lie without gaps, so an entry's start is known only when the one before
has been read. But where a count is below 2**32, a word begins after four zeros, the upper half of
the count before, and a type. So all positions that look like this are collected at once. One counts
only if the entry before it ends there, which makes the result exact. Where that chain breaks,
another begins; where it is short, as with labels, entries are read one after the other.
"""

from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.distinct import distinct
from ffjax.formats.io.binary import Chains, Cursor, Output
from ffjax.kernels.spans_numpy import words_at

# What follows the word in an entry: a zero, a count and a type.
_TAIL_BYTES = 10
_TAIL = np.dtype((np.void, _TAIL_BYTES))
_TAIL_FIELDS = np.dtype([("zero", "u1"), ("count", "<i8"), ("type", "u1")])
_MIN_WINDOW_BYTES, _MAX_WINDOW_BYTES = 1 << 12, 1 << 18
_MIN_CHAIN = 64


class Dictionary(NamedTuple):
    """Words, then labels, which begin at `starts` and end at `ends` in `data`.

    `data` begins at byte `begin` of the file; `buckets` are `None` if nothing was pruned.
    """

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    counts: np.ndarray
    n_words: int
    n_tokens: int
    buckets: np.ndarray | None
    begin: int

    @property
    def offsets(self) -> np.ndarray:
        """Where entries begin in the file."""
        return self.begin + self.starts


def read(cursor: Cursor, n_buckets: int, *, has_pruned: bool = True) -> Dictionary:
    """Reads a dictionary; `n_buckets` is what the settings say."""
    cursor.chunk = "dictionary"
    start = cursor.position
    size, n_words, n_labels = (cursor.number("i", name) for name in ("size", "n_words", "n_labels"))
    if min(size, n_words, n_labels) < 0 or size != n_words + n_labels:
        expected, got = "a size that is the sum of the others", f"{size}, {n_words} and {n_labels}"
        raise cursor.error("size, n_words, n_labels", expected, got, offset=start)
    n_tokens = cursor.number("q", "n_tokens")
    pruned_at = cursor.position
    pruned = cursor.number("q", "pruned") if has_pruned else -1
    cursor.claim("size", size, _TAIL_BYTES, offset=start)
    cursor.claim("pruned", max(pruned, 0), 8, offset=pruned_at)

    begin = cursor.position
    data = cursor.source.view(begin, cursor.end)
    ends = _find_ends(cursor, data, size)
    starts = np.concatenate([[0], ends + _TAIL_BYTES])
    cursor.skip("entries", int(starts[-1]))
    tails = words_at(data, _TAIL)[ends].view(_TAIL_FIELDS)
    is_wrong = tails["type"] != (np.arange(size) >= n_words)
    if is_wrong.any():
        i = int(np.argmax(is_wrong))
        expected = f"0, a word: {n_words} come first" if i < n_words else "1, a label"
        offset, got = begin + int(ends[i]) + _TAIL_BYTES - 1, str(tails["type"][i])
        raise cursor.error(f"type of entry {i}", expected, got, offset=offset)
    counts = tails["count"].astype(np.int64)
    buckets = None if pruned < 0 else _read_buckets(cursor, pruned, n_buckets)
    return Dictionary(data, starts[:-1], ends, counts, n_words, n_tokens, buckets, begin)


def _read_buckets(cursor: Cursor, pruned: int, n_buckets: int) -> np.ndarray:
    """The bucket of each row of n-grams, int32 `[pruned]`."""
    start = cursor.position
    raw = cursor.take("n-grams", cursor.claim("n-grams", pruned, 8))
    pairs = np.frombuffer(raw, "<i4").reshape(-1, 2).astype(np.int64)
    for column, name, bound in ((0, "bucket", n_buckets), (1, "row", pruned)):
        values = pairs[:, column]
        is_outside = (values < 0) | (values >= bound)
        if is_outside.any():
            i = int(np.argmax(is_outside))
            expected, got, offset = f"0 to {bound - 1}", str(values[i]), start + 8 * i + 4 * column
            raise cursor.error(f"{name} of n-gram {i}", expected, got, offset=offset)
        if len(distinct(values)) != pruned:
            raise cursor.error("n-grams", f"each {name} once", "one of them twice", offset=start)
    buckets = np.empty(pruned, np.int32)
    buckets[pairs[:, 1]] = pairs[:, 0]
    return buckets


def _find_ends(cursor: Cursor, data: np.ndarray, size: int) -> np.ndarray:
    """Where the word of each entry ends, counted from the first entry."""
    blocks = [np.zeros(0, np.int64)]
    n = position = 0
    window_bytes = _MIN_WINDOW_BYTES
    while n < size:
        window = data[position : position + window_bytes]
        ends = _ends_in(window)[: size - n]
        if not ends.size:
            if position + window.size == data.size:
                expected = "a word, a count and a type" if window.size else "an entry"
                offset, got = cursor.position + position, "the end of the file"
                raise cursor.error(f"entry {n}", expected, got, offset=offset)
            window_bytes *= 4
            continue
        blocks.append(ends + position)
        n += len(ends)
        n_bytes = int(ends[-1]) + _TAIL_BYTES
        position += n_bytes
        # Few bytes again where chains are short.
        window_bytes = min(max(4 * n_bytes, _MIN_WINDOW_BYTES), _MAX_WINDOW_BYTES)
    return np.concatenate(blocks)


def _ends_in(window: np.ndarray) -> np.ndarray:
    """Where words end in the first entries of a window, which begins with one; often of all."""
    zero = window == 0
    two = zero[:-1] & zero[1:]
    four = two[:-2] & two[2:]
    likely = np.flatnonzero(four[:-2] & (window[4:-1] <= 1) & ~zero[5:]) + 5
    starts, zeros = np.append(0, likely), np.append(np.flatnonzero(zero), window.size)
    ends = zeros[np.searchsorted(zeros, starts)]
    ends = ends[Chains(starts, ends + _TAIL_BYTES).at(0)]
    ends = ends[ends + _TAIL_BYTES <= window.size]
    return ends if len(ends) >= _MIN_CHAIN else _ends_one_by_one(window)


def _ends_one_by_one(window: np.ndarray) -> np.ndarray:
    raw, ends, position = window.tobytes(), [], 0
    last = len(raw) - _TAIL_BYTES
    while 0 <= (end := raw.find(0, position)) <= last:
        ends.append(end)
        position = end + _TAIL_BYTES
    return np.array(ends, np.int64)


def write(
    out: Output, words: Any, labels: Any, counts: np.ndarray, n_tokens: int, buckets: Any
) -> None:
    """Writes tables of words and labels, with the counts of both."""
    pruned = -1 if buckets is None else len(buckets)
    out.pack("iiiqq", len(words) + len(labels), len(words), len(labels), n_tokens, pruned)
    out.write(_entries(words, counts[: len(words)], 0))
    out.write(_entries(labels, counts[len(words) :], 1))
    if buckets is not None:
        pairs = np.stack([buckets, np.arange(pruned)], axis=1)
        out.write(np.ascontiguousarray(pairs, "<i4"))


def _entries(table: Any, counts: np.ndarray, kind: int) -> np.ndarray:
    """The bytes of entries of one type."""
    offsets, n = table.host_offsets.astype(np.int64), len(table)
    text = table.host_data[: offsets[-1]]
    if not text.all():
        i = int(np.searchsorted(offsets, np.argmin(text), side="right")) - 1
        raise ValueError(
            "`embeddings`: expected words without a zero byte, with which words end in fastText's "
            f"format, got {table[i]!r}. Leave it out with `ffjax.select_words`."
        )
    entries = np.zeros(len(text) + _TAIL_BYTES * n, np.uint8)
    ends = offsets[1:] + _TAIL_BYTES * np.arange(n)
    is_text = np.ones(entries.size, bool)
    words_at(is_text, _TAIL)[ends] = np.zeros((), _TAIL)
    entries[is_text] = text
    tails = np.zeros(n, _TAIL_FIELDS)
    tails["count"], tails["type"] = counts, kind
    words_at(entries, _TAIL)[ends] = tails.view(_TAIL)
    return entries
