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
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8

from ffjax._internal.pytree import equal, pytree
from ffjax._internal.types import AnyArray, on_host

# A compiled program may read this many bytes past the end of the last string.
SLACK = 64
# Words joined at a time: they stay in a CPU's cache between being joined and being encoded.
_BLOCK = 4096


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
        data, starts, lengths = join(strings if isinstance(strings, (list, tuple)) else list(strings))
        ends = np.cumsum(lengths, dtype=np.int64)
        # What lies between the words is left out.
        kept = np.delete(data, starts + lengths)
        return cls.from_buffer(kept, np.concatenate([np.zeros(1, np.int64), ends]))

    @classmethod
    def from_buffer(cls, data: bytes | memoryview | np.ndarray, offsets: np.ndarray) -> "StringTable":
        """Makes a table of a buffer and `n + 1` offsets into it, the layout of Arrow's binary arrays; copies the bytes.

        Raises:
            ValueError: offsets that decrease, leave the buffer, or bytes beyond 2 GiB.
        """
        source = np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data
        offsets = np.asarray(offsets)
        check_offsets(offsets, source.size)
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
        return decode(self.raw(index % n))

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


def split(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    """Decodes the strings of one buffer at once, which is faster than one at a time."""
    first, last = int(offsets[0]), int(offsets[-1])
    used = data[first:last]
    text = decode(used.tobytes())
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
        return [decode(used[a:b].tobytes()) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
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


def check_offsets(offsets: np.ndarray, n_bytes: int) -> None:
    """Refuses what is not `n + 1` offsets into a buffer of `n_bytes`.

    Raises:
        ValueError: offsets that decrease or leave the buffer, or none at all.
    """
    if offsets.ndim != 1 or offsets.size == 0 or offsets[0] < 0 or offsets[-1] > n_bytes:
        raise ValueError(
            f"`offsets`: expected n + 1 offsets within a buffer of {n_bytes} bytes, got {_describe(offsets)}. "
            "Give the start of each string and the end of the last."
        )
    if np.any(offsets[1:] < offsets[:-1]):
        at = int(np.argmax(offsets[1:] < offsets[:-1]))
        raise ValueError(
            f"`offsets`: expected no decrease, got {offsets[at]} and then {offsets[at + 1]} at index {at + 1}."
        )


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


def decode(raw: bytes) -> str:
    """UTF-8 as text; bytes that are not UTF-8 become lone surrogates (PEP 383)."""
    return raw.decode("utf-8", "surrogateescape")


def join(words: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All words in one buffer, and where each begins and how many bytes it has.

    A NUL stands behind each word, so that one pass over the buffer finds where they end. That is several times as fast
    as asking each for its length, and it does not matter how many bytes a character takes. Where words contain NULs
    themselves, their bytes are counted.

    Returns:
        `(data, starts, lengths)`: uint8, int64 `[n]` and int32 `[n]`.

    Raises:
        TypeError: a word is neither `str` nor `bytes`.
        ValueError: UTF-8 cannot hold a word.
    """
    data = _joined(words)
    ends = np.flatnonzero(data == 0)
    if len(ends) != len(words):
        parts = [encode_word(word) for word in words]
        data = np.frombuffer(b"\0".join([*parts, b""]), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)) + 1) - 1
    starts = np.zeros(len(words), np.int64)
    starts[1:] = ends[:-1] + 1
    return data, starts, (ends - starts).astype(np.int32)


def _joined(words: Sequence[Any]) -> np.ndarray:
    rest = iter(words)
    blocks: list[bytes] = []
    while block := list(islice(rest, _BLOCK)):
        try:
            if isinstance(block[0], bytes):
                text = b"\0".join(block)
            else:
                text = "\0".join(block).encode("utf-8", "surrogateescape")
        except (TypeError, UnicodeEncodeError):
            text = b"\0".join(map(encode_word, block))  # both kinds, or it names the word that is wrong
        blocks.append(text)
    return np.frombuffer(b"\0".join([*blocks, b""]), np.uint8)


def _describe(array: np.ndarray) -> str:
    if array.ndim == 1 and array.size:
        return f"{array.size} offsets from {array[0]} to {array[-1]}"
    return f"an array of shape {array.shape}"
