"""Many strings in one buffer, as a vocabulary holds its words, or in a padded batch.

    StringTable
        data     uint8[capacity]      all strings one after the other, then at least 64 zeros
        offsets  int32[n + 1]         string i is data[offsets[i]:offsets[i + 1]]
    Strings
        bytes    uint8[batch, width]  each row one string, then zeros
        lengths  int32[batch]         bytes in use; -1 marks a filler row

Capacities come from a few sizes, so that compiled programs are shared.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from ffjax._internal.arrays import AnyArray, aligned_empty, aligned_zeros, on_host
from ffjax._internal.pytree import value
from ffjax.kernels.perfect_hash_numpy import duplicates
from ffjax.kernels.spans_numpy import join_spans
from ffjax.strings.codec import decode_word, decode_words, join_words

# A compiled program may read this many bytes past the end of the last string.
SLACK = 64
MAX_BYTES = np.iinfo(np.int32).max - SLACK
# Strings that are decoded at a time to see whether they are UTF-8.
_DECODED_STRINGS = 1 << 14
_PICKED_STRINGS = 2048
_REPLACEMENT = "\ufffd".encode()


@value()
class Strings:
    """A batch of byte strings of one padded width: what device functions take instead of `str`.

    Made by `pack`. Rows with length -1 fill the batch up to one of a few sizes; nothing is ever
    found for them.

    Attributes:
        bytes: UTF-8 bytes, padded with zeros, shape `[batch, width]`.
        lengths: bytes in each string, -1 for filler rows, shape `[batch]`.
    """

    bytes: UInt8[AnyArray, "*batch width"]
    lengths: Int32[AnyArray, "*batch"]

    def __len__(self) -> int:
        """The number of rows, filler rows included."""
        return self.lengths.shape[0]

    def flat(self) -> "Strings":
        """The words of a batch of any shape, one after the other."""
        if self.lengths.ndim == 1:
            return self
        return Strings(self.bytes.reshape(-1, self.bytes.shape[-1]), self.lengths.reshape(-1))


class InvalidString(NamedTuple):
    """A string that is not UTF-8: its number, the wrong byte within it, and Python's reason."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    offset: int
    reason: str


