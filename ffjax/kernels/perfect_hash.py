"""A hash table from byte strings to the numbers of those strings in a `StringTable`.

Built on the host with vectorized code, probed in compiled code with a fixed number of gathers.
Its answers are exact.

    key      uint32[2]          the key of the hash
    factors  uint32[n_buckets]  the multiplier of each bucket
    rows     int32[n_slots]     numbers of strings, 0 in free slots

With `n` strings, `n_slots` is the power of two that is at least `1.25 * n`, and there are half as
many buckets. The first half of a string's hash names its bucket. The second half times the bucket's
factor, modulo 2**32, has the number of the string's slot in its upper bits. Factors are chosen when
the table is built, so that no two strings share a slot ("hash and displace", see
https://cmph.sourceforge.net/papers/esa09.pdf, with a factor for the displacement). So a string can
be in exactly one slot. A probe reads the factor, the slot, and both offsets and the bytes of the
string there, and compares.

The key is derived from a cryptographic hash of all strings: adding a string to provoke collisions
changes the key. Should a bucket have no factor, the next key of the sequence is tried. Equal
strings make equal tables on every machine.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
    chunks_of,
    hash_chunks,
    hash_spans,
    hash_words,
    low_bytes,
    words_of,
)

_MAX_KEYS = 64
# Short strings of a wide batch that are found at a time.
_BLOCK = 1 << 16
# Columns of the batch in which long strings are looked for, and strings of each at a time.
_COLUMNS, _WINDOW = 1040, 64


@value()
class HashTable:
    """Byte strings to their numbers; the shapes of its arrays follow from the number of strings.

    Attributes:
        key: The key of the hash.
        factors: The multiplier of each bucket, which gives its strings different slots.
        rows: Numbers of strings, by slot.
    """

    key: UInt32[AnyArray, "2"]
    factors: UInt32[AnyArray, " n_buckets"]
    rows: Int32[AnyArray, " n_slots"]

    @classmethod
    def build(
        cls,
        data: UInt8[np.ndarray, " capacity"],
        offsets: Int32[np.ndarray, " n_plus_1"],
        *,
        what: str = "words",
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
            >>> data = np.frombuffer(b"anorange", np.uint8)
            >>> HashTable.build(data, np.array([0, 2, 8], np.int32))
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
                string = (
                    data[offsets[again] : offsets[again + 1]].tobytes().decode(errors="replace")
                )
                raise ValueError(
                    f"`{what}`: expected each once, got {string!r} as number {earlier} and again "
                    f"as number {again}. Remove one of them."
                )
        raise RuntimeError(
            f"`{what}`: could not place {len(starts)} distinct strings with any of {_MAX_KEYS} "
            "keys. This should never happen; please report the file."
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
    """The number of each string of a padded batch in the table of `HashTable.build`, or -1.

    Compile it, since single operations are slow. A string costs what its own bytes cost, whatever
    the width of the batch; batches of up to 16 bytes are found without loops.

    Args:
        table: the hash table.
        data: the bytes of its strings; at least 4 bytes follow the last string.
        offsets: where each of them starts, and where the last one ends.
        strings: the bytes of the strings to find; bytes after a string are not read.
        lengths: bytes in use. Rows with a negative length, or one over the width, are not found.

    Examples:
        >>> import ffjax
        >>> words = ffjax.StringTable.from_strings(["an", "orange"])
        >>> table = HashTable.build(words.data, words.offsets)
        >>> batch = ffjax.pack(["orange", "apple"], count=2)
        >>> find(table, words.data, words.offsets, batch.bytes, batch.lengths)
        Array([ 1, -1], dtype=int32)
    """
    if offsets.shape[0] <= 1 or lengths.shape[0] == 0:
        return jnp.full(lengths.shape, -1, jnp.int32)
    strings, lengths = jnp.asarray(strings), jnp.asarray(lengths)
    width = strings.shape[-1]
    lengths = jnp.where(lengths <= width, lengths, -1)
    probe = _Probe(table, jnp.asarray(data), jnp.asarray(offsets))
    if width <= CHUNK:
        return probe.find(strings, lengths)
    return _find_long(probe, strings, lengths, _find_short(probe, strings, lengths))


def find_words(
    table: HashTable,
    data: UInt8[AnyArray, " capacity"],
    offsets: Int32[AnyArray, " n_plus_1"],
    words: list[Array],
    lengths: Int32[AnyArray, "*batch"],
) -> Int32[Array, "*batch"]:
    """As `find`, for strings whose bytes come four to a little-endian uint32."""
    if offsets.shape[0] <= 1 or not words:
        return jnp.full(lengths.shape, -1, jnp.int32)
    probe = _Probe(table, jnp.asarray(data), jnp.asarray(offsets))
    sizes = jnp.asarray(lengths)
    ids, begin = probe.candidates(hash_words(words, sizes, table.key), sizes)
    return jnp.where(probe.differences(begin, words, sizes) == 0, ids, -1)


class _Probe(NamedTuple):
    """The arrays of a table that is probed."""

    table: HashTable
    data: Array
    offsets: Array

    def find(self, strings: Array, lengths: Array) -> Array:
        """The number of each string of a padded batch of at most one chunk."""
        ids, begin = self.candidates(
            hash_words(words_of(strings), lengths, self.table.key), lengths
        )
        # After the barrier XLA reads the batch again, instead of keeping all words in memory.
        words = words_of(lax.optimization_barrier(strings))
        return jnp.where(self.differences(begin, words, lengths) == 0, ids, -1)

    def find_chunked(self, strings: Array, lengths: Array) -> Array:
        """The number of each string of a padded batch of several chunks."""
        chunks = chunks_of(strings)
        number = lax.broadcasted_iota(jnp.int32, chunks.shape[:-1], chunks.ndim - 2)
        # The barrier has XLA compute them in the loop, not save them in many arrays before it.
        number, lengths = lax.optimization_barrier((number, lengths))
        sizes = jnp.clip(lengths[..., None] - CHUNK * number, 0, CHUNK)
        words, number = words_of(chunks), number.astype(jnp.uint32)
        ids, begin = self.candidates(hash_chunks(words, sizes, number, self.table.key), lengths)
        differ = self.differences(begin[..., None] + CHUNK * number, words, sizes)
        return jnp.where(jnp.all(differ == 0, axis=-1), ids, -1)

    def candidates(self, hashes: tuple[Array, Array], lengths: Array) -> tuple[Array, Array]:
        """The only string of the table that each string can be, or -1, and its first byte."""
        first, second = hashes
        factors, rows = jnp.asarray(self.table.factors), jnp.asarray(self.table.rows)
        factor = _gather(factors, first & (factors.shape[0] - 1))
        ids = _gather(rows, slot_of(second, factor, rows.shape[0]))
        begin, end = (_gather(self.offsets, ids.astype(jnp.uint32) + i) for i in (0, 1))
        return jnp.where(end - begin == lengths, ids, -1), begin.astype(jnp.uint32)

    def differences(self, begin: Array, words: Sequence[Array], lengths: Array) -> Array:
        """0 where the table's string at `begin` has the same first `lengths` bytes as `words`."""
        differ = jnp.zeros(lengths.shape, jnp.uint32)
        for i, (mine, word) in enumerate(zip(self.words(begin, len(words)), words, strict=True)):
            differ |= (mine ^ word) & low_bytes(lengths - 4 * i)
        return differ

    def words(self, begin: Array, count: int) -> Iterator[Array]:
        """The first `count` words of each string of the table."""
        if self.data.size % 4 or self.data.size > 4 * begin.size:
            for i in range(count):
                window = _gather(self.data, begin + 4 * i, 4)
                yield lax.bitcast_convert_type(window, jnp.uint32)
            return
        # Aligned words are read faster, which is worth a pass over a small table.
        aligned = lax.bitcast_convert_type(self.data.reshape(-1, 4), jnp.uint32)
        low, shift = _gather(aligned, begin >> 2), (begin & 3) << 3
        for i in range(1, count + 1):
            high = _gather(aligned, (begin >> 2) + i)
            # Two shifts, since a shift by 32 is not defined.
            yield (low >> shift) | ((high << 1) << (31 - shift))
            low = high


