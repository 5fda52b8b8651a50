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
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, UInt8, UInt32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.jax_compat import fori_loop, while_loop
from ffjax._internal.pytree import value
from ffjax.kernels.perfect_hash_numpy import duplicates, key_of, place, with_slack
from ffjax.kernels.siphash import (
    CHUNK,
    chunks_of,
    computed_once,
    hash_chunks,
    hash_spans,
    hash_words,
    low_bytes,
    slot_of,
    words_of,
)

_MAX_KEYS = 64
# Strings for which reading aligned words is worth its larger program.
_LARGE_BATCH = 1 << 16
# Bytes of a batch whose strings are all hashed as if they were long: a loop is more to compile.
_SMALL_BATCH = 1 << 16
# Wide strings whose first chunks stay in a CPU's cache.
_BLOCK_STRINGS = {"cpu": 1 << 17}
# Long strings that are found at a time.
_COLUMNS = 512


@value()
class HashTable:
    """Byte strings to their numbers; the shapes of its arrays follow from the number of strings."""

    key: UInt32[AnyArray, "2"]
    factors: UInt32[AnyArray, " n_buckets"]
    rows: Int32[AnyArray, " n_slots"]

    @classmethod
    def build(cls, data: np.ndarray, offsets: np.ndarray, *, what: str = "words") -> "HashTable":
        """Builds the table of all strings of a buffer, on the host; an error if two are equal.

        Example:
            >>> data = np.frombuffer(b"anorange", np.uint8)
            >>> HashTable.build(data, np.array([0, 2, 8], np.int32))
            HashTable(1 buckets, 2 slots)
        """
        data = with_slack(data, offsets)
        starts, lengths = offsets[:-1], np.diff(offsets)
        digest = hashlib.sha256(lengths.astype("<i4"))
        digest.update(np.ascontiguousarray(data[offsets[0] : offsets[-1]]))
        for attempt in range(_MAX_KEYS):
            key = key_of(digest.digest(), attempt)
            placed = place(*hash_spans(data, starts, lengths, key))
            if placed is not None:
                return cls(key, *placed)
            for earlier, again in duplicates(data, offsets):
                raw = data[offsets[again] : offsets[again + 1]].tobytes()
                string = raw.decode(errors="replace")
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
    the width of the batch; batches of up to 16 bytes are found without loops. At least 4 bytes
    follow the last string of `data`. Strings with a negative length, or one over the width, are not
    found.

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
    probe = _Probe.of(table, data, offsets, lengths.shape[0])
    if strings.shape[-1] <= CHUNK:
        return probe.find(strings, lengths)
    if strings.size <= _SMALL_BATCH:
        numbers = probe.find_chunked(strings, lengths)
        return computed_once(jnp.where(lengths <= strings.shape[-1], numbers, -1))
    return _find_long(probe, strings, lengths, _find_short(probe, strings, lengths))


def find_words(
    table: HashTable,
    data: UInt8[AnyArray, " capacity"],
    offsets: Int32[AnyArray, " n_plus_1"],
    values: Int32[AnyArray, " n"],
    words: list[Array],
    lengths: Int32[AnyArray, "*batch"],
) -> Int32[Array, "*batch"]:
    """The value of each string in the table, or -1; strings come as little-endian uint32 words."""
    if offsets.shape[0] <= 1 or not words:
        return jnp.full(lengths.shape, -1, jnp.int32)
    probe = _Probe.of(table, data, offsets, math.prod(lengths.shape))
    sizes = jnp.asarray(lengths).reshape(-1)
    words = [jnp.broadcast_to(word, lengths.shape).reshape(-1) for word in words]
    ids, begin = probe.candidates(hash_words(words, sizes, table.key), sizes)
    values = jnp.where(ids >= 0, _gather(jnp.asarray(values), ids.astype(jnp.uint32)), -1)
    values = jnp.where(probe.differences(begin, words, sizes) == 0, values, -1)
    return values.reshape(lengths.shape)


