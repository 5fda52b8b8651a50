"""Storage that composes words' rows when they are read: fastText's input matrix as in the file.

fastText stores a row for each word, and the vector of a word is the mean of that row and the rows
of its n-grams. The first rows are those of the words, at unit length, and the n-grams' rows follow:

    row[i]            = unit(mean(word_rows[i], ngrams[j] for each n-gram j of word i))
    row[n_words + j]  = ngrams[j]

So a memory map or the codes of a quantizer stay as they are, and nothing is computed in advance.
"""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import NamedSharding
from jaxtyping import Float32

from ffjax._internal.arrays import as_int32, is_traced, padded_size, release_pages
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_sum
from ffjax.kernels.normalize import normalize, unit_vector
from ffjax.kernels.top_k.top_k_numpy import Queries, Scores
from ffjax.storage.base import Ids, RowKey, Slots, Storage, Vectors, written
from ffjax.storage.dense import unplaced
from ffjax.storage.ngram_sums import Subwords, ngram_totals
from ffjax.storage.sharded import ShardedArray
from ffjax.storage.word_sums import HOST_WORDS, NgramRows, compose, table_words
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.hashed import FastTextIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer


@final
@value(static=("width",))
class ComposedArray(Storage, kind="ComposedArray"):
    """Rows of words, composed from stored rows and those of their n-grams, and rows of n-grams.

    Outside `jit`, only the rows that are needed are read from a memory map. Inside a caller's
    `jit`, all of it is an argument of the program, as every array is.

    Args:
        word_rows: a row for each word.
        words: the words, in bytes as they were when the rows were trained.
        ngrams: the rows of the n-grams, or `None` if words have none.
        indexer: which n-grams a word has and which rows belong to them, or `None`.

    Raises:
        TypeError: an argument is of another type, or only one of `ngrams` and `indexer` is given.
        ValueError: the numbers of rows, words and n-grams or the dimensions don't fit each other.

    Examples:
        >>> import ffjax, numpy as np
        >>> word_rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
        >>> ngrams = ffjax.NdArray(np.ones((3, 2), np.float32))
        >>> words = ffjax.StringTable.from_strings(["a", "tea"])
        >>> storage = ffjax.ComposedArray(word_rows, words, ngrams, ffjax.FastTextIndexer(3, 5, 6))
        >>> storage.shape, storage[1], storage[2]
        ((5, 2), array([0.4472136, 0.8944272], dtype=float32), array([1., 1.], dtype=float32))
    """

    word_rows: Storage
    table: StringTable
    ngrams: Storage | None
    indexer: FastTextIndexer | PrunedIndexer | None
    width: int

    def __init__(
        self,
        word_rows: Storage,
        words: StringTable,
        ngrams: Storage | None = None,
        indexer: FastTextIndexer | PrunedIndexer | None = None,
    ) -> None:
        if not isinstance(word_rows, Storage) or not isinstance(ngrams, Storage | None):
            kinds = f"{type(word_rows).__name__}, {type(ngrams).__name__}"
            raise TypeError(f"`word_rows`, `ngrams`: expected storages, got {kinds}.")
        if not isinstance(words, StringTable):
            raise TypeError(f"`words`: expected a StringTable, got {type(words).__name__}.")
        is_indexer = isinstance(indexer, FastTextIndexer | PrunedIndexer | None)
        if not is_indexer or (indexer is None) != (ngrams is None):
            raise TypeError(
                "`indexer`: expected a FastTextIndexer or PrunedIndexer with `ngrams`, or None "
                f"without, got {type(indexer).__name__} with {type(ngrams).__name__}."
            )
        n, dims = word_rows.shape
        if n != len(words):
            expected = f"expected {len(words)} rows, one for each word"
            raise ValueError(f"`word_rows`: {expected}, got {n}.")
        if indexer is not None and ngrams is not None:
            if ngrams.shape != (shape := (indexer.upper_bound, dims)):
                raise ValueError(f"`ngrams`: expected shape {shape}, got {ngrams.shape}.")
        width = padded_size(int(np.diff(words.host_offsets).max(initial=0)), 16)
        fields = {"word_rows": word_rows, "table": words, "ngrams": ngrams, "indexer": indexer}
        set_fields(self, **fields, width=width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (those of words, then those of n-grams) and dimensions."""
        n, dims = self.word_rows.shape
        return n + (0 if self.ngrams is None else len(self.ngrams)), dims

    @property
    def n_words(self) -> int:
        """How many rows are composed."""
        return len(self.table)

    @property
    def host_cost(self) -> float:  # type: ignore[override]
        """Rows of a memory map are composed in NumPy in any case; a program for others is large."""
        return 1.0 if self.is_mapped else 32.0

    def gather(self, ids: Ids) -> Vectors:
        """The rows with these numbers; numbers outside are clipped into range."""
        ids = jnp.clip(as_int32(ids), 0, max(self.shape[0] - 1, 0))
        ngrams = jnp.zeros((*ids.shape, self.shape[1]), jnp.float32)
        if self.ngrams is not None:
            ngrams = self.ngrams.gather(ids - self.n_words).astype(jnp.float32)
        if self.n_words == 0:
            return ngrams
        unit, _ = normalize(self.means(ids))
        return jnp.where((ids < self.n_words)[..., None], unit, ngrams)

    def means(self, words: Ids) -> Vectors:
        """Words' rows before they are scaled to unit length; numbers are clipped into range."""
        flat = jnp.clip(as_int32(words), 0, max(self.n_words - 1, 0)).reshape(-1)
        means = self.word_rows.gather(flat).astype(jnp.float32)
        if self.indexer is not None and self.ngrams is not None:
            args = table_words(self.table, flat), Subwords(self.width, 0)
            sums, counts = ngram_totals(self.ngrams, self.indexer, *args)
            means = (means + sums) / (counts + 1)[:, None].astype(jnp.float32)
        return means.reshape(*words.shape, self.shape[1])

    def partial_sum(self, ids: Slots) -> Vectors:
        """As `gather_sum`: there is nothing to finish."""
        n, ngrams = self.n_words, self.ngrams

        def with_words() -> Array:
            # The program that composes rows is large, so the loop has it once.
            return gather_sum(self.gather, ids, self.shape[1], unroll=1)

        if ngrams is None:
            return with_words()

        def of_ngrams() -> Array:
            return ngrams.gather_sum(jnp.where(ids >= n, ids - n, -1))

        # Composing words takes many times as long as reading n-grams, which most sums are of.
        return lax.cond(((ids >= 0) & (ids < n)).any(), with_words, of_ngrams)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Rows on the host; many words are composed in compiled code, one is with NumPy."""
        if isinstance(ids, int):
            return written(self._one(ids)[0], out)
        ids = np.arange(len(self))[ids] if isinstance(ids, slice) else ids
        flat = ids.reshape(-1)
        rows = np.empty((flat.size, self.shape[1]), np.float32)
        is_word = flat < self.n_words
        if self.ngrams is not None and not is_word.all():
            rows[~is_word] = self.ngrams.read(flat[~is_word] - self.n_words)
        if is_word.any():
            rows[is_word] = self.units(flat[is_word])[0]
        return written(rows.reshape(*ids.shape, self.shape[1]), out)

    def host_scores(self, rows: RowKey, queries: Queries, *, unit: bool) -> Scores:
        """The products, of so few rows at a time that they are composed in NumPy."""
        ids = np.arange(len(self))[rows]
        blocks = (ids[i : i + HOST_WORDS] for i in range(0, len(ids) or 1, HOST_WORDS))
        scores = [super(ComposedArray, self).host_scores(x, queries, unit=unit) for x in blocks]
        return np.concatenate(scores, axis=1)

    def take(self, ids: np.ndarray) -> Storage:
        """A dense storage of the rows with these numbers, in this order."""
        return unplaced(jax.device_put(self.read(ids)))

    def slice_rows(self, key: slice) -> Storage:
        """A dense storage of the composed rows of a slice."""
        return unplaced(jax.device_put(self.read(key)))

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        values = {"own": self.word_rows, "words": self.table, "ngrams": self.ngrams}
        return {"kind": self.kind, **values, "indexer": self.indexer}

    @classmethod
    def from_tree(cls, tree: Any) -> "ComposedArray":
        """The storage of a tree."""
        word_rows, words = tree.storage("own"), tree.strings("words")
        ngrams = tree.maybe("ngrams", tree.storage)
        return tree.made(cls, word_rows, words, ngrams, tree.maybe("indexer", tree.indexer))

    def ngram_rows(self, first: int) -> tuple[Storage, int]:
        """The storage of the n-grams."""
        return (self, first) if self.ngrams is None else (self.ngrams, first - self.n_words)

    def units(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Words' rows, by their numbers `[n]`, and the norms that they had before scaling."""
        words, index = np.unique(words, return_inverse=True)
        units = np.empty((len(words), self.shape[1]), np.float32)
        norms = np.empty(len(words), np.float32)
        with jax.ensure_compile_time_eval():  # these rows are not arguments of a traced function
            for block, *vectors in compose(self.word_rows, self._word_ngrams(), words):
                at = np.searchsorted(words, block)
                units[at], norms[at] = vectors
        return units[index], norms[index]

    def lengths(self, key: Any) -> Any:
        """The norms of words' vectors before they were scaled to unit length.

        `key` is an `int` for one number, or a slice, a list or an array of integers below `n_words`
        for an array.
        """
        if is_traced(self):
            return normalize(self.means(jnp.arange(self.n_words, dtype=jnp.int32)))[1][key]
        if isinstance(key, int | np.integer):
            return self._one(range(self.n_words)[int(key)])[1]
        ids = np.arange(self.n_words)[key]
        return self.units(ids.reshape(-1))[1].reshape(ids.shape)

    def _details(self) -> str:
        return f", {self.n_words} words of {self.word_rows!r}"

    def _word_ngrams(self) -> NgramRows | None:
        if self.indexer is None or self.ngrams is None:
            return None
        return NgramRows(self.ngrams, 0, self.table, self.indexer)

    def _one(self, row: int) -> tuple[np.ndarray, np.float32]:
        if row >= self.n_words:
            assert self.ngrams is not None
            return self.ngrams.embedding(row - self.n_words), np.float32(1)
        vector = self.word_rows.embedding(row)
        if self.indexer is not None and self.ngrams is not None:
            ids = self.indexer.marked_ids(f"<{self.table[row]}>").astype(np.int64)
            total = np.add.reduce(self.ngrams.read(ids), 0, dtype=np.float32)
            vector = (vector + total) / np.float32(1 + len(ids))
        return unit_vector(vector)


def divide(
    storage: Storage, sharding: NamedSharding
) -> tuple[ShardedArray, Float32[np.ndarray, " rows"] | None]:
    """The rows of a storage, divided; and the norms of rows that are composed when they are read.

    Each process composes the rows of its own devices. All processes get all norms.
    """
    if not isinstance(storage, ComposedArray):
        return ShardedArray(storage, sharding), None
    rows = _ComposedRows(storage)
    divided = ShardedArray(unplaced(rows), sharding)
    # Their blocks are those of the rows, so that each process gives the norms that it has computed.
    norms = ShardedArray(rows.norms, sharding)
    return divided, norms.read(slice(None))[:, 0]


class _ComposedRows:
    """The rows of a storage as an array that composes those that are read and notes their norms."""

    def __init__(self, storage: ComposedArray) -> None:
        self._storage, self.shape, self.dtype = storage, storage.shape, storage.dtype
        self.norms = np.ones((len(storage), 1), np.float32)

    def __getitem__(self, key: slice) -> np.ndarray:
        storage, (start, stop, _) = self._storage, key.indices(self.shape[0])
        border = min(max(start, storage.n_words), stop)
        units, self.norms[start:border, 0] = storage.units(np.arange(start, border))
        rows = np.concatenate([units, storage.read(slice(border, stop))])
        release_pages(storage)
        return rows
