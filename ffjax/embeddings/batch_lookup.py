"""Many words to vectors on the host: `Embeddings.embedding_batch`.

Words are looked up once. A known word costs one row; unknown words are embedded together, with
others of similar lengths, so that only they pay for n-grams.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from ffjax._internal.cpus import in_order
from ffjax.functional.lookup import lookup
from ffjax.functional.oov import OOV_BATCHES, WIDE, oov_vectors, unknown_vectors
from ffjax.functional.search import EmbeddingsLike
from ffjax.functional.tier import FOUND_WORDS, LOOKUP_NUMBERS, NGRAMS, in_numpy
from ffjax.kernels.normalize import unit_vector
from ffjax.storage.norms import read_vectors
from ffjax.storage.word_sums import sum_of_word
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.pack import pack_views
from ffjax.strings.string_table import Strings
from ffjax.vocab import Rows, Vocab

# Words that are looked up and read at a time, and rows that a program reads.
_BLOCK_WORDS, _BLOCK_ROWS = 1 << 16, 1 << 14
# The widths of programs that find words; NumPy finds fewer words of a width.
_WIDTHS, _FEW_WORDS = (16, 64), 1 << 10
# Wider words are rare and a program for them takes seconds to compile, so that few of them are
# embedded in NumPy, and very long ones always.
_NARROW = 64


def embed_words(
    emb: EmbeddingsLike, words: Any, *, unnormalize: bool = False
) -> tuple[Float[np.ndarray, "n dims"], Bool[np.ndarray, " n"]]:
    """Vectors of words of any lengths, and which words have one; arguments as for `pack`.

    Examples:
        >>> import ffjax
        >>> vectors, found = embed_words(ffjax.demo(), ["berlin", "1" * 10_000])
        >>> vectors.shape, found.tolist()
        ((2, 100), [True, False])
    """
    n, blocks = _blocks(words)
    vectors = np.empty((n, emb.storage.shape[1]), emb.storage.dtype)
    found = np.empty(n, bool)

    def read_known(numbered: tuple[int, ByteViews]) -> tuple[np.ndarray, ByteViews]:
        """Writes the vectors of the known words of a block and returns the unknown ones."""
        start, block = numbered
        block_vectors, exist = (out[start : start + len(block.lengths)] for out in (vectors, found))
        numbers = find_words(emb.vocab, block)
        np.greater_equal(numbers, 0, out=exist)
        rows = emb.vocab.rows_of_numbers(numbers)
        read_rows(emb, rows, block_vectors, unnormalize=unnormalize)
        block_vectors[~exist] = 0
        missing = np.flatnonzero(~exist & (block.lengths >= 0))
        return missing + start, block.take(missing)

    # The rows of a block are read while the next one is encoded.
    run = map if n <= _BLOCK_WORDS else in_order
    unknown = list(run(read_known, blocks))
    positions = np.concatenate([np.zeros(0, np.int64), *(at for at, _ in unknown)])
    views = ByteViews.concat([block for _, block in unknown])
    embed_unknown(emb, views, positions, (vectors, found), unnormalize=unnormalize)
    return vectors, found


def find_words(vocab: Vocab, words: ByteViews) -> Int32[np.ndarray, " n"]:
    """The number of each known word, -1 for the others; words that share a row have different ones.

    Examples:
        >>> import ffjax
        >>> from ffjax.strings.byte_views import byte_views
        >>> words = byte_views(["coffee", "tea"])
        >>> find_words(ffjax.SimpleVocab(["milk", "tea"]), words)
        array([-1,  1], dtype=int32)
    """
    n = len(words.lengths)
    if in_numpy(n, FOUND_WORDS, vocab.index):
        return vocab.find_on_host(words)
    numbers = np.full(n, -1, np.int32)
    by_numpy = words.lengths > max(_WIDTHS)
    least = _FEW_WORDS if in_numpy(1, _FEW_WORDS, vocab.index) else 0
    for block, strings in _packed(words, dict.fromkeys(_WIDTHS, (_BLOCK_WORDS, least)), by_numpy):
        numbers[block] = np.asarray(_find_words(vocab, strings))[: len(block)]
    rest = np.flatnonzero(by_numpy)
    numbers[rest] = vocab.find_on_host(words.take(rest))
    return numbers


def read_rows(
    emb: EmbeddingsLike, ids: np.ndarray, out: Any = None, *, unnormalize: bool = False
) -> np.ndarray:
    """The vectors of known words by their rows; ids below zero may get any vector."""
    storage, n = emb.storage, len(ids)
    if storage.reads_on_host and not unnormalize:
        return storage.read(np.maximum(ids, 0), out)
    if out is None:
        out = np.empty((n, storage.shape[1]), storage.dtype)
    work = n * storage.shape[1] * storage.host_cost
    if storage.is_mapped or in_numpy(work, LOOKUP_NUMBERS, storage):
        return read_vectors(storage, emb.norms if unnormalize else None, ids, out)
    for start in range(0, n, _BLOCK_ROWS):
        block = ids[start : start + _BLOCK_ROWS]
        rows = np.full(_BLOCK_ROWS, -1, np.int32)
        rows[: len(block)] = block
        vectors = lookup(emb, Rows(jnp.asarray(rows)), unnormalize=unnormalize)
        out[start : start + len(block)] = np.asarray(vectors)[: len(block)]
    return out


def embed_unknown(
    emb: EmbeddingsLike, words: ByteViews, positions: np.ndarray, out: Any, *, unnormalize: bool
) -> None:
    """Writes the vectors of words outside of the vocabulary to the positions of those with n-grams.

    `out` has all vectors, and the mask of those that exist. Few words, very long ones, and those of
    a memory map are embedded in NumPy.
    """
    storage, n = emb.storage, len(positions)
    vectors, found = out
    vocab: Any = emb.vocab
    if vocab.subword_indexer is None or not n:
        return
    work = n * NGRAMS * storage.shape[1] * storage.ngram_rows(0)[0].host_cost
    by_numpy = np.full(n, storage.is_mapped or in_numpy(work, LOOKUP_NUMBERS, storage, vocab))
    by_numpy |= words.lengths > WIDE
    sizes = {width: (size, size if width > _NARROW else 0) for width, size in OOV_BATCHES.items()}
    for block, strings in _packed(words, sizes, by_numpy):
        new, exist = oov_vectors(storage, vocab, strings, unnormalize)
        vectors[positions[block]] = np.asarray(new)[: len(block)]
        found[positions[block]] = np.asarray(exist)[: len(block)]
    rest = np.flatnonzero(by_numpy)
    if rest.size:
        words, positions = words.take(rest), positions[rest]
        unknown_vectors(emb, words, positions, vectors, found, unnormalize=unnormalize)


def _packed(
    words: ByteViews, sizes: dict[int, tuple[int, int]], by_numpy: np.ndarray
) -> Iterator[tuple[np.ndarray, Strings]]:
    """Packed batches with the positions of their words, but for words marked in `by_numpy`.

    `sizes` has by width the size of batches, and the least number of words: fewer are marked.
    """
    lengths, narrower = words.lengths, -1
    for width, (size, least) in sizes.items():
        fitting = np.flatnonzero(~by_numpy & (lengths > narrower) & (lengths <= width))
        narrower = width
        if len(fitting) < least:
            by_numpy[fitting] = True
            continue
        for start in range(0, len(fitting), size):
            block = fitting[start : start + size]
            yield block, pack_views(words.take(block), size, width)


def oov_vector(emb: EmbeddingsLike, word: str) -> tuple[np.ndarray, np.float32] | None:
    """The sum of the rows of a word's n-grams at unit length, and its norm."""
    total, count = sum_of_word(emb.storage, emb.vocab, word)
    if not count:
        return None
    unit, norm = unit_vector(total)
    return unit.astype(emb.storage.dtype, copy=False), norm


def _blocks(words: Any) -> tuple[int, Iterator[tuple[int, ByteViews]]]:
    """The number of words, and blocks of them with their first numbers."""
    if isinstance(words, list | tuple) or (isinstance(words, np.ndarray) and words.ndim == 1):
        starts = range(0, len(words), _BLOCK_WORDS)
        views = (byte_views(words[start : start + _BLOCK_WORDS]) for start in starts)
        return len(words), zip(starts, views, strict=True)
    views = byte_views(words)
    starts = range(0, len(views.lengths), _BLOCK_WORDS)
    blocks = (views.take(slice(start, start + _BLOCK_WORDS)) for start in starts)
    return len(views.lengths), zip(starts, blocks, strict=True)


@jax.jit
def _find_words(vocab: Vocab, strings: Strings) -> Array:
    return vocab.find_words(strings)
