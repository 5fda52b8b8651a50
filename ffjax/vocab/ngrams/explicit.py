"""N-grams that are each stored with their row, instead of hashed into buckets."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.ngram_hashes import CODE_POINTS, Tile, ngram_sizes, packed_words
from ffjax.kernels.ngrams_numpy import Line, Ngrams, ngram_texts
from ffjax.kernels.perfect_hash import HashTable, find_words
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.base import NgramIndexer
from ffjax.vocab.ngrams.definition import check_range


@value(static=("min_n", "max_n", "upper_bound"))
class ExplicitIndexer(NgramIndexer):
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

    rule = CODE_POINTS

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

    def device_ids(self, tile: Tile) -> Array:
        sizes = ngram_sizes(tile, self.min_n, self.longest(tile.reach))
        words = packed_words(tile)
        numbers = find_words(
            self.index,
            self.table.data,
            self.table.offsets,
            [tile.at(words, i)[:, None] for i in range(0, tile.reach, 4)],
            jnp.where(sizes > 0, sizes, -1),
        )
        if len(self.table) == 0:
            return numbers
        return jnp.where(numbers >= 0, jnp.asarray(self.rows)[jnp.maximum(numbers, 0)], -1)

    def host_ids(self, line: Line, span: slice, ngrams: Ngrams) -> np.ndarray:
        get = self._host_index.get
        texts = ngram_texts(line, ngrams)
        return np.fromiter((get(text, -1) for text in texts), np.int64, len(texts))

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
