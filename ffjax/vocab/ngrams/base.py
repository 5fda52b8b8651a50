"""What the indexers that hash n-grams share: the host's and the device's interface, and the order of n-grams."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Int32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.swar import HELD
from ffjax.kernels.utf8 import byte_planes
from ffjax.vocab.ngrams import chunked as pieces
from ffjax.vocab.ngrams.definition import bounds, check_word, whole_number

# Words that are hashed together. What lies between bytes and ids then stays in a CPU's cache and in memory that is
# already mapped, which takes half the time of one pass over 50,000 words.
_BLOCK = 8192


class Order(NamedTuple):
    """Where the n-grams of a word of some length are, in order.

    Attributes:
        starts: the first character (or byte) of each n-gram.
        ends: the one behind its last.
        places: its index in the rows of hashes that `lanes` gives, one row for each n from the longest.
    """

    starts: np.ndarray
    ends: np.ndarray
    places: np.ndarray


class HashIndexer(ABC):
    """An indexer that hashes n-grams into a fixed number of buckets.

    Attributes:
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.
    """

    min_n: int
    max_n: int

    def __getstate__(self) -> dict[str, Any]:
        # What is kept for speed lies beside the fields; a copy or a pickle makes its own.
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @property
    @abstractmethod
    def upper_bound(self) -> int:
        """The number of buckets."""

    @abstractmethod
    def _hash(self, text: str) -> np.ndarray:
        """The buckets of a marked word on the host, uint64 `[n_ids]`."""

    @abstractmethod
    def _hash_pieces(self, text: str) -> Iterator[np.ndarray]:
        """Those buckets of a long word, some at a time."""

    @abstractmethod
    def _names(self, text: str) -> list[str]:
        """The n-gram behind each of those buckets."""

    @abstractmethod
    def _hash_planes(self, planes: Array, totals: Array) -> tuple[Array, Array]:
        """The buckets of a marked batch on the device, uint32 `[slots, batch]`, and how many each word has."""

    @property
    @abstractmethod
    def _skips_edges(self) -> bool:
        """Whether n-grams of one character at either end are left out."""

    def subword_indices(
        self, word: str, offset: int = 0, bracket: bool = True, with_ngrams: bool = False
    ) -> list[int] | list[tuple[str, int]]:
        """The buckets of a word's n-grams, by start, longest first.

        Args:
            word: the word.
            offset: what to add to each bucket, such as the number of the words' rows that come first.
            bracket: whether to put `<` and `>` around the word first.
            with_ngrams: whether to give `(ngram, bucket)` pairs.

        Returns:
            The buckets, or the pairs; none for a word that is too short.

        Raises:
            TypeError: `word` is no `str`, or `offset` no whole number.
            ValueError: `offset` is negative or leads beyond 64 bits, or UTF-8 cannot hold the word.
        """
        check_word(word)
        text = f"<{word}>" if bracket else word
        ids = self._hash(text)
        if not isinstance(offset, int) or offset:
            offset = whole_number("offset", offset)
            if not 0 <= offset <= 2**64 - self.upper_bound:
                raise ValueError(
                    f"`offset`: expected 0 to {2**64 - self.upper_bound}, so that indices fit 64 bits, got {offset}. "
                    "Give the number of rows that come before those of the n-grams."
                )
            ids = ids + np.uint64(offset)
        if with_ngrams:
            return list(zip(self._names(text), ids.tolist(), strict=True))
        return ids.tolist()

    def marked_ids(self, text: str) -> np.ndarray:
        """The buckets of a word that has its markers already, as an array, uint64 `[n_ids]`: the quick way for one."""
        return self._hash(text)

    def marked_id_pieces(self, text: str) -> Iterator[np.ndarray]:
        """The same, some at a time, so that no number of characters takes much memory."""
        return iter((self._hash(text),)) if len(text) <= 2 * pieces.PIECE else self._hash_pieces(text)

    def bucket_ids(
        self,
        data: UInt8[AnyArray, "batch width"],
        lengths: Int32[AnyArray, " batch"],
        *,
        bow: bytes = b"<",
        eow: bytes = b">",
    ) -> tuple[Int32[Array, "batch slots"], Int32[Array, " batch"]]:
        """The buckets of all n-grams of packed words, in compiled code, in the order of `subword_indices`.

        They are computed with the batch in the last axis: within one compiled program `ids.T` costs nothing.

        Words that are not valid UTF-8 give what `subword_indices` gives for their `str` (see `ffjax.unpack`). For
        fastText's and floret's hashes, a batch in which a character has more than three continuation bytes takes a
        slower path.

        Args:
            data: the words' bytes, uint8 `[batch, width]`.
            lengths: bytes in each word, int32 `[batch]`; negative for rows that hold no word.
            bow: bytes to put before each word; `b""` for none.
            eow: bytes to put behind each word.

        Returns:
            `(ids, counts)`: int32 `[batch, slots]` buckets packed to the left, zeros behind; int32 `[batch]` how many
            each word has. `slots` is what a word of `width` one-byte characters has.

        Raises:
            TypeError: the arrays are of other types.
            ValueError: the shapes do not fit, or there are more than `2**31` buckets, beyond int32.

        Examples:
            >>> import ffjax
            >>> batch = ffjax.pack(["tea", ""], count=2)
            >>> ids, counts = ffjax.FastTextIndexer(1000).bucket_ids(batch.bytes, batch.lengths)
            >>> ids[0, :6].tolist(), counts.tolist()
            ([191, 59, 8, 757, 337, 895], [6, 0])
        """
        return _bucket_ids(self, *self._checked(data, lengths), bow, eow)

    def indices(
        self,
        data: UInt8[AnyArray, "batch width"],
        lengths: Int32[AnyArray, " batch"],
        *,
        bow: bytes = b"<",
        eow: bytes = b">",
    ) -> Int32[Array, "batch slots"]:
        """The ids of `bucket_ids`, with -1 instead of counts in slots behind a word's last n-gram."""
        ids, counts = _bucket_ids(self, *self._checked(data, lengths), bow, eow)
        return jnp.where(lax.broadcasted_iota(jnp.int32, ids.shape, 1) < counts[:, None], ids, jnp.int32(-1))

    def _checked(self, data: Any, lengths: Any) -> tuple[Array, Array]:
        if self.upper_bound > 2**31:
            raise ValueError(
                f"{self!r}: expected at most 2**31 buckets on a device, whose indices are int32, got "
                f"{self.upper_bound}. Use `subword_indices`, which has no such limit."
            )
        data, lengths = jnp.asarray(data), jnp.asarray(lengths)
        if data.dtype != jnp.uint8 or lengths.dtype != jnp.int32:
            raise TypeError(
                f"`data`, `lengths`: expected uint8 and int32, got {data.dtype} and {lengths.dtype}. "
                "`ffjax.pack` makes both."
            )
        if data.ndim != 2 or lengths.shape != data.shape[:1]:
            raise ValueError(
                f"`data`, `lengths`: expected shapes [batch, width] and [batch], got {data.shape} and "
                f"{lengths.shape}. Use `jax.vmap` for more axes."
            )
        return data, lengths

    def _order(self, length: int) -> Order:
        """The order of the n-grams of a word of `length` characters; short lengths are kept."""
        order = self._orders.get(length)
        if order is None:
            starts, ends = bounds(length, self.min_n, self.max_n).T
            if self._skips_edges:
                kept = (ends - starts > 1) | ((starts > 0) & (ends < length))
                starts, ends = starts[kept], ends[kept]
            top = min(self.max_n, length)
            order = Order(starts, ends, starts + (top - (ends - starts)) * length)
            if length <= HELD:
                self._orders[length] = order
        return order

    @cached_property
    def _orders(self) -> dict[int, Order]:
        return {}


