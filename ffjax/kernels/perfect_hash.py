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
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, UInt8, UInt32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.duplicates import duplicates
from ffjax.kernels.duplicates import duplicates
from ffjax.kernels.perfect_hash_build import key_of, place, slot_of
from ffjax.kernels.siphash import (
    CHUNK,
    chunk_lengths,
    chunked_words,
    hash_spans,
    hash_words,
    low_bytes,
    words_of,
)

_MAX_KEYS = 64
# Strings of up to so many bytes are found all together, longer ones apart from them.
SHORT = 16
# Strings among which longer ones are looked for at a time.
_COLUMNS, _ROWS = 1024, 64


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
    if offsets.shape[0] <= 1 or lengths.shape[0] == 0:
        return jnp.full(lengths.shape, -1, jnp.int32)
    strings, lengths = jnp.asarray(strings), jnp.asarray(lengths)
    width = strings.shape[-1]
    lengths = jnp.where(lengths <= width, lengths, -1)
    probe = _Probe(table, jnp.asarray(data), jnp.asarray(offsets))
    if width <= SHORT:
        return probe.find(strings, lengths)
    short = jnp.where(lengths <= SHORT, lengths, -1)
    return _find_long(probe, strings, lengths, probe.find(strings[:, :SHORT], short))


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
    words = chunked_words(words)
    ids, begin = probe.candidates(hash_words(words, lengths, table.key), lengths)
    return probe.equal(ids, begin, words, lengths)


class _Probe(NamedTuple):
    """The arrays of a table that is probed."""

    table: HashTable
    data: Array
    offsets: Array

    def candidates(self, hashes: tuple[Array, Array], lengths: Array) -> tuple[Array, Array]:
        """The only string of the table that each string can be, -1 for none, and its first byte."""
        first, second = hashes
        factors, rows = jnp.asarray(self.table.factors), jnp.asarray(self.table.rows)
        factor = _gather(factors, first & (factors.shape[0] - 1))
        ids = _gather(rows, slot_of(second, factor, rows.shape[0]))
        begin, end = (_gather(self.offsets, ids.astype(jnp.uint32) + i) for i in (0, 1))
        return jnp.where(end - begin == lengths, ids, -1), begin.astype(jnp.uint32)

    def word(self, begin: Array, i: Array | int) -> Array:
        """Bytes `4 * i` to `4 * i + 3` of each string of the table that starts at `begin`."""
        return lax.bitcast_convert_type(_gather(self.data, begin + 4 * i, 4), jnp.uint32)

    def equal(self, ids: Array, begin: Array, words: Sequence[Array], lengths: Array) -> Array:
        """The candidates whose bytes are those of the strings, -1 for the others."""
        used = chunk_lengths(words, lengths)
        chunked = used.ndim > lengths.ndim
        if chunked:
            begin = begin[..., None] + CHUNK * lax.broadcasted_iota(jnp.uint32, used.shape, used.ndim - 1)
        differ = jnp.zeros(used.shape, jnp.uint32)
        for i, (mine, word) in enumerate(zip(self.words(begin, len(words)), words, strict=True)):
            differ |= (mine ^ word) & low_bytes(used - 4 * i)
        same = jnp.all(differ == 0, axis=-1) if chunked else differ == 0
        return jnp.where(same, ids, -1)

    def find(self, strings: Array, lengths: Array) -> Array:
        """The number of each string of a padded batch."""
        hashes = hash_words(words_of(strings), lengths, self.table.key)
        ids, begin = self.candidates(hashes, lengths)
        # After the barrier XLA reads the batch again, instead of keeping all words in memory.
        return self.equal(ids, begin, words_of(lax.optimization_barrier(strings)), lengths)

    def words(self, begin: Array, count: int) -> Iterator[Array]:
        """The first `count` words of each string of the table."""
        if self.data.size % 4 or self.data.size > 4 * begin.size:
            yield from (self.word(begin, i) for i in range(count))
            return
        # Aligned words are read faster, which is worth a pass over a small table.
        aligned = lax.bitcast_convert_type(self.data.reshape(-1, 4), jnp.uint32)
        low, shift = _gather(aligned, begin >> 2), (begin & 3) << 3
        for i in range(1, count + 1):
            high = _gather(aligned, (begin >> 2) + i)
            # Two shifts, since a shift by 32 is not defined.
            yield (low >> shift) | ((high << 1) << (31 - shift))
            low = high


def _find_long(probe: _Probe, strings: Array, lengths: Array, ids: Array) -> Array:
    """Adds to `ids` the strings of more than `SHORT` bytes.

    A chunk of the batch is a table of `columns` strings a row. In each step the next long string of
    every column is found, so a few long strings in a large batch take a few steps.
    """
    batch, width = strings.shape
    columns = min(batch, _COLUMNS)
    n_rows = min(-(-batch // columns), _ROWS)
    n_chunks = -(-batch // (columns * n_rows))
    padded = jnp.pad(lengths, (0, n_chunks * n_rows * columns - batch), constant_values=-1)
    padded = padded.reshape(n_chunks, n_rows, columns)
    row = lax.broadcasted_iota(jnp.int32, (n_rows, columns), 0)
    column = jnp.arange(columns, dtype=jnp.int32)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        chunk, last, ids = state
        is_long = lax.dynamic_index_in_dim(padded, chunk, keepdims=False) > SHORT
        following = jnp.min(jnp.where(is_long & (row > last[None]), row, n_rows), axis=0)
        index = (chunk * n_rows + following) * columns + column
        index = jnp.where(following < n_rows, index, batch)
        size = jnp.take(lengths, index, mode="fill", fill_value=-1)
        found = probe.find(jnp.take(strings, index, axis=0, mode="clip"), size)
        ids = ids.at[index].set(found, mode="drop")
        any_long = jnp.any(following < n_rows)
        last = jnp.where(any_long, following, -1)
        return jnp.where(any_long, chunk, chunk + 1), last, ids

    state = jnp.int32(0), jnp.full(columns, -1, jnp.int32), ids
    return lax.while_loop(lambda state: state[0] < n_chunks, step, state)[2]


def _gather(array: Array, indices: Array, size: int | None = None) -> Array:
    """`array[i]` for every index, or the window `array[i : i + size]`; out of bounds are only bytes of no account."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(indices.ndim,) if size else (), collapsed_slice_dims=() if size else (0,), start_index_map=(0,)
    )
    return lax.gather(array, jnp.expand_dims(indices, -1), numbers, (size or 1,), mode="clip")
