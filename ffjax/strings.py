"""The bridge between strings on the host and bytes on the device.

A batch of words crosses it as `Strings`, a vocabulary's words live in a `StringTable`:

    Strings      bytes    uint8[batch, width]   each row one string, zeros behind it
                 lengths  int32[batch]          bytes in use; -1 marks a row that only fills the batch up
    StringTable  data     uint8[capacity]       all strings one after the other, at least 64 zeros behind them
                 offsets  int32[n + 1]          string i is data[offsets[i]:offsets[i + 1]]

Widths, batch sizes and capacities come from a few sizes, so that compiled programs are shared.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from jaxtyping import Int32, UInt8
from numpy.lib.stride_tricks import as_strided

from ffjax._pytree import equal, pytree
from ffjax._types import AnyArray, on_host

# A compiled program may read this many bytes past the end of the last string.
SLACK = 64
_MIN_WIDTH = 16


@pytree()
@dataclass(frozen=True, eq=False)
class Strings:
    """A batch of byte strings of one padded width: what device functions take instead of `str`.

    Made by `pack`. Rows with length -1 fill the batch up to one of a few sizes; nothing is ever found for them.

    Attributes:
        bytes: UTF-8 bytes, zeros behind each string, shape `[batch, width]`.
        lengths: bytes in each string, -1 for filler rows, shape `[batch]`.
    """

    bytes: UInt8[AnyArray, "*batch width"]
    lengths: Int32[AnyArray, "*batch"]

    def __len__(self) -> int:
        """The number of rows, filler rows included."""
        return self.lengths.shape[0]

    def __eq__(self, other: object) -> bool:
        return equal(self, other)

    __hash__ = None  # type: ignore[assignment]


@pytree()
@dataclass(frozen=True, eq=False)
class StringTable:
    """Many strings in one buffer: the words of a vocabulary or the n-grams of an explicit one.

    Attributes:
        data: the strings' bytes one after the other, then zeros, shape `[capacity]`.
        offsets: where each string starts, and where the last ends, shape `[n + 1]`.

    Examples:
        >>> table = StringTable.from_strings(["Berlin", "Zürich"])
        >>> len(table), table[1], table.strings
        (2, 'Zürich', ['Berlin', 'Zürich'])
    """

    data: UInt8[AnyArray, " capacity"]
    offsets: Int32[AnyArray, " n_plus_1"]

    @classmethod
    def from_strings(cls, strings: Iterable[str | bytes]) -> "StringTable":
        """Makes a table of `str` (stored as UTF-8) or `bytes`, in order.

        Raises:
            TypeError: an item is neither `str` nor `bytes`.
        """
        buffer, offsets = _join(strings if isinstance(strings, (list, tuple)) else list(strings))
        return cls.from_buffer(buffer, offsets)

    @classmethod
    def from_buffer(cls, data: bytes | memoryview | np.ndarray, offsets: np.ndarray) -> "StringTable":
        """Makes a table of a buffer and `n + 1` offsets into it, the layout of Arrow's binary arrays; copies the bytes.

        Raises:
            ValueError: offsets that decrease, leave the buffer, or bytes beyond 2 GiB.
        """
        source = np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data
        offsets = np.asarray(offsets)
        if offsets.ndim != 1 or offsets.size == 0 or offsets[0] < 0 or offsets[-1] > source.size:
            raise ValueError(
                f"`offsets`: expected n + 1 offsets within a buffer of {source.size} bytes, got {_describe(offsets)}. "
                "Give the start of each string and the end of the last."
            )
        if np.any(offsets[1:] < offsets[:-1]):
            at = int(np.argmax(offsets[1:] < offsets[:-1]))
            raise ValueError(
                f"`offsets`: expected no decrease, got {offsets[at]} and then {offsets[at + 1]} at index {at + 1}."
            )
        first, last = int(offsets[0]), int(offsets[-1])
        if last - first > np.iinfo(np.int32).max - SLACK:
            raise ValueError(
                f"`data`: expected less than 2 GiB of strings, got {last - first} bytes. Split the vocabulary."
            )
        buffer = np.zeros(capacity(last - first, offsets.size - 1), np.uint8)
        buffer[: last - first] = source[first:last]
        return cls(buffer, (offsets - first).astype(np.int32))

    def __len__(self) -> int:
        return self.offsets.shape[0] - 1

    def __getitem__(self, index: int) -> str:
        """String number `index` (negative counts from the end)."""
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"`index`: expected -{n} to {n - 1}, got {index}.")
        return _decode(self.raw(index % n))

    def __iter__(self) -> Iterator[str]:
        return iter(self.strings)

    def __eq__(self, other: object) -> bool:
        # The zeros behind the strings say nothing, so two capacities may be equal tables.
        if not isinstance(other, StringTable):
            return NotImplemented
        mine, theirs = self.host_offsets, other.host_offsets
        if not np.array_equal(mine, theirs):
            return False
        return np.array_equal(self.host_data[: mine[-1]], other.host_data[: theirs[-1]])

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StringTable({len(self)} strings, {int(self.host_offsets[-1])} bytes)"

    def raw(self, index: int) -> bytes:
        """The bytes of string number `index`."""
        offsets = self.host_offsets
        return self.host_data[offsets[index] : offsets[index + 1]].tobytes()

    @cached_property
    def host_data(self) -> np.ndarray:
        """`data` as a NumPy array, fetched once."""
        return on_host(self.data)

    @cached_property
    def host_offsets(self) -> np.ndarray:
        """`offsets` as a NumPy array, fetched once."""
        return on_host(self.offsets)

    @cached_property
    def strings(self) -> list[str]:
        """All strings as a list of `str`, made once when first asked for."""
        return split(self.host_data, self.host_offsets)

    def take(self, indices: np.ndarray) -> "StringTable":
        """A table of the strings at `indices`, in that order."""
        offsets = self.host_offsets
        starts, lengths = offsets[:-1][indices], np.diff(offsets)[indices]
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        source = np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])
        return StringTable.from_buffer(self.host_data[source], ends)


@overload
def pack(words: Sequence[str | bytes], *, width: int | None = ..., count: int | None = ...) -> Strings: ...
@overload
def pack(words: StringTable, *, width: int | None = ..., count: int | None = ...) -> Strings: ...


def pack(words: Any, *, width: int | None = None, count: int | None = None) -> Strings:
    """Packs words into one padded batch of bytes, the form in which device functions take them.

    The width is a power of two of at least 16 that holds the longest word, the number of rows a power of two that
    holds all words (filler rows have length -1 and are never found), so that batches of many sizes share a few
    compiled programs. Take the first `len(words)` rows of what comes back, or give `count=len(words)` for a batch
    without filler rows.

    Args:
        words: `str` or `bytes`, or a `StringTable`.
        width: bytes a row, at least the longest word's.
        count: rows of the batch, at least the number of words.

    Returns:
        The batch: `bytes` uint8 `[count, width]` and `lengths` int32 `[count]`, as NumPy arrays.

    Raises:
        TypeError: a word is neither `str` nor `bytes`, or `words` is one `str`.
        ValueError: `width` or `count` is too small.

    Examples:
        >>> import ffjax
        >>> batch = ffjax.pack(["Berlin", "Zürich", ""])
        >>> batch.bytes.shape, batch.lengths.tolist()
        ((4, 16), [6, 7, 0, -1])
        >>> ffjax.unpack(batch)
        ['Berlin', 'Zürich', '']
    """
    if isinstance(words, StringTable):
        data, offsets = words.host_data, words.host_offsets
    else:
        if isinstance(words, (str, bytes)):
            raise TypeError(f"`words`: expected a list of words, got the single word {words!r}. Write [{words!r}].")
        buffer, offsets = _join(words if isinstance(words, (list, tuple)) else list(words))
        data = np.frombuffer(buffer + bytes(SLACK), np.uint8)
    lengths = np.diff(offsets).astype(np.int32)
    longest = int(lengths.max(initial=0))
    width = _size("width", width, longest, "the longest word's bytes", _MIN_WIDTH)
    count = _size("count", count, len(lengths), "the number of words", 0)

    out = np.zeros((count, width), np.uint8)
    if len(lengths):
        if data.size < offsets[-1] + width:
            data = np.concatenate([data, np.zeros(width, np.uint8)])
        windows = as_strided(data, (data.size - width + 1, width), (1, 1), writeable=False)
        # Indexing copies one window a word; `np.take` would copy them all first.
        np.multiply(windows[offsets[:-1]], np.arange(width, dtype=np.int32) < lengths[:, None], out=out[: len(lengths)])
    filled = np.full(count, -1, np.int32)
    filled[: len(lengths)] = lengths
    return Strings(out, filled)


def unpack(strings: Strings) -> list[str]:
    """The words of a batch as a list of `str`, filler rows left out.

    Bytes that are not UTF-8 come back as lone surrogates (as `os.fsdecode` does), and `pack` turns those into the
    same bytes again.
    """
    rows, lengths = np.asarray(strings.bytes), np.asarray(strings.lengths)
    return [_decode(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True) if length >= 0]


def split(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    """Decodes the strings of one buffer at once, which is faster than one at a time."""
    first, last = int(offsets[0]), int(offsets[-1])
    used = data[first:last]
    text = _decode(used.tobytes())
    bounds = offsets - first
    starts = (used & 0xC0) != 0x80
    inner = bounds[:-1][np.diff(bounds) > 0]
    if len(text) == len(used):
        places = bounds
    elif len(text) == np.count_nonzero(starts) and bool(starts[inner].all()):
        # A string's first character is the number of lead bytes before its first byte.
        places = np.concatenate([[0], np.cumsum(starts)])[bounds]
    else:
        # Not valid UTF-8, or a character cut in two: each string by itself.
        return [_decode(used[a:b].tobytes()) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    places = places.tolist()
    return [text[a:b] for a, b in zip(places[:-1], places[1:], strict=True)]


def capacity(n_bytes: int, n_strings: int) -> int:
    """The buffer size for strings: 16 bytes each, or 2**k or 1.5 * 2**k in all if that is not enough, and `SLACK`.

    Words have fewer than 16 bytes on average in nearly every vocabulary, so that the number of words alone gives the
    shape, and vocabularies of one size share compiled programs.
    """
    if n_bytes <= 16 * n_strings:
        return 16 * n_strings + SLACK
    power = 1 << (n_bytes + SLACK - 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n_bytes + SLACK else power


def encode_word(word: Any) -> bytes:
    """UTF-8 bytes of one word; lone surrogates from invalid bytes (PEP 383) become those bytes again."""
    if isinstance(word, str):
        try:
            return word.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(f"`word`: expected text that UTF-8 can hold, got {word!r} ({error.reason}).") from error
    if isinstance(word, bytes):
        return word
    raise TypeError(f"`word`: expected str or bytes, got {type(word).__name__} {word!r}.")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _join(words: Sequence[Any]) -> tuple[bytes, np.ndarray]:
    """All words in one buffer with `n + 1` int64 offsets."""
    if not words:
        return b"", np.zeros(1, np.int64)
    try:
        text = "".join(words)  # type: ignore[arg-type]
    except TypeError:
        parts = [encode_word(word) for word in words]
        return b"".join(parts), _offsets(parts)
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = b"".join(map(encode_word, words))  # names the word that is wrong
    places = _offsets(words)
    if len(data) == len(text):
        return data, places
    escaped = any("\udc80" <= character <= "\udcff" for character in set(text))
    if escaped:
        parts = [encode_word(word) for word in words]
        return b"".join(parts), _offsets(parts)
    starts = np.flatnonzero((np.frombuffer(data, np.uint8) & 0xC0) != 0x80)
    return data, np.append(starts, len(data))[places]


def _offsets(parts: Sequence[Any]) -> np.ndarray:
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _size(name: str, given: int | None, needed: int, what: str, least: int) -> int:
    if given is None:
        return max(least, 1 << max(needed - 1, 0).bit_length()) if needed else least
    if given < needed:
        raise ValueError(
            f"`{name}`: expected at least {what} ({needed}), got {given}. Leave it out for a fitting size."
        )
    return given


def _describe(array: np.ndarray) -> str:
    if array.ndim == 1 and array.size:
        return f"{array.size} offsets from {array[0]} to {array[-1]}"
    return f"an array of shape {array.shape}"
