"""The sums of the rows of words' n-grams for the host: many words by a program, or in NumPy.

Rows on a device are added up by the program of `ngram_sums`; of a memory map only the rows that are
needed are read, and added up in NumPy.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float32, Int

from ffjax.kernels.ngram_hashes import Words
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.kernels.normalize import unit_rows
from ffjax.storage.base import Storage
from ffjax.storage.ngram_sums import Subwords, ngram_totals
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.string_table import StringTable
from ffjax.vocab.ngrams.base import NgramIndexer

# Words whose sums are computed at a time, by one program and in NumPy.
_PROGRAM_WORDS, HOST_WORDS = 4096, 1024
# Words of more bytes have their n-grams hashed in NumPy.
_WIDEST = 64
_CACHED_ROWS = 2048
_NARROWEST = 16
# Words of up to so many characters have few n-grams, whose rows are read at once.
_SHORT_CHARACTERS = 64
_LONG_ROWS = 1 << 12

WordSums = tuple[np.ndarray, np.ndarray, np.ndarray]


class NgramRows(NamedTuple):
    """The n-grams of a table's words, and their rows in a storage, from row `offset` on."""

    storage: Storage
    offset: int
    table: StringTable
    indexer: NgramIndexer


def ngram_sums(rows: NgramRows, words: Int[np.ndarray, " n"]) -> Iterator[WordSums]:
    """Adds up the rows of words' n-grams: `(words, sums, counts)` for blocks in any order.

    Rows on a device are added up in compiled code, one block while the caller uses the one before;
    of a memory map only the rows that are needed are read.
    """
    offsets = rows.table.host_offsets
    lengths = offsets[words + 1] - offsets[words]
    order = np.argsort(lengths, kind="stable")
    words, lengths = words[order], lengths[order]
    n_narrow = 0
    if not rows.storage.is_mapped and len(words) > HOST_WORDS:
        n_narrow = int(np.searchsorted(lengths, _WIDEST, side="right"))
        yield from _sums_by_program(rows, words[:n_narrow], lengths[:n_narrow])
    for begin in range(n_narrow, len(words), HOST_WORDS):
        block = words[begin : begin + HOST_WORDS]
        starts = offsets[block].astype(np.int64)
        views = ByteViews(rows.table.host_data, starts, offsets[block + 1] - starts)
        yield block, *sums_of_words(rows.storage, rows.offset, rows.indexer, views)


def compose(
    word_rows: Storage, rows: NgramRows | None, words: Int[np.ndarray, " n"]
) -> Iterator[WordSums]:
    """FastText's vectors of words: the means of their own rows and the rows of their n-grams.

    Gives blocks `(words, units, norms)` in any order: vectors at unit length, and their norms.
    """
    if rows is None:
        blocks = (words[i : i + _PROGRAM_WORDS] for i in range(0, len(words), _PROGRAM_WORDS))
        for block in blocks:
            yield block, *unit_rows(_float_rows(word_rows, block))
        return
    for block, sums, counts in ngram_sums(rows, words):
        means = _float_rows(word_rows, block) + sums
        means /= (counts + 1).astype(np.float32)[:, None]
        yield block, *unit_rows(means)


def _float_rows(word_rows: Storage, words: np.ndarray) -> np.ndarray:
    return word_rows.read(words).astype(np.float32, copy=False)


def _sums_by_program(rows: NgramRows, words: np.ndarray, lengths: np.ndarray) -> Iterator[WordSums]:
    table = jax.tree.map(jnp.asarray, rows.table)
    waiting: tuple[np.ndarray, Any] | None = None
    for begin in range(0, len(words), _PROGRAM_WORDS):
        block = words[begin : begin + _PROGRAM_WORDS]
        longest = int(lengths[begin + len(block) - 1])
        width = _NARROWEST if longest <= _NARROWEST else _WIDEST
        ids = np.full(_PROGRAM_WORDS, -1, np.int32)
        ids[: len(block)] = block
        result = _program_sums(rows.storage, rows.indexer, table, ids, Subwords(width, rows.offset))
        if waiting is not None:
            yield _fetched(*waiting)
        waiting = block, result
    if waiting is not None:
        yield _fetched(*waiting)


