"""What all vocabularies share: words in a `StringTable`, found through a `HashTable`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.chunk import Chunk
from ffjax._internal.pytree import equal
from ffjax.kernels.perfect_hash import HashTable, find
from ffjax.strings.string_table import StringTable
from ffjax.strings.strings import Strings
from ffjax.vocab.rows import Rows

D = TypeVar("D")


class Vocab(Chunk, ABC):
    """A vocabulary: words and the rows of a storage that belong to them.

    Vocabularies are immutable pytrees. Methods that take a `str` run on the host and have the names, arguments and
    answers of finalfusion-python; `encode` takes packed words and runs in compiled code.

    Attributes:
        table: the words in order.
        index: the hash table over the words.
        shared_rows: the row of each word if words share rows, shape `[n_words]`; `None` if word i has row i.
        n_word_rows: how many rows belong to words (they come first in a storage), counted when words share rows.
    """

    table: StringTable
    index: HashTable
    shared_rows: Int32[AnyArray, " n_words"] | None
    n_shared_rows: int | None

    # How errors call a single entry of this vocabulary.
    kind: ClassVar[str] = "vocabulary"

    @property
    def words(self) -> list[str]:
        """The known words in order. The list is made once and shared: treat it as read-only."""
        return self.table.strings

    @property
    def word_index(self) -> Mapping[str, int]:
        """The row of each known word."""
        return MappingProxyType(self.host_index)

    @property
    def n_word_rows(self) -> int:
        """How many rows belong to words: the number of words, or fewer where words share rows."""
        return len(self.table) if self.n_shared_rows is None else self.n_shared_rows

    @property
    @abstractmethod
    def upper_bound(self) -> int:
        """The number of rows that the vocabulary addresses, which is what a storage for it must have."""

    @abstractmethod
    def subword_rows(self, item: str) -> np.ndarray:
        """The rows of the n-grams of a word, known or not, `[n]`; none for vocabularies without subwords."""

    @abstractmethod
    def encode(self, strings: Strings) -> Rows:
        """The rows behind each packed word, in compiled code; `ffjax.encode` is this, jitted."""

    def idx(self, item: str, default: D = None) -> int | list[int] | D:
        """The row of a known word, the rows of the n-grams of an unknown one, or `default` if there are none.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.SimpleVocab(["Paris", "Berlin"])
            >>> vocab.idx("Berlin"), vocab.idx("London"), vocab.idx("London", default=-1)
            (1, None, -1)
        """
        row = self.host_index.get(item)
        if row is not None:
            return row
        rows = self.subword_rows(item)
        return rows.tolist() if len(rows) else default

    def __getitem__(self, item: str) -> int | list[int]:
        """As `idx`.

        Raises:
            KeyError: the word is unknown and has no n-grams with rows.
        """
        rows = self.idx(item)
        if rows is None:
            raise KeyError(f"{item!r}: not one of the {len(self)} words of this {type(self).__name__}, and no n-grams")
        return rows

    def __contains__(self, item: object) -> bool:
        """Whether a word is known, or all words of an iterable are."""
        if isinstance(item, str):
            return item in self.host_index
        if isinstance(item, Iterable):
            return all(word in self for word in item)
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.table)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Vocab)
        if not self.table == other.table:
            return False
        # The hash table follows from the words, so it needs no comparison.
        mine = (self.host_rows, self.n_word_rows, self._settings())
        theirs = (other.host_rows, other.n_word_rows, other._settings())
        return equal(mine[0], theirs[0]) and mine[1:] == theirs[1:]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        settings = "".join(f", {setting!r}" for setting in self._settings())
        shared = "" if self.shared_rows is None else f", {self.n_word_rows} rows"
        return f"{type(self).__name__}({len(self)} words{shared}{settings})"

    def _settings(self) -> tuple[Any, ...]:
        """What two vocabularies must have in common beside their words to be equal."""
        return ()

    @cached_property
    def host_rows(self) -> np.ndarray:
        """The row of each word as a NumPy array of int32."""
        if self.shared_rows is None:
            return np.arange(len(self.table), dtype=np.int32)
        return np.asarray(self.shared_rows)

    @cached_property
    def host_index(self) -> dict[str, int]:
        """The row of each word as a `dict`."""
        # Made when first asked for: it costs more than opening a file, and batches never need it.
        return dict(zip(self.table.strings, self.host_rows.tolist(), strict=True))

    @cached_property
    def row_words(self) -> list[int]:
        """The number of the first word of each row: what a search result is called."""
        first = np.full(self.n_word_rows, -1, np.int64)
        first[self.host_rows[::-1]] = np.arange(len(self.table) - 1, -1, -1)
        return first.tolist()

    def first_rows(self, n: int | None) -> slice | np.ndarray | None:
        """The rows of the first words, as the option `rows` of searches takes them.

        Args:
            n: how many words, `None` for all.

        Returns:
            A slice; numbers of rows in ascending order, int32 `[n_rows]`, where words share rows; `None` for all.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.SimpleVocab(["Paris", "Berlin", "Lutetia"], rows=[1, 0, 1])
            >>> vocab.first_rows(1).tolist(), vocab.first_rows(3)
            ([1], None)
        """
        if n is None or n >= len(self):
            return None
        return slice(0, n) if self.shared_rows is None else np.unique(self.host_rows[:n])

    def find(self, strings: Strings) -> Int32[Array, " batch"]:
        """The row of each known word of a packed batch, -1 for the others; compiled code."""
        places = find(
            self.index,
            jnp.asarray(self.table.data),
            jnp.asarray(self.table.offsets),
            jnp.asarray(strings.bytes),
            jnp.asarray(strings.lengths),
        )
        if self.shared_rows is None or len(self.table) == 0:
            return places
        return jnp.where(places >= 0, jnp.asarray(self.shared_rows)[jnp.maximum(places, 0)], jnp.int32(-1))


def init_words(vocab: Vocab, words: Iterable[str | bytes] | StringTable, rows: Any, n_rows: int | None = None) -> None:
    """Sets the fields that every vocabulary has: packs the words, hashes them and checks `rows`.

    Raises:
        TypeError: a word is neither `str` nor `bytes`.
        ValueError: a word occurs twice, or `rows` does not give every word a row and every row a word.
    """
    if isinstance(words, str | bytes):
        raise TypeError(f"`words`: expected a list of words, got the single word {words!r}.")
    table = words if isinstance(words, StringTable) else StringTable.from_strings(words)
    index = HashTable.build(table.host_data, table.host_offsets, what="words")
    shared, n_shared = _shared(rows, len(table), n_rows)
    # The device is where lookups read them; the host keeps the table that it made.
    fields = {"table": table, "index": index, "shared_rows": shared}
    for name, value in jax.device_put(fields).items():
        object.__setattr__(vocab, name, value)
    object.__setattr__(vocab, "n_shared_rows", n_shared)


def _shared(rows: Any, n_words: int, n_rows: int | None) -> tuple[np.ndarray | None, int | None]:
    if rows is None:
        return None, None
    rows = np.asarray(rows)
    if rows.shape != (n_words,) or rows.dtype.kind not in "iu":
        raise ValueError(
            f"`rows`: expected {n_words} whole numbers, one for each word, got shape {rows.shape} of {rows.dtype}."
        )
    used = np.unique(rows)
    n_used = len(used) if n_rows is None else n_rows
    if n_words and (used[0] < 0 or used[-1] >= n_used or len(used) != n_used):
        raise ValueError(
            f"`rows`: expected every row from 0 to the largest to belong to a word, "
            f"got {len(used)} different rows from {used[0]} to {used[-1]}."
        )
    if np.array_equal(rows, np.arange(n_words)):
        return None, None
    return rows.astype(np.int32), n_used
