"""N-grams that are each stored with their row, instead of hashed into buckets."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.perfect_hash import HashTable, find
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.chunked import id_pieces
from ffjax.vocab.ngrams.definition import check_range, ngram_windows, ngrams


@value(static=("min_n", "max_n", "upper_bound"))
class ExplicitIndexer:
    """A table of n-grams and their rows; n-grams that are not in it have no row.

    Args:
        ngrams: the n-grams, each once.
        min_n: the length of the shortest n-grams that are looked up, in characters.
        max_n: the length of the longest.
        ngram_index: the row of each n-gram, as a mapping or an array in the order of `ngrams`; several n-grams may
            share one. Without it n-gram i has row i.

    Raises:
        TypeError: an n-gram is not text.
        ValueError: an n-gram occurs twice or has no row, the rows leave a gap, or the range of lengths is empty.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.ExplicitIndexer(["<te", "tea", "ea>"], 3, 3, {"<te": 0, "tea": 1, "ea>": 0})
        >>> indexer("tea"), indexer("tee"), indexer.upper_bound, indexer.subword_indices("tea")
        (1, None, 2, [0, 1, 0])
    """

    table: StringTable
    index: HashTable
    rows: Int32[AnyArray, " n_ngrams"]
    min_n: int
    max_n: int
    upper_bound: int

    def __init__(
        self,
        ngrams: Iterable[str] | StringTable,
        min_n: int = 3,
        max_n: int = 6,
        ngram_index: Mapping[str, int] | np.ndarray | None = None,
    ) -> None:
        check_range(min_n, max_n)
        table = ngrams if isinstance(ngrams, StringTable) else StringTable.from_strings(ngrams)
        index = HashTable.build(table.host_data, table.host_offsets, what="n-grams")
        rows = _rows(table, ngram_index)
        for name, value in jax.device_put({"table": table, "index": index, "rows": rows}).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "min_n", min_n)
        object.__setattr__(self, "max_n", max_n)
        object.__setattr__(self, "upper_bound", int(rows.max(initial=-1)) + 1)

    @property
    def ngrams(self) -> list[str]:
        """The n-grams in order. The list is made once and shared: treat it as read-only."""
        return self.table.strings

    @property
    def ngram_index(self) -> Mapping[str, int]:
        """The row of each n-gram."""
        return MappingProxyType(self._host_index)

    def subword_indices(
        self, word: str, offset: int = 0, bracket: bool = True, with_ngrams: bool = False
    ) -> list[int] | list[tuple[str, int]]:
        """The rows of those n-grams of a word that are in the table, by start, longest first.

        Args:
            word: the word.
            offset: what to add to each row, such as the number of the words' rows that come first.
            bracket: whether to put `<` and `>` around the word first.
            with_ngrams: whether to give `(ngram, row)` pairs.

        Raises:
            TypeError: `word` is no `str`.
        """
        get = self._host_index.get
        found = [
            (ngram, row + offset)
            for ngram in ngrams(word, self.min_n, self.max_n, bracket)
            if (row := get(ngram)) is not None
        ]
        return found if with_ngrams else [row for _, row in found]

    def marked_ids(self, text: str) -> np.ndarray:
        """The rows of a word that has its markers already, as an array, int64 `[n_ids]`."""
        return np.array(self.subword_indices(text, bracket=False), np.int64)

    def marked_id_pieces(self, text: str) -> Iterator[np.ndarray]:
        """The same, some at a time, so that no number of characters takes much memory."""
        return id_pieces(self.marked_ids, lambda begin, end: text[begin:end], len(text), self.max_n)

    def indices(
        self,
        data: UInt8[Array, "batch width"],
        lengths: Int32[Array, " batch"],
        *,
        bow: bytes = b"<",
        eow: bytes = b">",
    ) -> Int32[Array, "batch slots"]:
        """The row of each n-gram of each packed word in compiled code, -1 where there is none."""
        windows, sizes = ngram_windows(data, lengths, self.min_n, self.max_n, bow=bow, eow=eow)
        batch, slots, width = windows.shape
        places = find(
            self.index,
            jnp.asarray(self.table.data),
            jnp.asarray(self.table.offsets),
            windows.reshape(batch * slots, width),
            sizes.reshape(batch * slots),
        ).reshape(batch, slots)
        if len(self.table) == 0:
            return places
        return jnp.where(places >= 0, jnp.asarray(self.rows)[jnp.maximum(places, 0)], jnp.int32(-1))

    def __call__(self, ngram: str) -> int | None:
        """The row of an n-gram, or `None`."""
        return self._host_index.get(ngram)

    def __getitem__(self, ngram: str) -> int:
        """The row of an n-gram.

        Raises:
            KeyError: it is not in the table.
        """
        return self._host_index[ngram]

    def __contains__(self, item: object) -> bool:
        """Whether an n-gram is in the table, or all n-grams of an iterable are."""
        if isinstance(item, str):
            return item in self._host_index
        return isinstance(item, Iterable) and all(ngram in self for ngram in item)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ngrams)

    def __len__(self) -> int:
        return len(self.table)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExplicitIndexer):
            return NotImplemented
        mine = (self.min_n, self.max_n, self.upper_bound)
        return (
            mine == (other.min_n, other.max_n, other.upper_bound)
            and self.table == other.table
            and np.array_equal(np.asarray(self.rows), np.asarray(other.rows))
        )

    def __repr__(self) -> str:
        return (
            f"ExplicitIndexer({len(self)} n-grams in {self.upper_bound} rows, min_n={self.min_n}, max_n={self.max_n})"
        )

    @cached_property
    def _host_index(self) -> dict[str, int]:
        return dict(zip(self.table.strings, np.asarray(self.rows).tolist(), strict=True))


def _rows(table: StringTable, given: Any) -> np.ndarray:
    if given is None:
        return np.arange(len(table), dtype=np.int32)
    if isinstance(given, Mapping):
        names = table.strings
        if len(given) != len(names) or any(name not in given for name in names):
            missing = [name for name in names if name not in given][:3] or sorted(set(given) - set(names))[:3]
            raise ValueError(
                f"`ngram_index`: expected a row for each of the {len(names)} n-grams and no others, "
                f"got {len(given)}; look at {missing}."
            )
        given = np.fromiter((given[name] for name in names), np.int64, len(names))
    rows = np.asarray(given)
    if rows.shape != (len(table),) or rows.dtype.kind not in "iu":
        raise ValueError(f"`ngram_index`: expected {len(table)} whole numbers, got shape {rows.shape} of {rows.dtype}.")
    used = np.unique(rows)
    if rows.size and (used[0] != 0 or used[-1] != len(used) - 1):
        raise ValueError(
            f"`ngram_index`: expected rows from 0 up without a gap, got {len(used)} different rows "
            f"from {used[0]} to {used[-1]}."
        )
    return rows.astype(np.int32)
