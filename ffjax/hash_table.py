"""A hash table from byte strings to the numbers of those strings in a `StringTable`.

Built once on the host with vectorized code, probed in compiled code with a fixed number of gathers, exact.

    key      uint32[2]          the key of the hash
    buckets  uint32[n_buckets]  where the strings of a bucket lie in `rows`, and how they are told apart
    rows     int32[n_slots]     numbers of strings, 0 in free slots

The first half of a string's hash names its bucket: there are between one and two buckets a string. The `s` strings of a
bucket own a block of `2**bits >= s` slots, and a *pilot*, a small number found when the table is built, under which
their second halves give each of them a slot of its own. A bucket is one word, from its highest bit:

    17 bits  first slot of its block, counted from the first slot of its region (2**16 buckets share a region)
     3 bits  `bits`
    12 bits  pilot

So a string has exactly one place where it can be. A probe reads the bucket, the slot, both offsets of the string there
and its bytes, and compares: four gathers, and one for each four bytes of the batch's width.

The key comes from a cryptographic hash of all strings. Whoever wants to make strings collide changes the key with every
string they add; there is no default key to prepare collisions for. Should a bucket be too full all the same, the next
key of the same sequence is tried. Equal strings make equal tables, on every machine.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, UInt8, UInt32

from ffjax._pytree import equal, pytree
from ffjax._types import AnyArray
from ffjax.hash_build import (
    BASE_SHIFT,
    PILOT_BITS,
    REGION_BITS,
    SIZE_BITS,
    key_of,
    n_regions,
    place,
    refuse_duplicates,
    within,
)
from ffjax.string_hash import hash_packed, hash_spans, low_bytes, packed_word, split_chunks

_MAX_KEYS = 64


@pytree()
@dataclass(frozen=True, eq=False, repr=False)
class HashTable:
    """Byte strings to their numbers. The shapes of its arrays follow from how many strings there are.

    Attributes:
        key: The key of the hash.
        buckets: Where the strings of each bucket lie.
        rows: Numbers of strings, by slot.
    """

    key: UInt32[AnyArray, "2"]
    buckets: UInt32[AnyArray, " n_buckets"]
    rows: Int32[AnyArray, " n_slots"]

    @classmethod
    def build(
        cls, data: UInt8[np.ndarray, " capacity"], offsets: Int32[np.ndarray, " n_plus_1"], *, what: str = "words"
    ) -> "HashTable":
        """Builds the table of all strings of a buffer, on the host.

        Args:
            data: The bytes of the strings, one after the other.
            offsets: Where each string starts, and where the last one ends.
            what: What an error calls the strings.

        Returns:
            The table, its arrays NumPy arrays.

        Raises:
            ValueError: Two strings are equal.

        Example:
            >>> table = HashTable.build(np.frombuffer(b"anorange", np.uint8), np.array([0, 2, 8], np.int32))
            >>> table
            HashTable(2 buckets, 26 slots)
        """
        if data.size < offsets[-1] + 4:
            data = np.concatenate([data, np.zeros(4, np.uint8)])
        starts, lengths = offsets[:-1], np.diff(offsets)
        digest = hashlib.sha256(lengths.astype("<i4"))
        digest.update(np.ascontiguousarray(data[offsets[0] : offsets[-1]]))
        for attempt in range(_MAX_KEYS):
            key = key_of(digest.digest(), attempt)
            first, second = hash_spans(data, starts, lengths, key)
            placed = place(first, second)
            if placed is not None:
                return cls(key, *placed)
            refuse_duplicates(data, offsets, first, second, what)
        raise RuntimeError(
            f"`{what}`: {len(starts)} different strings found no place under {_MAX_KEYS} keys, which is no chance; "
            "please report the file."
        )

    def __eq__(self, other: object) -> bool:
        return equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"HashTable({self.buckets.shape[0]} buckets, {self.rows.shape[0]} slots)"


def find(
    table: HashTable,
    data: UInt8[AnyArray, " capacity"],
    offsets: Int32[AnyArray, " n_plus_1"],
    strings: UInt8[AnyArray, "batch width"],
    lengths: Int32[AnyArray, " batch"],
) -> Int32[Array, " batch"]:
    """The number of each string of a padded batch in the table that `HashTable.build` was given, -1 for unknown ones.

    Pure, for compiled code: it has neither loops nor scatters. Compile it, since single operations are slow. Bytes
    behind a string are not read.

    Args:
        table: The hash table.
        data: The bytes of its strings; at least 4 bytes follow the last string.
        offsets: Where each of them starts, and where the last one ends.
        strings: The bytes of the strings to find.
        lengths: Bytes in use. Rows with a negative length, or one over the width, are not found.

    Returns:
        The numbers.

    Example:
        >>> import ffjax
        >>> words = ffjax.StringTable.from_strings(["an", "orange"])
        >>> table = HashTable.build(words.data, words.offsets)
        >>> batch = ffjax.pack(["orange", "apple"])
        >>> find(table, words.data, words.offsets, batch.bytes, batch.lengths)
        Array([ 1, -1], dtype=int32)
    """
    if offsets.shape[0] <= 1:
        return jnp.full(lengths.shape, -1, jnp.int32)
    strings, lengths = jnp.asarray(strings), jnp.asarray(lengths)
    data, offsets, rows = jnp.asarray(data), jnp.asarray(offsets), jnp.asarray(table.rows)
    halves = hash_packed(strings, lengths, jnp.asarray(table.key))
    slots = _slots(table, *halves, _gather, jnp.asarray(table.buckets))
    found = _gather(rows, slots)
    begin, end = _gather(offsets, found.astype(jnp.uint32)), _gather(offsets, found.astype(jnp.uint32) + 1)
    same = (end - begin == lengths) & (lengths <= strings.shape[-1])
    return jnp.where(same & _same_bytes(data, begin, strings, lengths), found, jnp.int32(-1))


def find_host(
    table: HashTable,
    data: UInt8[np.ndarray, " capacity"],
    offsets: Int32[np.ndarray, " n_plus_1"],
    strings: UInt8[np.ndarray, "batch width"],
    lengths: Int32[np.ndarray, " batch"],
) -> Int32[np.ndarray, " batch"]:
    """As `find`, in NumPy on the host, for batches too small or too rare to compile for.

    Args:
        table: The hash table.
        data: The bytes of its strings; at least 4 bytes follow the last string.
        offsets: Where each of them starts, and where the last one ends.
        strings: The bytes of the strings to find.
        lengths: Bytes in use. Rows with a negative length, or one over the width, are not found.

    Returns:
        The numbers.

    Example:
        >>> import ffjax
        >>> words = ffjax.StringTable.from_strings(["an", "orange"])
        >>> table = HashTable.build(words.data, words.offsets)
        >>> batch = ffjax.pack(["orange", "apple"])
        >>> find_host(table, words.data, words.offsets, batch.bytes, batch.lengths)
        array([ 1, -1], dtype=int32)
    """
    batch, width = strings.shape
    found = np.full(batch, -1, np.int32)
    usable = np.flatnonzero((lengths >= 0) & (lengths <= width))
    if offsets.size <= 1 or not usable.size:
        return found
    flat = np.concatenate([strings.reshape(-1), np.zeros(4, np.uint8)])
    starts, used = usable * width, lengths[usable]
    halves = hash_spans(flat, starts, used, np.asarray(table.key))
    rows = np.asarray(table.rows)[_slots(table, *halves, np.ndarray.__getitem__, np.asarray(table.buckets))]
    begin = offsets[rows].astype(np.int64)
    hit = np.flatnonzero(offsets[rows + 1] - begin == used)
    # Lengths agree, so both are runs of as many bytes: compare them as one long run.
    rows, begin, starts, used = rows[hit], begin[hit], starts[hit], used[hit]
    ends = np.cumsum(used)
    within = np.arange(used.sum()) - np.repeat(ends - used, used)
    differs = data[np.repeat(begin, used) + within] != flat[np.repeat(starts, used) + within]
    wrong = np.repeat(np.arange(len(used)), used)[differs]
    rows[wrong] = -1
    found[usable[hit]] = rows
    return found


def _same_bytes(data: Array, begin: Array, strings: Array, lengths: Array) -> Array:
    """Whether the strings of a batch, `lengths` long, equal as many bytes of `data` from `begin`."""
    chunks, used = split_chunks(strings, lengths)
    begin = begin.astype(jnp.uint32)
    long = used.ndim > lengths.ndim
    if long:
        begin = jnp.expand_dims(begin, -1) + 64 * lax.broadcasted_iota(jnp.uint32, used.shape, used.ndim - 1)
    same = jnp.ones(used.shape, bool)
    for i in range(chunks.shape[-1] // 4):
        stored = lax.bitcast_convert_type(_gather(data, begin + 4 * i, 4), jnp.uint32)
        same &= ((stored ^ packed_word(chunks, i)) & low_bytes(used - 4 * i)) == 0
    return jnp.all(same, axis=-1) if long else same


def _gather(array: Array, indices: Array, size: int | None = None) -> Array:
    """`array[i]` for every index, or the window `array[i : i + size]`; indices are in bounds where it matters."""
    rank = indices.ndim
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(rank,) if size else (), collapsed_slice_dims=() if size else (0,), start_index_map=(0,)
    )
    return lax.gather(array, jnp.expand_dims(indices, -1), numbers, (size or 1,), mode="clip")


def _slots(table: HashTable, first: Any, second: Any, take: Callable[[Any, Any], Any], buckets: Any) -> Any:
    """The one slot where a string with this hash can be; NumPy and JAX share the code."""
    bucket = first & np.uint32(len(buckets) - 1)
    entry = take(buckets, bucket)
    bits = (entry >> PILOT_BITS) & ((1 << SIZE_BITS) - 1)
    slot = (entry >> BASE_SHIFT) + within(second, entry & ((1 << PILOT_BITS) - 1), bits)
    region = table.rows.shape[0] // n_regions(len(buckets))
    return slot + (bucket >> REGION_BITS) * np.uint32(region)
