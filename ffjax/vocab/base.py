"""The interface of vocabularies: words in a `StringTable`, found through a `HashTable`.

Lookup, search, saving and transforms are written against `Vocab`. A new vocabulary is one new
module with a subclass of it, or of `SubwordVocab` if unknown words have n-grams.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from ffjax._internal.arguments import check_several
from ffjax._internal.arrays import AnyArray, host_view, on_host
from ffjax._internal.chunk import Chunk, SnapshotValue
from ffjax._internal.file_arguments import shown
from ffjax._internal.pytree import replace, set_fields
from ffjax.kernels.perfect_hash import HashTable, find
from ffjax.kernels.perfect_hash_numpy import find_numpy
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.codec import encode_word
from ffjax.strings.string_table import Strings, StringTable
from ffjax.vocab.rows import Rows, checked_rows

D = TypeVar("D")

# Words that are looked up before the `dict` of all words is made: as many as take as long as making
# it, each as long as so many entries.
_PROBED_WORDS, _PROBE_ENTRIES = 128, 256
# Words that are searched for in all of them before a hash table that was put off is built.
_SCANNED_WORDS = 16


@dataclass(frozen=True, eq=False, repr=False)
class Vocab(Chunk, SnapshotValue):
    """A vocabulary: words and the rows of a storage that belong to them.

    Vocabularies are immutable pytrees. Methods that take a `str` run on the host and have the
    names, arguments and answers of finalfusion-python; `encode` takes packed words and runs in
    compiled code.

    Attributes:
        table: the words in order.
        index: the hash table over the words.
        shared_rows: the row of each word if words share rows, shape `[n_words]`; `None` if word i
            has row i.
        n_shared_rows: how many rows belong to words, if they share rows. Those rows come first.
        subword_indexer: maps n-grams to rows (counted from 0 after the words' rows); `None` if
            unknown words have none.
        has_words: whether there is a list of words; a vocabulary without one hashes every word.
        indexers: the types that `subword_indexer` may have.
    """

    has_words: ClassVar[bool] = True
    indexers: ClassVar[tuple[type, ...]] = ()

    table: StringTable
    index: HashTable
    shared_rows: Int32[AnyArray, " n_words"] | None
    n_shared_rows: int | None
    subword_indexer: Any

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
        """The number of rows that the vocabulary addresses, which its storage must have."""

    @abstractmethod
    def subword_rows(self, item: str) -> np.ndarray:
        """The rows of the n-grams of a word, known or not, `[n]`."""

    @abstractmethod
    def encode(self, strings: Strings) -> Rows:
        """The rows of each packed word, in compiled code; `ffjax.encode` is this, jitted."""

    def with_words(self, table: StringTable, rows: np.ndarray | None = None) -> "Vocab":
        """A vocabulary with other words, each with its row, and the same n-grams."""
        if not self.has_words:
            got = f"got embeddings without words, a {type(self).__name__}"
            raise TypeError(f"`embeddings`: expected embeddings with a list of words, {got}.")
        vocab = replace(self)
        init_vocab(vocab, table, rows, self.subword_indexer)
        return vocab

    def idx(self, item: str, default: D = None) -> int | list[int] | D:
        """The row of a known word, the rows of an unknown one's n-grams, or else `default`.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.SimpleVocab(["Paris", "Berlin"])
            >>> vocab.idx("Berlin"), vocab.idx("London"), vocab.idx("London", default=-1)
            (1, None, -1)
        """
        row = self.row_of(item)
        if row is not None:
            return row
        rows = self.subword_rows(item)
        return rows.tolist() if len(rows) else default

    def __getitem__(self, item: str) -> int | list[int]:
        """As `idx`.

        Raises:
            KeyError: if the word is unknown and has no n-grams with rows.
        """
        if (rows := self.idx(item)) is not None:
            return rows
        got = f"not one of the {len(self)} words of this {type(self).__name__}"
        raise KeyError(f"{item!r}: {got}, and no n-grams")

    def __getattr__(self, name: str) -> Any:
        """The hash table, if building it was put off until now."""
        if name != "index" or "table" not in vars(self):
            return object.__getattribute__(self, name)  # the error in a property, or of this name
        set_fields(self, index=jax.device_put(_build_index(self.table)))
        return self.index

    def __contains__(self, item: object) -> bool:
        """Whether a word is known, or all words of an iterable are."""
        if isinstance(item, str):
            return self.row_of(item) is not None
        if isinstance(item, bytes) or not isinstance(item, Iterable):
            return False
        return all(word in self for word in item)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        shared = "" if self.shared_rows is None else f", {self.n_word_rows} rows"
        return f"{type(self).__name__}({len(self)} words{shared}{self._details()})"

    def _details(self) -> str:
        """What the repr says after the words."""
        return "" if self.subword_indexer is None else f", {self.subword_indexer!r}"

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        tree = {"kind": self.kind, "words": self.table, "rows": self.shared_rows}
        return {**tree, "indexer": self.subword_indexer} if self.indexers else tree

    @classmethod
    def from_tree(cls, tree: Any) -> "Vocab":
        """The vocabulary of a tree."""
        words = tree.strings("words")
        rows = tree.maybe("rows", lambda name: tree.vector(name, "int32"))
        indexer = [tree.indexer("indexer")] if cls.indexers else []
        return tree.made(cls, words, *indexer, rows=rows)

    @cached_property
    def host_rows(self) -> np.ndarray:
        """The row of each word as a NumPy array of int32."""
        if self.shared_rows is None:
            return np.arange(len(self.table), dtype=np.int32)
        return on_host(self.shared_rows)

    @cached_property
    def host_index(self) -> dict[str, int]:
        """The row of each word as a `dict`."""
        # Made when first asked for: it costs more than opening a file, and batches never need it.
        return dict(zip(self.table.strings, self.host_rows.tolist(), strict=True))

    @cached_property
    def row_of(self) -> Callable[[str], int | None]:
        """`row_of(word)` is the row of a known word, `None` for others."""

        def row_of(word: Any) -> int | None:
            # Until the `dict` is worth making.
            if not isinstance(word, str):
                return {}.get(word)  # an error for a list, as from any `dict`
            row = int(self.rows_of([word])[0])
            return None if row < 0 else row

        return row_of

    def rows_of(self, words: Sequence[str]) -> Int32[np.ndarray, " n"]:
        """The row of each known word, -1 for the others, on the host."""
        if not len(words):
            return np.zeros(0, np.int32)
        if "host_index" not in vars(self):
            probed = vars(self).get("_n_probed", 0) + len(words)
            set_fields(self, _n_probed=probed)
            if "index" not in vars(self) and probed <= _SCANNED_WORDS:
                encoded = map(_encoded, words)
                numbers = [-1 if raw is None else self.table.search(raw) for raw in encoded]
                return self.rows_of_numbers(np.array(numbers, np.int32))
            limit = max(_PROBED_WORDS, len(self) // _PROBE_ENTRIES)
            if probed <= limit and host_view(self.index.rows) is not None:
                encoded = [_encoded(word) for word in words]
                numbers = self.find_on_host(byte_views([raw or b"" for raw in encoded]))
                is_word = np.array([raw is not None for raw in encoded])
                return self.rows_of_numbers(np.where(is_word, numbers, np.int32(-1)))
            set_fields(self, row_of=self.host_index.get)
        get = self.host_index.get
        return np.fromiter((get(word, -1) for word in words), np.int32, len(words))

    def find_on_host(self, words: ByteViews) -> Int32[np.ndarray, " n"]:
        """`find_words` in NumPy."""
        if not len(words.starts):
            return np.zeros(0, np.int32)
        first, last = int(words.starts.min()), int((words.starts + words.lengths).max())
        data = np.concatenate([words.data[first:last], np.zeros(8, np.uint8)])
        table = self.table.host_data, self.table.host_offsets
        return find_numpy(self.index, *table, data, words.starts - first, words.lengths)

    def rows_of_numbers(self, numbers: Int32[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
        """The rows of words with these numbers, -1 for -1."""
        if self.shared_rows is None or not len(self):
            return numbers
        return np.where(numbers < 0, np.int32(-1), self.host_rows[numbers])

    def words_of_rows(self, rows: Sequence[int]) -> list[str]:
        """The first word of each row: what a search result is called."""
        if self.shared_rows is not None:
            rows = [self.row_words[row] for row in rows]
        return self.table.pick(rows)

    @cached_property
    def row_words(self) -> list[int]:
        """The number of the first word of each row: what a search result is called."""
        first = np.full(self.n_word_rows, -1, np.int64)
        first[self.host_rows[::-1]] = np.arange(len(self.table) - 1, -1, -1)
        return first.tolist()

    def first_rows(self, n: int | None) -> slice | np.ndarray | None:
        """The rows of the first `n` words, as the option `candidates` of searches takes them.

        They are a slice, ascending numbers where words share rows, or `None` for all.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.SimpleVocab(["Paris", "Berlin", "Lutetia"], rows=[1, 0, 1])
            >>> vocab.first_rows(1).tolist(), vocab.first_rows(3)
            ([1], None)
        """
        if n is None or n >= len(self):
            return None
        return slice(0, n) if self.shared_rows is None else np.unique(self.host_rows[:n])

    def find(self, strings: Strings) -> Int32[Array, "*batch"]:
        """The row of each known word of a packed batch, -1 for the others; compiled code."""
        words = self.find_words(strings)
        if self.shared_rows is None or len(self.table) == 0:
            return words
        rows = jnp.asarray(self.shared_rows)[jnp.maximum(words, 0)]
        return jnp.where(words >= 0, rows, jnp.int32(-1))

    def find_words(self, strings: Strings) -> Int32[Array, "*batch"]:
        """As `find`, the number of each word: words that share a row have different ones."""
        flat, table = (jax.tree.map(jnp.asarray, x) for x in (strings.flat(), self.table))
        numbers = find(self.index, table.data, table.offsets, flat.bytes, flat.lengths)
        return numbers.reshape(strings.lengths.shape)


def _encoded(word: str) -> bytes | None:
    """The bytes of a word, `None` if UTF-8 cannot hold it."""
    try:
        return encode_word(word)
    except ValueError:
        return None


def init_vocab(
    vocab: Vocab,
    words: Iterable[str | bytes] | StringTable,
    rows: Any = None,
    indexer: Any = None,
    *,
    is_hashed: bool = True,
) -> None:
    """Sets the fields of a vocabulary: checks its indexer and rows, packs and hashes the words."""
    if vocab.indexers and not isinstance(indexer, vocab.indexers):
        expected = " or ".join(kind.__name__ for kind in vocab.indexers)
        raise TypeError(f"`indexer`: expected {expected}, got {shown(indexer)}.")
    check_several("words", words, any_empty=True)
    table = words if isinstance(words, StringTable) else StringTable.from_strings(words)
    fields: dict[str, Any] = {"index": _build_index(table)} if is_hashed else {}
    if rows is not None:
        rows = checked_rows("rows", rows, len(table), "word")
        rows = None if np.array_equal(rows, np.arange(len(table))) else rows
    # The device is where lookups read them; the host keeps the table that it made.
    set_fields(vocab, **jax.device_put({"table": table, "shared_rows": rows, **fields}))
    n_rows = None if rows is None else int(rows.max()) + 1
    set_fields(vocab, n_shared_rows=n_rows, subword_indexer=indexer)


def _build_index(table: StringTable) -> HashTable:
    return HashTable.build(table.host_data, table.host_offsets, what="words")