class _Probe(NamedTuple):
    """The arrays of a table that is probed; `data` are its bytes, or words of four."""

    table: HashTable
    data: Array
    offsets: Array

    @classmethod
    def of(cls, table: HashTable, data: AnyArray, offsets: AnyArray, batch: int) -> "_Probe":
        """How to probe the table for so many strings."""
        data = jnp.asarray(data)
        # Gathers of aligned words are faster, once the batch pays for a pass over the data.
        if batch >= _LARGE_BATCH and data.size % 4 == 0 and data.size <= CHUNK * batch:
            data = lax.bitcast_convert_type(data.reshape(-1, 4), jnp.uint32)
        return cls(table, data, jnp.asarray(offsets))

    def find(self, strings: Array, lengths: Array) -> Array:
        """The number of each string of a padded batch of at most one chunk."""
        words = words_of(strings)
        ids, begin = self.candidates(hash_words(words, lengths, self.table.key), lengths)
        fits = lengths <= strings.shape[-1]
        equal = fits & (self.differences(begin, words, lengths) == 0)
        return computed_once(jnp.where(equal, ids, -1))

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
        if self.data.dtype == jnp.uint8:
            for i in range(count):
                window = _gather(self.data, begin + 4 * i, 4)
                yield lax.bitcast_convert_type(window, jnp.uint32)
            return
        index, shift = begin >> 2, (begin & 3) << 3
        low = _gather(self.data, index)
        for i in range(1, count + 1):
            high = _gather(self.data, index + i)
            # Two shifts, since a shift by 32 is not defined.
            yield (low >> shift) | ((high << 1) << (31 - shift))
            low = high


def _find_short(probe: _Probe, strings: Array, lengths: Array) -> Array:
    """The numbers of strings of at most one chunk in a wide batch."""
    batch = lengths.shape[0]
    size = min(batch, _BLOCK_STRINGS.get(jax.default_backend(), batch))

    # A block's first chunks are read once from wide rows, and stay in the cache to be compared.
    def block(i: Array, ids: Array) -> Array:
        start = jnp.minimum(i * size, batch - size)
        chunks = lax.dynamic_slice(strings, (start, jnp.zeros_like(start)), (size, CHUNK))
        numbers = probe.find(chunks, lax.dynamic_slice_in_dim(lengths, start, size))
        return lax.dynamic_update_slice_in_dim(ids, numbers, start, 0)

    return fori_loop(0, -(-batch // size), block, jnp.full(batch, -1, jnp.int32))


def _find_long(probe: _Probe, strings: Array, lengths: Array, ids: Array) -> Array:
    """Adds to `ids` the strings of more than one chunk.

    String `i` belongs to column `i % _COLUMNS`, which has a bit for each of its strings in `flags`.
    A step takes the first long string of each column, so a few long strings take a few steps.
    """
    batch, width = strings.shape
    is_long = jnp.pad((lengths > CHUNK) & (lengths <= width), (0, -batch % (32 * _COLUMNS)))
    bits = is_long.reshape(-1, 32, _COLUMNS).astype(jnp.uint32)
    flags = (bits << np.arange(32, dtype=np.uint32)[None, :, None]).sum(1, dtype=jnp.uint32)
    rows = lax.broadcasted_iota(jnp.int32, flags.shape, 0)
    column = np.arange(_COLUMNS, dtype=np.int32)

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        flags, ids = state
        row = jnp.argmax(flags != 0, axis=0).astype(jnp.int32)
        is_first = rows == row[None]
        bits = jnp.where(is_first, flags, 0).sum(0, dtype=jnp.uint32)
        bit = lax.population_count(~bits & (bits - 1)).astype(jnp.int32)
        index = (row * 32 + bit) * _COLUMNS + column
        # A column without long strings looks past the end, in vain.
        index = computed_once(jnp.where(bits == 0, batch + column, index))
        sizes = jnp.take(lengths, index, mode="clip")
        numbers = probe.find_chunked(jnp.take(strings, index, axis=0, mode="clip"), sizes)
        ids = ids.at[index].set(
            numbers, mode="drop", unique_indices=True, wrap_negative_indices=False
        )
        return jnp.where(is_first, flags & (flags - 1), flags), ids

    return while_loop(lambda state: jnp.any(state[0] != 0), step, (flags, ids))[1]


def _gather(array: Array, indices: Array, size: int | None = None) -> Array:
    """`array[i]` for every index, or the window `array[i : i + size]`, clipped to the array."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(indices.ndim,) if size else (),
        collapsed_slice_dims=() if size else (0,),
        start_index_map=(0,),
    )
    return lax.gather(array, jnp.expand_dims(indices, -1), numbers, (size or 1,), mode="clip")
