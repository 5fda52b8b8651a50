"""N-grams that are each stored with their row, instead of hashed into buckets."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from ffjax._internal.arrays import AnyArray, on_host
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.ngram_hashes import CODE_POINTS, Tile, packed_words, short_ngram_sizes
from ffjax.kernels.ngrams_numpy import Line, Ngrams, ngram_texts
from ffjax.kernels.perfect_hash import HashTable, find_words
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.base import NgramIndexer, check_range
from ffjax.vocab.rows import checked_rows


@value(static=("min_n", "max_n", "upper_bound"))
class ExplicitIndexer(NgramIndexer, kind="ExplicitIndexer"):
    """A table of n-grams and their rows; n-grams that are not in it have no row.

    Args:
        ngrams: the n-grams, each once.
        min_n: the length of the shortest n-grams that are looked up, in characters.
        max_n: the length of the longest.
        ngram_index: the row of each n-gram, as a mapping or an array in the order of `ngrams`;
            several n-grams may share one. Without it n-gram i has row i.

    Raises:
        TypeError: if an n-gram is not text.
        ValueError: if an n-gram occurs twice or has no row, the rows leave a gap, or the range of
            lengths is empty.

    Examples:
        >>> import ffjax
        >>> rows = {"<te": 0, "tea": 1, "ea>": 0}
        >>> indexer = ffjax.ExplicitIndexer(["<te", "tea", "ea>"], 3, 3, rows)
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
        min_n, max_n = check_range(min_n, max_n)
        table = ngrams if isinstance(ngrams, StringTable) else StringTable.from_strings(ngrams)
        index = HashTable.build(table.host_data, table.host_offsets, what="n-grams")
        rows = _rows(table, ngram_index)
        set_fields(self, **jax.device_put({"table": table, "index": index, "rows": rows}))
        set_fields(self, min_n=min_n, max_n=max_n, upper_bound=int(rows.max(initial=-1)) + 1)

    @property
    def ngrams(self) -> list[str]:
        """The n-grams in order. The list is made once and shared: treat it as read-only."""
        return self.table.strings

    @property
    def ngram_index(self) -> Mapping[str, int]:
        """The row of each n-gram."""
        return MappingProxyType(self._host_index)

    def device_ids(self, tile: Tile) -> Array:
        """The rows of the n-grams at each start of a tile, -1 for none; compiled code."""
        sizes = short_ngram_sizes(tile, self.min_n, self.longest(tile.reach))
        words = packed_words(tile)
        return find_words(
            self.index,
            self.table.data,
            self.table.offsets,
            self.rows,
            [tile.at(words, i)[:, None] for i in range(0, tile.reach, 4)],
            jnp.where(sizes > 0, sizes, -1),
        )

    def host_ids(self, line: Line, ngrams: Ngrams) -> np.ndarray:
        """The rows of n-grams, -1 for none."""
        get = self._host_index.get
        return np.array([get(text, -1) for text in ngram_texts(line, ngrams)], np.int64)

    def __call__(self, ngram: str) -> int | None:
        """The row of an n-gram, or `None`."""
        return self._host_index.get(ngram)

    def __getitem__(self, ngram: str) -> int:
        """The row of an n-gram; a `KeyError` if it is not in the table."""
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

    def __repr__(self) -> str:
        counts = f"{len(self)} n-grams in {self.upper_bound} rows"
        return f"ExplicitIndexer({counts}, min_n={self.min_n}, max_n={self.max_n})"

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        settings = {"min_n": self.min_n, "max_n": self.max_n}
        return {"kind": self.kind, "ngrams": self.table, "rows": self.rows, **settings}

    @classmethod
    def from_tree(cls, tree: Any) -> "ExplicitIndexer":
        """The indexer of a tree."""
        ngrams, rows = tree.strings("ngrams"), tree.vector("rows", "int32")
        return tree.made(cls, ngrams, tree.whole("min_n"), tree.whole("max_n"), rows)

    @cached_property
    def _host_index(self) -> dict[str, int]:
        return dict(zip(self.table.strings, on_host(self.rows).tolist(), strict=True))


def _rows(table: StringTable, rows: Any) -> np.ndarray:
    """The row of each n-gram as an array."""
    if rows is None:
        return np.arange(len(table), dtype=np.int32)
    if isinstance(rows, Mapping):
        names = table.strings
        if differing := sorted(rows.keys() ^ set(names), key=str):
            raise ValueError(
                f"`ngram_index`: expected a row for each of the {len(names)} n-grams and no "
                f"others, got {len(rows)}; look at {differing[:3]}."
            )
        rows = np.fromiter((rows[name] for name in names), np.int64, len(names))
    return checked_rows("ngram_index", rows, len(table), "n-gram")