@value()
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
            TypeError: if an item is neither `str` nor `bytes`.
        """
        data, starts, lengths = join_words(list(strings))
        data = np.delete(data, starts + lengths)  # the NULs between the words
        return cls.from_buffer(data, _offsets(lengths))

    @classmethod
    def from_buffer(cls, data: Any, offsets: np.ndarray) -> "StringTable":
        """Copies strings out of a buffer with `n + 1` offsets, the layout of Arrow's binary arrays.

        Raises:
            ValueError: if offsets decrease or leave the buffer, or the strings have 2 GiB or more.
        """
        source = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
        offsets = np.asarray(offsets)
        check_offsets(offsets, source.size)
        first, last = int(offsets[0]), int(offsets[-1])
        table = _empty_table(offsets - first)
        table.host_data[: last - first] = source[first:last]
        return table

    @classmethod
    def from_spans(cls, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> "StringTable":
        """Copies the bytes from each of `starts` to each of `ends` out of a buffer.

        Raises:
            ValueError: if the strings have 2 GiB or more.
        """
        offsets = _offsets(ends - starts)
        table = _empty_table(offsets)
        join_spans(np.ascontiguousarray(data), starts, offsets, table.host_data)
        return table

    @classmethod
    def concat(cls, tables: Sequence["StringTable"]) -> "StringTable":
        """One table of the strings of several, in order."""
        data = [table.host_data[: table.host_offsets[-1]] for table in tables]
        lengths = [np.zeros(0, np.int32), *(np.diff(table.host_offsets) for table in tables)]
        data = np.concatenate([np.zeros(0, np.uint8), *data])
        return cls.from_buffer(data, _offsets(np.concatenate(lengths)))

    def __len__(self) -> int:
        return self.offsets.shape[0] - 1

    def __getitem__(self, index: int) -> str:
        """String number `index` (negative counts from the end)."""
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"`index`: expected -{n} to {n - 1}, got {index}.")
        return decode_word(self.raw(index % n))

    def __iter__(self) -> Iterator[str]:
        return iter(self.strings)

    def __eq__(self, other: object) -> bool:
        """Equal strings; the capacities of the buffers may differ."""
        if not isinstance(other, StringTable):
            return NotImplemented
        offsets, end = self.host_offsets, self.host_offsets[-1]
        if not np.array_equal(offsets, other.host_offsets):
            return False
        return np.array_equal(self.host_data[:end], other.host_data[:end])

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
        return decode_words(self.host_data, self.host_offsets)

    def pick(self, indices: Sequence[int]) -> list[str]:
        """Single strings; all are decoded at once where that is faster."""
        if "strings" in vars(self) or len(indices) > _PICKED_STRINGS:
            return [self.strings[index] for index in indices]
        return [decode_word(self.raw(index)) for index in indices]

    def search(self, string: bytes) -> int:
        """The number of a string, -1 for none, by comparing it with all of the same length."""
        data, starts = self.host_data, self.host_offsets[:-1]
        numbers = np.flatnonzero(np.diff(self.host_offsets) == len(string))
        for i, byte in enumerate(string):
            numbers = numbers[data[starts[numbers] + i] == byte]
        return int(numbers[0]) if len(numbers) else -1

    def take(self, indices: np.ndarray) -> "StringTable":
        """A table of the strings at `indices`, in that order."""
        offsets = self.host_offsets
        return StringTable.from_spans(self.host_data, offsets[:-1][indices], offsets[1:][indices])

    def first_invalid(self) -> InvalidString | None:
        r"""The first string that is not UTF-8 by itself, or `None` if all are.

        Examples:
            >>> StringTable.from_strings([b"tea", b"caf\xc3"]).first_invalid()
            InvalidString(index=1, offset=3, reason='unexpected end of data')
        """
        data, offsets = self.host_data, self.host_offsets
        for first in range(0, len(self), _DECODED_STRINGS):
            bounds = offsets[first : first + _DECODED_STRINGS + 1]
            # No string may begin within a character. Empty ones may lie at the end of the data.
            starts = bounds[:-1][bounds[:-1] < bounds[1:]]
            if not ((data[starts] & 0xC0) == 0x80).any():
                with suppress(UnicodeDecodeError):
                    data[bounds[0] : bounds[-1]].tobytes().decode()
                    continue
            for index in range(first, first + len(bounds) - 1):
                try:
                    self.raw(index).decode()
                except UnicodeDecodeError as error:
                    return InvalidString(index, error.start, error.reason)
        return None

    def replace_invalid(self, *, distinct: bool = False) -> "StringTable":
        r"""The table with U+FFFD in place of bytes that are not UTF-8.

        Args:
            distinct: whether a string that would become equal to another keeps its bytes.

        Returns:
            A new table, or the same one if nothing was replaced.

        Examples:
            >>> StringTable.from_strings([b"tea", b"caf\xe9"]).replace_invalid().strings
            ['tea', 'caf\ufffd']
        """
        if self.first_invalid() is None:
            return self
        replaced: dict[int, bytes] = {}
        taken: set[bytes] = set()
        positions = np.flatnonzero(self.host_data[: self.host_offsets[-1]] >= 0x80)
        not_ascii = np.unique(np.searchsorted(self.host_offsets, positions, side="right") - 1)
        for index in not_ascii.tolist():
            raw = self.raw(index)
            text = raw.decode("utf-8", "replace").encode()
            if text != raw:
                replaced[index] = text
            elif _REPLACEMENT in raw:
                taken.add(raw)
        if distinct:
            for index, text in list(replaced.items()):
                if text in taken:
                    del replaced[index]
                taken.add(text)
        if not replaced:
            return self
        index = np.arange(len(self))
        index[list(replaced)] = len(self) + np.arange(len(replaced))
        new = StringTable.from_strings(replaced.values())
        return StringTable.concat([self, new]).take(index)

    def first_duplicate(self) -> tuple[int, int] | None:
        """The first string that occurred before, as `(earlier, later)`; `None` if all differ.

        Examples:
            >>> StringTable.from_strings(["a", "b", "a"]).first_duplicate()
            (0, 2)
        """
        return next(duplicates(self.host_data, self.host_offsets), None)

    def first_occurrences(self) -> Int64[np.ndarray, " n_distinct"]:
        """The numbers of the strings that did not occur before, ascending.

        Examples:
            >>> StringTable.from_strings(["a", "b", "a"]).first_occurrences().tolist()
            [0, 1]
        """
        repeated = [again for _, again in duplicates(self.host_data, self.host_offsets)]
        return np.delete(np.arange(len(self)), repeated)


def capacity(n_bytes: int, n_strings: int) -> int:
    """The size of a buffer for strings, out of a few, so that vocabularies share programs."""
    # In nearly every vocabulary words have fewer than 16 bytes on average.
    if n_bytes <= 16 * n_strings:
        return 16 * n_strings + SLACK
    power = 1 << (n_bytes + SLACK - 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n_bytes + SLACK else power


def _empty_table(offsets: np.ndarray) -> StringTable:
    """A table of zeros with strings at these offsets, in arrays that JAX takes without a copy."""
    n_bytes = int(offsets[-1])
    if n_bytes > MAX_BYTES:
        expected = "expected less than 2 GiB of strings"
        raise ValueError(f"`data`: {expected}, got {n_bytes} bytes. Split the vocabulary.")
    aligned = aligned_empty(offsets.shape, np.int32)
    aligned[:] = offsets
    return StringTable(aligned_zeros((capacity(n_bytes, len(offsets) - 1),), np.uint8), aligned)


def check_offsets(offsets: np.ndarray, n_bytes: int) -> None:
    """Checks that these are `n + 1` ascending offsets into a buffer of `n_bytes`."""
    got = None
    if offsets.ndim != 1 or not offsets.size:
        got = f"an array of shape {offsets.shape}"
    elif offsets[0] < 0 or offsets[-1] > n_bytes:
        got = f"{offsets.size} offsets from {offsets[0]} to {offsets[-1]}"
    if got:
        raise ValueError(
            f"`offsets`: expected n + 1 offsets within a buffer of {n_bytes} bytes, got {got}. "
            "Give the start of each string and the end of the last."
        )
    if (decreases := np.flatnonzero(offsets[1:] < offsets[:-1])).size:
        i = int(decreases[0])
        got = f"{offsets[i]} and then {offsets[i + 1]} at index {i + 1}"
        raise ValueError(f"`offsets`: expected no decrease, got {got}.")


def _offsets(lengths: np.ndarray) -> np.ndarray:
    """Where strings of these lengths start, and where the last ends, int64 `[n + 1]`."""
    return np.append(0, np.cumsum(lengths, dtype=np.int64))
