r"""spaCy's words: `strings.json`, and the keys of words in `key2row`.

The file is a JSON array of strings, usually one a line.

    [\n
      "word",\n
      "caf\u00e9"\n
    ]

A file in this form is cut at its line feeds, and only lines with a backslash are parsed as JSON.
The key of a word is the number of a symbol, or the word's MurmurHash64A with seed 1.
"""

import json
from collections.abc import Sequence

import numpy as np

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.spacy.layout import symbols
from ffjax.kernels.spans_numpy import SLACK, murmur64a_spans, words_at
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import join_words
from ffjax.strings.string_table import StringTable

_LF, _QUOTE, _BACKSLASH = b'\n"\\'
_BETWEEN = int.from_bytes(b'",\n  "', "little")
_BETWEEN_BYTES = np.uint64((1 << 48) - 1)


def read_strings(source: ByteSource, *, lossy: bool = False) -> ByteViews:
    """The strings of a file and then the symbols, with `SLACK` bytes after the last.

    With `lossy` what is not UTF-8 becomes U+FFFD.
    """
    text = bytes(source.data)
    try:
        return _cut_lines(text) or join_strings([*_parsed(text, lossy), *symbols()])
    except (ValueError, TypeError, RecursionError) as error:
        offset = getattr(error, "pos", getattr(error, "start", None))
        expected, got = "an array of strings in JSON", f"an error: {error}"
        cursor = Cursor(source, chunk="strings.json")
        raise cursor.error("strings", expected, got, offset=offset) from error


def pack_strings(strings: list[str]) -> bytes:
    """The content of a file, in the form above."""
    if not strings:
        return b"[]"
    lines = json.dumps(strings, separators=(",\n  ", ": "))
    return f"[\n  {lines[1:-1]}\n]".encode()


def join_strings(strings: Sequence[str], data: bytes | np.ndarray = b"") -> ByteViews:
    """Strings in a buffer after other bytes."""
    joined, starts, lengths = join_words(strings)
    buffer = np.concatenate([np.frombuffer(data, np.uint8), joined, np.zeros(SLACK, np.uint8)])
    return ByteViews(buffer, starts + len(data), lengths)


def _parsed(text: bytes, lossy: bool = False) -> list[str]:
    strings = json.loads(text.decode("utf-8", "replace" if lossy else "strict"))
    if not isinstance(strings, list):
        raise TypeError(f"the outermost value is of type {type(strings).__name__}")
    for kind in set(map(type, strings)) - {str}:
        raise TypeError(f"an item is of type {kind.__name__}")
    if lossy:
        utf16 = (string.encode("utf-16", "surrogatepass") for string in strings)
        return [string.decode("utf-16", "replace") for string in utf16]
    "".join(strings).encode()  # an error for lone surrogates
    return strings


def _cut_lines(text: bytes) -> ByteViews | None:
    """As `read_strings`, for a file in the form above; `None` if it has another."""
    text = text.rstrip()
    if not (text.startswith(b'[\n  "') and text.endswith(b'"\n]') and text.isascii()):
        return None
    data = np.frombuffer(text, np.uint8)
    line_feeds = np.flatnonzero(data == _LF)
    first, last = line_feeds[:-1] + 3, line_feeds[1:] - 2  # the quotes of each line
    last[-1] += 1  # which has no comma
    if not (first < last).all():
        return None
    between = words_at(data, "<u8")[line_feeds[1:-1] - 2] & _BETWEEN_BYTES
    if not (between == _BETWEEN).all():
        return None
    backslashes = np.flatnonzero(data == _BACKSLASH)
    lines = np.searchsorted(line_feeds, backslashes) - 1
    lines = lines[np.diff(lines, prepend=-1) > 0]
    # Each line up to its line feed is an item with a comma, which the last one lacks.
    joined = StringTable.from_spans(data, first[lines], line_feeds[lines + 1])
    escaped = joined.host_data[: joined.host_offsets[-1]].tobytes().rstrip(b",")
    n_quotes = np.count_nonzero(data == _QUOTE) - escaped.count(_QUOTE)
    if n_quotes != 2 * (len(first) - len(lines)):
        return None
    try:
        strings = _parsed(b"[%b]" % escaped)
    except ValueError:
        return None  # its offset is not that in the file
    if len(strings) != len(lines):
        return None
    data, starts, lengths = join_strings([*strings, *symbols()], data)
    begins = np.append(first + 1, starts[len(lines) :])
    sizes = np.append(last - first - 1, lengths[len(lines) :])
    begins[lines], sizes[lines] = starts[: len(lines)], lengths[: len(lines)]
    return ByteViews(data, begins, sizes)


def keys_of(words: StringTable) -> np.ndarray:
    """The key of each word, uint64 `[n]`."""
    offsets = words.host_offsets
    keys = murmur64a_spans(words.host_data, offsets[:-1], np.diff(offsets))
    numbers = _search(murmur64a_spans(*join_strings(symbols())), keys)
    return np.where(numbers < 0, keys, numbers.astype(np.uint64))


def find_keys(keys: np.ndarray, words: ByteViews) -> np.ndarray:
    """For each key the number of the word that has it, -1 if none does; int64 `[n]`.

    The symbols are the last words.
    """
    hashes, n_symbols = murmur64a_spans(*words), len(symbols())
    n_words = len(hashes)
    n = n_words + len(keys)
    low_bits = np.uint64((1 << n.bit_length()) - 1)
    # Both are sorted with their numbers in the low bits, so that a key follows its word's hash.
    both = np.concatenate([hashes, keys]) & ~low_bits
    both |= np.arange(n, dtype=np.uint64)
    both.sort()
    order = (both & low_bits).view(np.int64)
    alike = np.flatnonzero((both[1:] ^ both[:-1]) <= low_bits)
    first, second = order[alike], order[alike + 1] - n_words
    is_pair = (first < n_words) & (second >= 0)
    numbers = np.full(len(keys), -1)
    numbers[second[is_pair]] = first[is_pair]
    missed = np.flatnonzero((numbers < 0) | (hashes[numbers] != keys))
    is_symbol = keys[missed] < n_symbols
    numbers[missed] = np.where(is_symbol, keys[missed].view(np.int64) + n_words - n_symbols, -1)
    missed = missed[~is_symbol]
    if len(missed):  # unknown ones, repeated ones, and those alike in the high bits alone
        numbers[missed] = _search(hashes, keys[missed])
    return numbers


def _search(hashes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For each key, the number of the hash equal to it, or -1."""
    order = np.argsort(hashes)
    numbers = order[np.searchsorted(hashes, keys, sorter=order) % len(order)]
    return np.where(hashes[numbers] == keys, numbers, -1)
