"""The dictionary of a fastText file, behind the settings: words, labels, and which n-grams have been kept.

    size      i32              entries: words and labels
    n_words   i32              the entries that come first
    n_labels  i32              the others
    n_tokens  i64              words in the training text
    pruned    i64              n-grams that have been kept; negative if all have
    size times:
        word  bytes, 0         any bytes but 0; not always UTF-8
        count i64              how often it occurred
        type  i8               0 a word, 1 a label
    pruned times, if that is positive:
        bucket i32             an n-gram's bucket
        row    i32             its row, counted behind the words' rows

Entries have no lengths and lie without gaps, so the beginning of one is known only when the one before has been read.
But where a count is below 2**32, a word begins behind five zeros (the upper half of the count before and the type), and
nowhere else are there five zeros and then something else. So all beginnings are guessed at once and then checked; what
is left behind the first wrong guess is read entry by entry.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8
from numpy.lib.stride_tricks import as_strided

from ffjax.formats.io.binary import Cursor, Output
from ffjax.strings.string_table import StringTable

# What an entry has behind its word: a zero, a count and a type.
_TAIL = 10
_TAIL_TYPE = np.dtype((np.void, _TAIL))
_TAIL_FIELDS = np.dtype([("zero", "u1"), ("count", "<i8"), ("type", "u1")])
_RUN = 5
_LEAST_WINDOW = 1 << 16
_GUESS = 24  # bytes an entry
_REPLACEMENT = "\ufffd".encode()


class Dictionary(NamedTuple):
    """What a dictionary holds.

    Attributes:
        words: the bytes of the words.
        labels: the bytes of the labels.
        counts: how often each word, then each label occurred, int64 `[n_words + n_labels]`.
        n_tokens: words in the training text.
        kept: the bucket of each row of n-grams, `None` if the rows are those of all buckets.
        places: where in the file each entry begins, int64 `[n_words + n_labels]`.
    """

    words: StringTable
    labels: StringTable
    counts: Int64[np.ndarray, " entries"]
    n_tokens: int
    kept: Int32[np.ndarray, " rows"] | None
    places: Int64[np.ndarray, " entries"]


def read(cursor: Cursor, n_buckets: int) -> Dictionary:
    """Reads a dictionary.

    Args:
        cursor: where it begins.
        n_buckets: the number of buckets in the settings.

    Raises:
        FormatError: the file ends within it, or it contradicts itself.
    """
    cursor.chunk = "dictionary"
    at = cursor.position
    size, n_words, n_labels = (cursor.number("i", field) for field in ("size", "n_words", "n_labels"))
    if min(size, n_words, n_labels) < 0 or size != n_words + n_labels:
        got = f"{size}, {n_words} and {n_labels}"
        raise cursor.error("size, n_words, n_labels", "a size that is the sum of the others", got, offset=at)
    n_tokens = cursor.number("q", "n_tokens")
    pruned_at = cursor.position
    pruned = cursor.number("q", "pruned")
    cursor.claim("size", size, _TAIL, offset=at)
    cursor.claim("pruned", max(pruned, 0), 8, offset=pruned_at)

    begin = cursor.position
    data = cursor.source.view(begin, cursor.end)
    ends = _ends(cursor, data, size)
    starts = np.concatenate([np.zeros(min(size, 1), np.int64), ends[:-1] + _TAIL])
    total = int(ends[-1]) + _TAIL if size else 0
    cursor.skip("entries", total)
    tails = _tails(data)[ends].view(_TAIL_FIELDS)
    _check_types(cursor, tails["type"], n_words, begin + ends)
    counts = tails["count"].astype(np.int64)

    keep = np.ones(total, bool)
    _tails(keep)[ends] = np.zeros((), _TAIL_TYPE)
    raw = data[:total][keep]
    offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    words = StringTable.from_buffer(raw, offsets[: n_words + 1])
    labels = StringTable.from_buffer(raw, offsets[n_words:])
    kept = None if pruned < 0 else _read_pruned(cursor, pruned, n_buckets)
    return Dictionary(words, labels, counts, n_tokens, kept, begin + starts)


def write(output: Output, dictionary: Dictionary) -> None:
    """Writes a dictionary; `places` say nothing here.

    Raises:
        ValueError: a word has a zero byte, which ends words in this format.
    """
    n_words, n_labels = len(dictionary.words), len(dictionary.labels)
    pruned = -1 if dictionary.kept is None else len(dictionary.kept)
    output.pack("iiiqq", n_words + n_labels, n_words, n_labels, dictionary.n_tokens, pruned)
    for table, counts, kind in (
        (dictionary.words, dictionary.counts[:n_words], 0),
        (dictionary.labels, dictionary.counts[n_words:], 1),
    ):
        output.write(_entries(table, counts, kind))
    if dictionary.kept is not None:
        pairs = np.stack([dictionary.kept, np.arange(len(dictionary.kept))], axis=1)
        output.write(np.ascontiguousarray(pairs, "<i4"))


def check_utf8(cursor: Cursor, table: StringTable, places: Int64[np.ndarray, " n"], what: str) -> None:
    """Checks that every string is UTF-8.

    Raises:
        FormatError: one is not; the error has its number and where in the file the wrong byte is.
    """
    offsets = table.host_offsets
    used, begins = table.host_data[: offsets[-1]], offsets[:-1][offsets[1:] > offsets[:-1]]
    try:
        str(used.data, "utf-8")
        # A character must not begin in one string and end in the next.
        if not ((used[begins] & 0xC0) == 0x80).any():
            return
    except UnicodeDecodeError:
        pass
    for number in _foreign(table).tolist():
        raw = table.raw(number)
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise cursor.error(
                f"{what} {number}",
                "UTF-8",
                repr(raw),
                offset=int(places[number]) + error.start,
                hint="Use `lossy=True` to put U+FFFD in the place of what is not UTF-8.",
            ) from error


def replace_invalid(table: StringTable) -> StringTable:
    """The strings with U+FFFD in the place of what is not UTF-8, or the same table if all of them are.

    A string that would then be equal to another one keeps its bytes.
    """
    strings: dict[int, bytes] = {}
    taken: set[bytes] = set()
    for number in _foreign(table).tolist():
        raw = table.raw(number)
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            strings[number] = raw.decode("utf-8", "replace").encode()
        else:
            if _REPLACEMENT in raw:
                taken.add(raw)
    if not strings:
        return table
    for number, replaced in list(strings.items()):
        if replaced in taken:
            del strings[number]
        taken.add(replaced)
    offsets, used = table.host_offsets, table.host_data
    pieces, done, lengths = [], 0, np.diff(offsets).astype(np.int64)
    for number, replaced in strings.items():
        pieces += [used[done : offsets[number]].tobytes(), replaced]
        done = offsets[number + 1]
        lengths[number] = len(replaced)
    pieces.append(used[done : offsets[-1]].tobytes())
    return StringTable.from_buffer(b"".join(pieces), np.concatenate([[0], np.cumsum(lengths)]))


def _foreign(table: StringTable) -> Int64[np.ndarray, " n"]:
    """The numbers of the strings with bytes beyond ASCII."""
    used = table.host_data[: table.host_offsets[-1]]
    return np.unique(np.searchsorted(table.host_offsets, np.flatnonzero(used >= 0x80), side="right") - 1)


def _tails(data: UInt8[np.ndarray, " size"] | Bool[np.ndarray, " size"]) -> np.ndarray:
    """What is behind the word if a word ends at a byte, for each byte of the data as one element."""
    if data.size < _TAIL:
        return np.zeros(0, _TAIL_TYPE)
    return as_strided(data[:_TAIL].view(_TAIL_TYPE), (data.size - _TAIL + 1,), (1,))


def _ends(cursor: Cursor, data: UInt8[np.ndarray, " rest"], size: int) -> Int64[np.ndarray, " size"]:
    """Where the word of each entry ends, counted from the first entry."""
    found: list[np.ndarray] = []
    position, left, least = 0, size, _LEAST_WINDOW
    while left:
        window = data[position : position + max(least, left * _GUESS)]
        ends = _walk(window, left)
        if len(ends) == 0:
            if position + window.size == data.size:
                number = size - left
                whole = "a word, a count and a type" if window.size else "an entry"
                raise cursor.error(
                    f"entry {number}", whole, "the end of the file", offset=cursor.position + position
                )
            least = 4 * window.size
            continue
        found.append(ends + position)
        left -= len(ends)
        position += int(ends[-1]) + _TAIL
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _walk(window: UInt8[np.ndarray, " size"], most: int) -> Int64[np.ndarray, " n"]:
    """The ends of the words of those entries that lie within the window as a whole."""
    ends = _guess(window)[:most]
    begin = int(ends[-1]) + _TAIL if len(ends) else 0
    raw, more = window[begin:].tobytes(), []
    position, last = 0, len(raw) - _TAIL
    for _ in range(most - len(ends)):
        end = raw.find(0, position)
        if end < 0 or end > last:
            break
        more.append(end)
        position = end + _TAIL
    return np.concatenate([ends, np.array(more, np.int64) + begin])


def _guess(window: UInt8[np.ndarray, " size"]) -> Int64[np.ndarray, " n"]:
    """The ends of words up to the first that is not where a guess has it."""
    none = np.zeros(0, np.int64)
    if window.size <= _TAIL:
        return none
    zero = window == 0
    two = zero[:-1] & zero[1:]
    four = two[:-2] & two[2:]
    begins = np.flatnonzero(four[:-2] & zero[4:-1] & ~zero[_RUN:]) + _RUN
    if not begins.size:
        return none
    starts = np.concatenate([[0], begins[:-1]])
    ends = begins - _TAIL
    right = (ends > starts) & zero[ends]
    stop = len(right) if right.all() else int(np.argmin(right))
    if stop == 0:
        return none
    # There are no zeros in words if all zeros are behind them.
    tails = _tails(window)[ends[:stop]].view(np.uint8)
    if np.count_nonzero(zero[: ends[stop - 1] + _TAIL]) != tails.size - np.count_nonzero(tails):
        pairs = np.stack([starts[:stop], ends[:stop]], axis=1).reshape(-1)
        filled = np.minimum.reduceat(window, pairs)[::2] > 0
        stop = int(np.argmin(filled))
    return ends[:stop]


def _check_types(
    cursor: Cursor, types: UInt8[np.ndarray, " size"], n_words: int, ends: Int64[np.ndarray, " size"]
) -> None:
    wrong: Bool[np.ndarray, " size"] = types != (np.arange(types.size) >= n_words)
    if wrong.any():
        number = int(np.argmax(wrong))
        expected = f"0, a word: {n_words} come first" if number < n_words else "1, a label, behind the words"
        raise cursor.error(
            f"type of entry {number}", expected, str(types[number]), offset=int(ends[number]) + _TAIL - 1
        )


def _read_pruned(cursor: Cursor, pruned: int, n_buckets: int) -> Int32[np.ndarray, " rows"]:
    at = cursor.position
    pairs = np.frombuffer(cursor.take("kept n-grams", cursor.claim("kept n-grams", pruned, 8)), "<i4").reshape(-1, 2)
    buckets, rows = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    for name, values, bound in (("bucket", buckets, n_buckets), ("row", rows, pruned)):
        outside = (values < 0) | (values >= bound)
        if outside.any():
            number = int(np.argmax(outside))
            where = at + 8 * number + (4 if name == "row" else 0)
            raise cursor.error(
                f"{name} of n-gram {number}", f"0 to {bound - 1}", str(values[number]), offset=where
            )
        if len(np.unique(values)) != pruned:
            raise cursor.error("kept n-grams", f"each {name} once", "one of them twice", offset=at)
    kept = np.empty(pruned, np.int32)
    kept[rows] = buckets
    return kept


def _entries(table: StringTable, counts: Int64[np.ndarray, " n"], kind: int) -> UInt8[np.ndarray, " size"]:
    offsets, n = table.host_offsets.astype(np.int64), len(table)
    words = table.host_data[: offsets[-1]]
    if not words.all():
        number = int(np.searchsorted(offsets, np.argmin(words), side="right")) - 1
        raise ValueError(
            f"`embeddings`: expected words without a zero byte, with which words end in fastText's format, got "
            f"{table[number]!r}. Leave it out with `ffjax.select_words`."
        )
    out = np.zeros(len(words) + _TAIL * n, np.uint8)
    if n == 0:
        return out
    ends = offsets[1:] + _TAIL * np.arange(n)
    keep = np.ones(out.size, bool)
    _tails(keep)[ends] = np.zeros((), _TAIL_TYPE)
    out[keep] = words
    tails = np.zeros(n, _TAIL_FIELDS)
    tails["count"], tails["type"] = counts, kind
    _tails(out)[ends] = tails.view(_TAIL_TYPE)
    return out
