"""A hash table from byte strings to the numbers of those strings in a `StringTable`.

Built once on the host with vectorized code, probed in compiled code with a fixed number of gathers, exact.

    key      uint32[2]          the key of the hash
    factors  uint32[n_buckets]  how the strings of a bucket are told apart
    rows     int32[n_slots]     numbers of strings, 0 in free slots

With `n` strings `n_slots` is the power of two that is at least `1.25 * n`, and there are half as many buckets. The
first half of a string's hash names its bucket; the second half times the bucket's factor, modulo 2**32, has the number
of the string's slot in its upper bits. Factors are found when the table is built, such that no two strings share a slot
(this is "hash and displace", see https://cmph.sourceforge.net/papers/esa09.pdf, with a factor for the displacement). So
there is exactly one place where a string can be. A probe reads the factor, the slot, both offsets of the string there
and its bytes, and compares: four gathers, and about one for each four bytes of the batch's width.

The key comes from a cryptographic hash of all strings. Whoever wants to make strings collide changes the key with every
string they add; there is no default key to prepare collisions for. Should a bucket find no factor all the same, the
next key of the same sequence is tried. Equal strings make equal tables, on every machine.
"""

import hashlib
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, UInt8, UInt32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.duplicates import duplicates
from ffjax.kernels.perfect_hash_build import key_of, place, slot_of
from ffjax.kernels.siphash import (
    CHUNK,
    chunk_spans,
    hash_packed,
    hash_spans,
    low_bytes,
    packed_word,
    split_chunks,
    words_at,
)

_MAX_KEYS = 64


@value()
class HashTable:
    """Byte strings to their numbers. The shapes of its arrays follow from how many strings there are.

    Attributes:
        key: The key of the hash.
        factors: How the strings of each bucket are told apart.
        rows: Numbers of strings, by slot.
    """

    key: UInt32[AnyArray, "2"]
    factors: UInt32[AnyArray, " n_buckets"]
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
            HashTable(1 buckets, 2 slots)
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
            if len(pairs := duplicates(data, offsets, (first, second))):
                earlier, again = pairs[0]
                string = data[offsets[again] : offsets[again + 1]].tobytes()
                raise ValueError(
                    f"`{what}`: expected each once, got {string.decode(errors='replace')!r} as number {earlier} "
                    f"and again as number {again}. Remove one of them."
                )
        raise RuntimeError(
            f"`{what}`: {len(starts)} different strings found no place under {_MAX_KEYS} keys, which is no chance; "
            "please report the file."
        )

    def __repr__(self) -> str:
        return f"HashTable({self.factors.shape[0]} buckets, {self.rows.shape[0]} slots)"


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
        >>> batch = ffjax.pack(["orange", "apple"], count=2)
        >>> find(table, words.data, words.offsets, batch.bytes, batch.lengths)
        Array([ 1, -1], dtype=int32)
    """
    if offsets.shape[0] <= 1:
        return jnp.full(lengths.shape, -1, jnp.int32)
    data, offsets, strings, lengths = (jnp.asarray(array) for array in (data, offsets, strings, lengths))
    key, factors, rows = (jnp.asarray(array) for array in (table.key, table.factors, table.rows))
    first, second = hash_packed(strings, lengths, key)
    factor = _gather(factors, first & (factors.shape[0] - 1))
    found = _gather(rows, slot_of(second, factor, rows.shape[0]))
    begin, end = _gather(offsets, found.astype(jnp.uint32)), _gather(offsets, found.astype(jnp.uint32) + 1)
    same = (end - begin == lengths) & (lengths <= strings.shape[-1])
    return jnp.where(same & _same_bytes(data, begin, strings, end - begin), found, jnp.int32(-1))


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
        >>> batch = ffjax.pack(["orange", "apple"], count=2)
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
    key, factors, rows = (np.asarray(array) for array in (table.key, table.factors, table.rows))
    first, second = hash_spans(flat, starts, used, key)
    candidates = rows[slot_of(second, factors[first & np.uint32(len(factors) - 1)], len(rows))]
    begin = offsets[candidates]
    same = np.flatnonzero(offsets[candidates + 1] - begin == used)
    same = same[_same_spans(flat, starts[same], data, begin[same], used[same])]
    found[usable[same]] = candidates[same]
    return found


def _same_bytes(data: Array, begin: Array, strings: Array, lengths: Array) -> Array:
    """Whether the strings of a batch, `lengths` long, equal as many bytes of `data` from `begin`."""
    # Behind the barrier XLA no longer sees that the words are those that were hashed. Else it would keep them all, in
    # memory, between two loops that are faster when each assembles its words from the batch.
    chunks, used = split_chunks(lax.optimization_barrier(strings), lengths)
    begin = begin.astype(jnp.uint32)
    long = used.ndim > lengths.ndim
    if long:
        begin = jnp.expand_dims(begin, -1) + CHUNK * lax.broadcasted_iota(jnp.uint32, used.shape, used.ndim - 1)
    stored = _aligned_words if data.size % 4 == 0 and data.size <= strings.size else _unaligned_words
    differ = jnp.zeros(used.shape, jnp.uint32)
    for i, word in enumerate(stored(data, begin, chunks.shape[-1] // 4)):
        differ |= (word ^ packed_word(chunks, i)) & low_bytes(used - 4 * i)
    return jnp.all(differ == 0, axis=-1) if long else differ == 0


def _aligned_words(data: Array, begin: Array, count: int) -> Iterator[Array]:
    """The words of `data` from byte `begin` on, put together from aligned ones: worth the pass over a small `data`."""
    words = lax.bitcast_convert_type(data.reshape(-1, 4), jnp.uint32)
    place, shift = begin >> 2, (begin & 3) << 3
    low = _gather(words, place)
    for i in range(1, count + 1):
        high = _gather(words, place + i)
        # Two shifts, since a shift by 32 is not defined.
        yield (low >> shift) | ((high << 1) << (31 - shift))
        low = high


def _unaligned_words(data: Array, begin: Array, count: int) -> Iterator[Array]:
    """The words of `data` from byte `begin` on, byte by byte."""
    for i in range(count):
        yield lax.bitcast_convert_type(_gather(data, begin + 4 * i, 4), jnp.uint32)


def _same_spans(
    a: np.ndarray, starts: np.ndarray, b: np.ndarray, begins: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Whether `lengths` bytes of `a` and `b` agree, from `starts` in one and from `begins` in the other."""
    at, used, _, firsts = chunk_spans(starts, lengths)
    other = chunk_spans(begins, lengths)[0]
    words, others = words_at(a), words_at(b)
    masks = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF], np.uint32)
    same = np.ones(len(at), bool)
    for i in range(0, int(used.max(initial=0)), 4):
        left = np.flatnonzero(used > i)
        differ = words[at[left] + i] ^ others[other[left] + i]
        same[left] &= differ & masks[np.minimum(used[left] - i, 4)] == 0
    return np.logical_and.reduceat(same, firsts) if len(firsts) else same


def _gather(array: Array, indices: Array, size: int | None = None) -> Array:
    """`array[i]` for every index, or the window `array[i : i + size]`; out of bounds are only bytes of no account."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(indices.ndim,) if size else (), collapsed_slice_dims=() if size else (0,), start_index_map=(0,)
    )
    return lax.gather(array, jnp.expand_dims(indices, -1), numbers, (size or 1,), mode="clip")
