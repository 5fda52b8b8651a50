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
"""

from typing import NamedTuple

import numpy as np

from ffjax.formats.fasttext.entries import TAIL, TAIL_BYTES, find_ends, read_sizes
from ffjax.formats.io.binary import Cursor, Output
from ffjax.kernels.byte_words import words_at
from ffjax.strings.string_table import StringTable

_TAIL_FIELDS = np.dtype([("zero", "u1"), ("count", "<i8"), ("type", "u1")])
_NO_OFFSETS = np.zeros(0, np.int64)


class Dictionary(NamedTuple):
    """What a dictionary holds; `offsets` of the entries in the file are not written."""

    words: StringTable
    labels: StringTable
    counts: np.ndarray
    n_tokens: int
    buckets: np.ndarray | None
    offsets: np.ndarray = _NO_OFFSETS


def read(cursor: Cursor, n_buckets: int, *, has_pruned: bool = True) -> Dictionary:
    """Reads a dictionary; `n_buckets` is what the settings say."""
    sizes = read_sizes(cursor, has_pruned=has_pruned)
    size, n_words = sizes.n_entries, sizes.n_words
    begin = cursor.position
    data = cursor.source.view(begin, cursor.end)
    ends = find_ends(cursor, data, size)
    starts = np.concatenate([[0], ends + TAIL_BYTES])
    cursor.skip("entries", int(starts[-1]))
    starts = starts[:-1]
    tails = words_at(data, TAIL)[ends].view(_TAIL_FIELDS)
    is_wrong = tails["type"] != (np.arange(size) >= n_words)
    if is_wrong.any():
        i = int(np.argmax(is_wrong))
        expected = "1, a label, after the words"
        if i < n_words:
            expected = f"0, a word: {n_words} come first"
        type_at = begin + int(ends[i]) + TAIL_BYTES - 1
        got = str(tails["type"][i])
        raise cursor.error(f"type of entry {i}", expected, got, offset=type_at)

    return Dictionary(
        StringTable.from_spans(data, starts[:n_words], ends[:n_words]),
        StringTable.from_spans(data, starts[n_words:], ends[n_words:]),
        tails["count"].astype(np.int64),
        sizes.n_tokens,
        None if sizes.pruned < 0 else _read_buckets(cursor, sizes.pruned, n_buckets),
        begin + starts,
    )


def write(output: Output, dictionary: Dictionary) -> None:
    """Writes a dictionary."""
    words, labels, counts, n_tokens, buckets, _ = dictionary
    pruned = -1 if buckets is None else len(buckets)
    output.pack("iiiqq", len(words) + len(labels), len(words), len(labels), n_tokens, pruned)
    output.write(_entries(words, counts[: len(words)], 0))
    output.write(_entries(labels, counts[len(words) :], 1))
    if buckets is not None:
        pairs = np.stack([buckets, np.arange(len(buckets))], axis=1)
        output.write(np.ascontiguousarray(pairs, "<i4"))


def check_utf8(cursor: Cursor, table: StringTable, offsets: np.ndarray, noun: str) -> None:
    """Checks that every string is UTF-8; `offsets` are where they begin in the file."""
    if invalid := table.first_invalid():
        raise cursor.error(
            f"{noun} {invalid.index}",
            "UTF-8",
            repr(table.raw(invalid.index)),
            offset=int(offsets[invalid.index]) + invalid.offset,
            hint="Use `lossy=True` to replace what is not UTF-8 by U+FFFD.",
        )


def _read_buckets(cursor: Cursor, pruned: int, n_buckets: int) -> np.ndarray:
    """The bucket of each row of n-grams, int32 `[pruned]`."""
    start = cursor.position
    size = cursor.claim("n-grams", pruned, 8)
    pairs = np.frombuffer(cursor.take("n-grams", size), "<i4").reshape(-1, 2).astype(np.int64)
    for column, name, bound in ((0, "bucket", n_buckets), (1, "row", pruned)):
        values = pairs[:, column]
        is_outside = (values < 0) | (values >= bound)
        if is_outside.any():
            i = int(np.argmax(is_outside))
            expected, got, offset = f"0 to {bound - 1}", str(values[i]), start + 8 * i + 4 * column
            raise cursor.error(f"{name} of n-gram {i}", expected, got, offset=offset)
        if len(np.unique(values)) != pruned:
            raise cursor.error("n-grams", f"each {name} once", "one of them twice", offset=start)
    buckets = np.empty(pruned, np.int32)
    buckets[pairs[:, 1]] = pairs[:, 0]
    return buckets


def _entries(table: StringTable, counts: np.ndarray, kind: int) -> np.ndarray:
    """The bytes of entries of one type."""
    offsets, n = table.host_offsets.astype(np.int64), len(table)
    text = table.host_data[: offsets[-1]]
    if not text.all():
        i = int(np.searchsorted(offsets, np.argmin(text), side="right")) - 1
        raise ValueError(
            "`embeddings`: expected words without a zero byte, with which words end in fastText's "
            f"format, got {table[i]!r}. Leave it out with `ffjax.select_words`."
        )
    entries = np.zeros(len(text) + TAIL_BYTES * n, np.uint8)
    ends = offsets[1:] + TAIL_BYTES * np.arange(n)
    is_text = np.ones(entries.size, bool)
    words_at(is_text, TAIL)[ends] = np.zeros((), TAIL)
    entries[is_text] = text
    tails = np.zeros(n, _TAIL_FIELDS)
    tails["count"], tails["type"] = counts, kind
    words_at(entries, TAIL)[ends] = tails.view(TAIL)
    return entries