def _fetched(words: np.ndarray, result: tuple[Array, Array]) -> WordSums:
    sums, counts = (np.asarray(array)[: len(words)] for array in result)
    return words, sums, counts


@partial(jax.jit, static_argnames="subwords")
def _program_sums(
    storage: Storage, indexer: NgramIndexer, table: StringTable, ids: Array, subwords: Subwords
) -> tuple[Array, Array]:
    return ngram_totals(storage, indexer, table_words(table, ids), subwords)


def table_words(table: StringTable, ids: Array) -> Words:
    """The words of a table with these numbers in compiled code; none for numbers below zero."""
    data, offsets = jnp.asarray(table.data), jnp.asarray(table.offsets)
    begins = jnp.take(offsets, ids, mode="clip")
    lengths = jnp.take(offsets, ids + 1, mode="clip") - begins
    return Words(data, begins, jnp.where(ids >= 0, lengths, -1))


def sums_of_words(
    storage: Storage,
    offset: int,
    indexer: NgramIndexer,
    words: ByteViews,
    markers: Sequence[bytes] = (b"<", b">"),
) -> tuple[Float32[np.ndarray, "n dims"], Int[np.ndarray, " n"]]:
    """The sums of the rows of words' n-grams in NumPy, and how many n-grams each has.

    Rows of n-grams begin at row `offset`; `markers` are put before and after each word.
    """
    marked = mark_words(words.data, words.starts, words.lengths, *markers)
    ids, splits = indexer.ragged_ids(*marked)
    return sum_of_rows(storage, ids.astype(np.int64) + offset, splits), np.diff(splits)


def sum_of_word(storage: Storage, vocab: Any, word: str) -> tuple[np.ndarray, int]:
    """The sum of the rows of a word's n-grams, and how many there are; in little memory."""
    if vocab.subword_indexer is None:
        return np.zeros(storage.shape[1], np.float32), 0
    if not isinstance(word, str) or len(word) <= _SHORT_CHARACTERS:
        ids = vocab.subword_rows(word)
        return np.add.reduce(storage.read(ids), 0, dtype=np.float32), len(ids)
    total, count = np.zeros(storage.shape[1], np.float64), 0
    for chunk in vocab.subword_row_chunks(word):
        count += len(chunk)
        for start in range(0, len(chunk), _LONG_ROWS):
            rows = storage.read(chunk[start : start + _LONG_ROWS])
            total += np.add.reduce(rows, 0, dtype=np.float64)
    return total, count


def sum_of_rows(
    storage: Storage, ids: Int[np.ndarray, " n_ids"], splits: Int[np.ndarray, " n_plus_1"]
) -> Float32[np.ndarray, "n dims"]:
    """Adds up rows in NumPy: those of item i are `ids[splits[i]:splits[i + 1]]`."""
    sums = np.zeros((len(splits) - 1, storage.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(splits))
    if not filled.size:
        return sums
    needed, index = np.unique(ids, return_inverse=True)
    rows = storage.read(needed).astype(np.float32, copy=False)
    begins = splits[filled]
    # Rows of about so many items at a time stay in the cache until they are added up.
    firsts = np.searchsorted(begins, np.arange(0, len(ids), _CACHED_ROWS))
    firsts = np.unique(np.minimum(firsts, len(filled) - 1))
    for first, last in pairwise([*firsts.tolist(), len(filled)]):
        begin = begins[first]
        end = begins[last] if last < len(filled) else len(ids)
        values = rows.take(index[begin:end], axis=0)
        sums[filled[first:last]] = np.add.reduceat(values, begins[first:last] - begin, axis=0)
    return sums