@partial(jax.jit, static_argnums=(0, 3, 4))
def _bucket_ids(indexer: HashIndexer, data: Array, lengths: Array, bow: bytes, eow: bytes) -> tuple[Array, Array]:
    def hash_block(data: Array, lengths: Array) -> tuple[Array, Array]:
        ids, counts = indexer._hash_planes(*byte_planes(data, lengths, bow, eow))
        empty = lengths < 0
        return jnp.where(empty[None], 0, ids.astype(jnp.int32)), jnp.where(empty, 0, counts)

    batch = data.shape[0]
    if batch <= _BLOCK:
        ids, counts = hash_block(data, lengths)
        return ids.T, counts

    def step(block: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        # The last block starts so that it ends with the batch, and does some rows again.
        first = jnp.minimum(block * _BLOCK, batch - _BLOCK)
        rows = (lax.dynamic_slice_in_dim(x, first, _BLOCK) for x in (data, lengths))
        ids, counts = hash_block(*rows)
        return (
            lax.dynamic_update_slice_in_dim(found[0], ids, first, 1),
            lax.dynamic_update_slice_in_dim(found[1], counts, first, 0),
        )

    shapes = jax.eval_shape(hash_block, data, lengths)
    ids, counts = lax.fori_loop(0, -(-batch // _BLOCK), step, tuple(jnp.zeros(x.shape, x.dtype) for x in shapes))
    return ids.T, counts