def _find_short(probe: _Probe, strings: Array, lengths: Array) -> Array:
    """The numbers of the strings of at most one chunk in a wide batch, -1 for all others."""
    batch = strings.shape[0]
    lengths = jnp.where(lengths <= CHUNK, lengths, -1)
    size = min(batch, _BLOCK)

    def block(i: Array | int, ids: Array) -> Array:
        start = jnp.minimum(i * size, batch - size)
        # The barrier has the narrow block copied: strided reads of single bytes are slow.
        rows = lax.optimization_barrier(lax.dynamic_slice(strings, (start, 0), (size, CHUNK)))
        numbers = probe.find(rows, lax.dynamic_slice(lengths, (start,), (size,)))
        return lax.dynamic_update_slice(ids, numbers, (start,))

    # Blocks stay in the cache, and need no large temporary arrays.
    return lax.fori_loop(0, -(-batch // size), block, jnp.full(batch, -1, jnp.int32))


def _find_long(probe: _Probe, strings: Array, lengths: Array, ids: Array) -> Array:
    """Adds to `ids` the strings of more than one chunk.

    The batch is a table of a number of columns. Each step takes the next long string of every
    column, if there is one within a window, so a few long strings take a few steps.
    """
    batch = strings.shape[0]
    columns = min(batch, _COLUMNS)
    column = jnp.arange(columns, dtype=jnp.int32)
    window = min(-(-batch // columns), _WINDOW)

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        starts, ids = state
        ahead = lax.broadcasted_iota(jnp.int32, (columns, window), 1)
        index = starts[:, None] + columns * ahead
        is_long = jnp.take(lengths, index, mode="fill", fill_value=-1) > CHUNK
        index = starts + columns * jnp.min(jnp.where(is_long, ahead, window), axis=1)
        size = jnp.take(lengths, index, mode="fill", fill_value=-1)
        numbers = probe.find_chunked(jnp.take(strings, index, axis=0, mode="clip"), size)
        long_index = jnp.where(size > CHUNK, index, batch)
        ids = ids.at[long_index].set(numbers, mode="drop", unique_indices=False)
        return jnp.where(size > CHUNK, index + columns, index), ids

    return lax.while_loop(lambda state: jnp.any(state[0] < batch), step, (column, ids))[1]


def _gather(array: Array, indices: Array, size: int | None = None) -> Array:
    """`array[i]` for every index, or the window `array[i : i + size]`, clipped to the array."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(indices.ndim,) if size else (),
        collapsed_slice_dims=() if size else (0,),
        start_index_map=(0,),
    )
    return lax.gather(array, jnp.expand_dims(indices, -1), numbers, (size or 1,), mode="clip")
