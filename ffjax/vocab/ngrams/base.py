"""N-grams of words, and what all indexers share: the rows of n-grams, on the host and on a device.

The n-grams of a word are its stretches of `min_n` to `max_n` characters, by start, longest first.
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Int32, UInt8

from ffjax._internal.arguments import check_word, whole_number
from ffjax._internal.arrays import AnyArray
from ffjax._internal.chunk import SnapshotValue
from ffjax._internal.jax_compat import fori_loop
from ffjax.kernels import ngrams_numpy as host
from ffjax.kernels.compaction import move_left, n_slots
from ffjax.kernels.ngram_hashes import CODE_POINTS, STARTS, Tile, Words, read_tile
from ffjax.kernels.ngrams_numpy import Line, Ngrams
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.tokenize import LINE_END
from ffjax.strings.codec import encode_word

# What fastText puts at the end of a line, with markers.
EOS = b"<%b>" % LINE_END
# Words whose ids are ordered together: the work of a block stays in a CPU's cache.
_BLOCK_WORDS = 8192


def ngrams(word: str, min_n: int = 3, max_n: int = 6, bracket: bool = True) -> list[str]:
    """The n-grams of a word, by start, longest first.

    Args:
        word: the word.
        min_n: the length of the shortest n-grams, in characters (code points).
        max_n: the length of the longest.
        bracket: whether to put `<` and `>` around the word first.

    Returns:
        The n-grams; none if the word is shorter than `min_n`, its brackets counted.

    Raises:
        TypeError: if `word` is not a `str`, or a length is not a whole number.
        ValueError: unless `1 <= min_n <= max_n`.

    Examples:
        >>> import ffjax
        >>> ffjax.ngrams("tea", 3, 4)
        ['<tea', '<te', 'tea>', 'tea', 'ea>']
    """
    check_ngram(word)
    min_n, max_n = check_range(min_n, max_n)
    word = f"<{word}>" if bracket else word
    starts = range(len(word) - min_n + 1)
    sizes = range(min(max_n, len(word)), min_n - 1, -1)
    return [word[i : i + n] for i in starts for n in sizes if i + n <= len(word)]


def check_range(min_n: Any, max_n: Any) -> tuple[int, int]:
    """The n-gram range as two `int`; an error unless `1 <= min_n <= max_n < 2**32`."""
    least, most = whole_number("min_n", min_n, None), whole_number("max_n", max_n, None)
    if not 1 <= least <= most < 2**32:
        expected = "expected 1 <= min_n <= max_n < 2**32"
        raise ValueError(f"`min_n`, `max_n`: {expected}, got min_n={least} and max_n={most}.")
    return least, most


def check_ngram(word: object) -> None:
    """Checks that a word or an n-gram is a `str`."""
    check_word("word", word, what="a str to take n-grams of")


class NgramIndexer(SnapshotValue):
    """Gives each n-gram of a word its row, counted from 0.

    Attributes:
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.
        upper_bound: the number of rows.
        rule: what a character is, see `ffjax.kernels.ngram_hashes`.
        skip_edge_unigrams: whether n-grams of one character at either end are left out.
        bare_eos: whether `</s>` has no n-grams.
        n_hashes: how many rows an n-gram has.
    """

    min_n: int
    max_n: int
    upper_bound: int
    rule: ClassVar[str]
    skip_edge_unigrams: bool = False
    bare_eos: bool = False
    n_hashes: int = 1

    @abstractmethod
    def device_ids(self, tile: Tile) -> Int32[Array, "starts slots batch"]:
        """The rows of the n-grams at each start of a tile, -1 for none; compiled code."""

    @abstractmethod
    def host_ids(self, line: Line, ngrams: Ngrams) -> np.ndarray:
        """The rows of n-grams, `n_hashes` of each; signed if some are -1, for no row."""

    def word_ids(self, data: np.ndarray, splits: np.ndarray) -> np.ndarray:
        """The rows of the marked words themselves, which come before those of their n-grams."""
        return np.zeros(0, np.int64)

    def extra_slots(self) -> int:
        """How many rows a word has besides those of its n-grams."""
        return 0

    # On the host.

    def subword_indices(
        self, word: str, offset: int = 0, bracket: bool = True, with_ngrams: bool = False
    ) -> list[int] | list[tuple[str, int]]:
        """The rows of a word's n-grams, by start, longest first.

        Args:
            word: the word.
            offset: what to add to each row, such as the number of the words' rows that come first.
            bracket: whether to put `<` and `>` around the word first.
            with_ngrams: whether to give `(ngram, row)` pairs.

        Returns:
            The rows, or the pairs; none for a word that is too short.

        Raises:
            TypeError: if `word` is not a `str`, or `offset` not a whole number.
            ValueError: if `offset` is negative or exceeds 64 bits, or UTF-8 cannot hold the word.
        """
        check_ngram(word)
        offset, most = whole_number("offset", offset, None), 2**64 - self.upper_bound
        if not 0 <= offset <= most:
            raise ValueError(
                f"`offset`: expected 0 to {most}, so that indices fit 64 bits, "
                f"got {offset}. Give the number of rows that come before those of the n-grams."
            )
        text = f"<{word}>" if bracket else word
        names: list[str] | None = [] if with_ngrams else None
        ids = [i + offset for block in self.marked_id_chunks(text, names) for i in block.tolist()]
        return ids if names is None else list(zip(names, ids, strict=True))

    def marked_ids(self, text: str) -> np.ndarray:
        """The rows of a word that has its markers already, `[n_ids]`."""
        chunks = [*self.marked_id_chunks(text)]
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

    def marked_id_chunks(self, text: str, names: list[str] | None = None) -> Iterator[np.ndarray]:
        """The same in chunks, for a word of any length; adds the n-grams to `names`."""
        word: Any = text if self.rule == CODE_POINTS else encode_word(text)
        if n := self.extra_slots():
            if names is not None:
                names += [text] * n
            yield self.word_ids(np.frombuffer(word, np.uint8), np.array([0, len(word)]))
        if self.bare_eos and word == EOS:
            yield np.zeros(0, np.uint32)
            return
        for line, ngrams in host.ngrams_of_word(word, *self._settings):
            ids = self.host_ids(line, ngrams)
            exist = slice(None) if ids.dtype.kind == "u" else ids >= 0
            if names is not None:
                texts = np.array(host.ngram_texts(line, ngrams), object)
                names += texts.repeat(self.n_hashes)[exist].tolist()
            yield ids[exist]

    def ragged_ids(
        self, data: np.ndarray, splits: np.ndarray, shortest_first: bool = False
    ) -> Ragged:
        """The rows of many marked words, see `mark_words`."""
        line = host.characters(data, splits, self.rule)
        if self.bare_eos:
            host.leave_out(line, EOS)
        ngrams = host.ngrams_of(line, *self._settings, shortest_first)
        ids = Ragged(self.host_ids(line, ngrams), self.n_hashes * ngrams.splits)
        if ids.values.dtype.kind == "i":
            ids = ids.only(ids.values >= 0)
        if n := self.extra_slots():
            words = Ragged(self.word_ids(data, splits), n * np.arange(len(splits)))
            ids = words.joined(ids)
        return ids

    @property
    def _settings(self) -> tuple[int, int, bool]:
        return self.min_n, self.max_n, self.skip_edge_unigrams

    # On a device.

    def indices(
        self,
        data: UInt8[AnyArray, "batch width"],
        lengths: Int32[AnyArray, " batch"],
        *,
        bow: bytes = b"<",
        eow: bytes = b">",
    ) -> Int32[Array, "batch slots"]:
        """The rows of packed words' n-grams, in compiled code, in the order of `subword_indices`.

        Words that are not valid UTF-8 give what `subword_indices` gives for their `str` (see
        `ffjax.unpack`).

        Args:
            data: the words' bytes, uint8 `[batch, width]`.
            lengths: bytes in each word, int32 `[batch]`; negative for rows that hold no word.
            bow: bytes to put before each word; `b""` for none.
            eow: bytes to put after each word.

        Returns:
            The rows packed to the left, then -1; `slots` is what a word of `width` one-byte
            characters has.

        Raises:
            TypeError: if the arrays are of other types.
            ValueError: if the shapes do not fit, or there are more than `2**31` rows, beyond int32.

        Examples:
            >>> import ffjax
            >>> batch = ffjax.pack(["tea", ""], count=2)
            >>> ids = ffjax.FastTextIndexer(1000).indices(batch.bytes, batch.lengths)
            >>> ids[:, :7].tolist()
            [[191, 59, 8, 757, 337, 895, -1], [-1, -1, -1, -1, -1, -1, -1]]
        """
        if self.upper_bound > 2**31:
            raise ValueError(
                f"{self!r}: expected at most 2**31 buckets on a device, whose indices are int32, "
                f"got {self.upper_bound}. Use `subword_indices`, which has no such limit."
            )
        data, lengths = jnp.asarray(data), jnp.asarray(lengths)
        if data.dtype != jnp.uint8 or lengths.dtype != jnp.int32:
            raise TypeError(
                f"`data`, `lengths`: expected uint8 and int32, got {data.dtype} and "
                f"{lengths.dtype}. `ffjax.pack` makes both."
            )
        if data.ndim != 2 or lengths.shape != data.shape[:1]:
            raise ValueError(
                f"`data`, `lengths`: expected shapes [batch, width] and [batch], got {data.shape} "
                f"and {lengths.shape}. Use `jax.vmap` for more axes."
            )
        return packed_ids(self, Words(data, None, lengths), data.shape[1], bow, eow)

    def tile_ids(
        self, words: Words, start: Array, longest: Any, width: int, bow: bytes, eow: bytes
    ) -> Int32[Array, "starts slots batch"]:
        """The rows of the n-grams that start in `STARTS` bytes from `start` on, -1 between them."""
        args = words, start, longest, width, self.max_n, self.rule, bow, eow
        return self.device_ids(read_tile(*args))

    def slots(self, marked: int) -> int:
        """How many slots a start has in the answer of `tile_ids`."""
        spread = self.longest(marked) - self.min_n + 1
        return self.n_hashes * spread + self.extra_slots()

    def longest(self, width: int) -> int:
        """The length of the longest n-grams that words of that many bytes can have."""
        return max(self.min_n, min(self.max_n, width))


@partial(jax.jit, static_argnames=("width", "bow", "eow"))
def packed_ids(
    indexer: NgramIndexer, words: Words, width: int, bow: bytes, eow: bytes
) -> Int32[Array, "batch slots"]:
    """The rows of the n-grams of words of at most `width` bytes, packed to the left, then -1."""
    batch = len(words.lengths)
    marked = width + len(bow) + len(eow)
    n_tiles = max(1, -(-marked // STARTS))
    slots = indexer.n_hashes * n_slots(marked, indexer.min_n, indexer.max_n) + indexer.extra_slots()
    size = min(batch, _BLOCK_WORDS)
    n_blocks = -(-batch // max(size, 1))
    if batch == 0 or marked == 0 and not slots:
        return jnp.zeros((batch, slots), jnp.int32)
    flat = words.data.reshape(-1) if width else jnp.zeros(1, jnp.uint8)
    begins = words.begin(jnp.arange(n_blocks * size, dtype=jnp.int32))
    lengths = jnp.minimum(words.lengths, width)
    lengths = jnp.pad(lengths, (0, n_blocks * size - batch), constant_values=-1)

    def block(spans: tuple[Array, Array]) -> Array:
        begins, lengths = spans
        total = jnp.max(lengths) + len(bow) + len(eow)

        def tile(start: Array) -> Array:
            words = Words(flat, begins, lengths)
            args = words, start, lambda: total - start, width, bow, eow
            return indexer.tile_ids(*args).reshape(-1, size)

        def add(i: Array, ids: Array) -> Array:
            return lax.dynamic_update_index_in_dim(ids, tile(i * STARTS), i, 0)

        shape = jax.eval_shape(tile, jnp.int32(0)).shape
        ids = jnp.full((n_tiles, *shape), -1, jnp.int32)
        ids = fori_loop(0, -(-total // STARTS) if marked else 1, add, ids)
        ids = ids.reshape(n_tiles * shape[0], size)
        return move_left(ids + 1, ids >= 0)[:slots] - 1

    ids = lax.map(block, (begins.reshape(n_blocks, size), lengths.reshape(n_blocks, size)))
    return ids.swapaxes(1, 2).reshape(n_blocks * size, slots)[:batch]
