"""Many words to vectors on the host: `Embeddings.embedding_batch`.

Words are looked up once. A known word costs one row; unknown words are taken out of their batches
and embedded together, so that only they pay for n-grams, and long words only widen batches that
they are in.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from ffjax._internal.arrays import check_concrete, padded_size
from ffjax.functional.lookup import lookup
from ffjax.functional.oov import with_oov_words
from ffjax.functional.search import EmbeddingsLike
from ffjax.kernels.normalize import unit_vector
from ffjax.storage import Storage
from ffjax.strings.codec import decode_word
from ffjax.strings.pack import RaggedBatch, pack_ragged
from ffjax.strings.strings import Strings
from ffjax.vocab import Rows, SubwordVocab, Vocab

# Words that are packed, looked up and read at a time.
_BLOCK_WORDS = 1 << 16
# Unknown words that are embedded at a time, and their bytes.
_OOV_WORDS, _OOV_BYTES = 1 << 14, 1 << 19
# Words of up to so many bytes share batches of few widths. Wider ones are rare and a program for
# them takes seconds to compile, so that there is one a width, for batches of `_WIDE_WORDS`; fewer
# words than that are embedded one by one on the host.
_NARROW, _WIDE = 64, (256, 1024)
_WIDE_WORDS = 256
# Words of up to so many characters have few n-grams, whose rows are read at once.
_SHORT_CHARACTERS = 64
_LONG_ROWS = 1 << 12
_THREADS = 2


def embed_words(
    embeddings: EmbeddingsLike, words: Any, *, unnormalize: bool = False
) -> tuple[Float[np.ndarray, "n dims"], Bool[np.ndarray, " n"]]:
    """Vectors of words of any lengths, and which words have one; arguments as for `pack`.

    Examples:
        >>> import ffjax
        >>> vectors, found = embed_words(ffjax.demo(), ["berlin", "1" * 10_000])
        >>> vectors.shape, found.tolist()
        ((2, 100), [True, False])
    """
    check_concrete((embeddings.storage, embeddings.vocab))
    n, blocks = _blocks(words)
    vectors = np.empty((n, embeddings.storage.shape[1]), embeddings.storage.dtype)
    found = np.zeros(n, bool)
    pending, unknown = [], []
    with ThreadPoolExecutor(_THREADS) as threads:
        start = 0
        for batches in blocks:
            end = start + len(batches[0].positions)
            rows = [find_rows(embeddings.vocab, batch.strings) for batch in batches]
            out = vectors[start:end], found[start:end]
            # The rows of a block are read while the next one is packed.
            future = threads.submit(_read_known, embeddings, batches, rows, *out, unnormalize)
            pending.append((start, future))
            start = end
        for start, future in pending:
            for positions, strings in future.result():
                unknown.append(RaggedBatch(positions + start, strings))
    embed_unknown(embeddings, unknown, vectors, found, unnormalize=unnormalize)
    return vectors, found


@jax.jit
def find_rows(vocab: Vocab, strings: Strings) -> Int32[Array, " batch"]:
    """The row of each known word of a batch, -1 for the others."""
    return vocab.find(strings)


def read_rows(
    embeddings: EmbeddingsLike,
    ids: np.ndarray,
    out: np.ndarray | None = None,
    *,
    unnormalize: bool = False,
) -> np.ndarray:
    """The vectors of known words by their rows; ids below zero may get any vector."""
    storage = embeddings.storage
    if storage.reads_on_host and not unnormalize:
        return storage.read(np.maximum(ids, 0), out)
    rows = np.full(padded_size(len(ids), 0, coarse=True), -1, np.int32)
    rows[: len(ids)] = ids
    vectors = lookup(embeddings, Rows(jnp.asarray(rows)), unnormalize=unnormalize)
    vectors = np.asarray(vectors)[: len(ids)]
    if out is None:
        return vectors
    out[...] = vectors
    return out


def embed_unknown(
    embeddings: EmbeddingsLike,
    batches: list[RaggedBatch],
    vectors: np.ndarray,
    found: np.ndarray,
    *,
    unnormalize: bool = False,
) -> None:
    """Writes the vectors of words outside of the vocabulary; zeros, not found, without n-grams.

    Words share batches with others of similar lengths, of bounded size. Those that are very long,
    and long ones that are few, are embedded on the host, one by one.
    """
    if embeddings.vocab.subword_indexer is None:
        return
    groups: dict[int, list[RaggedBatch]] = {}
    for batch in batches:
        for width, group in _by_width(batch):
            groups.setdefault(width, []).append(group)
    for width, group in sorted(groups.items()):
        positions = np.concatenate([batch.positions for batch in group])
        data = np.concatenate([batch.strings.bytes for batch in group])
        lengths = np.concatenate([batch.strings.lengths for batch in group])
        n = len(positions)
        if width > _WIDE[-1] or (width > _NARROW and n < _WIDE_WORDS):
            for i, row, length in zip(positions, data, lengths, strict=True):
                word = decode_word(row[:length].tobytes())
                vectors[i], found[i] = _embed_long_word(embeddings, word, unnormalize)
            continue
        step = _WIDE_WORDS if width > _NARROW else min(_OOV_WORDS, _OOV_BYTES // width)
        for start in range(0, n, step):
            block = slice(start, start + step)
            size = len(positions[block])
            n_rows = step if width > _NARROW else min(padded_size(size, coarse=True), step)
            strings = _padded(data[block], lengths[block], n_rows)
            block_vectors, block_found = _embed_oov(embeddings, strings, unnormalize)
            vectors[positions[block]] = np.asarray(block_vectors)[:size]
            found[positions[block]] = np.asarray(block_found)[:size]


def ngram_sum(embeddings: EmbeddingsLike, word: str) -> tuple[np.ndarray, int]:
    """The sum of the rows of a word's n-grams, and how many there are; in little memory."""
    storage = embeddings.storage
    vocab: Any = embeddings.vocab
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


def oov_vector(embeddings: EmbeddingsLike, word: str) -> tuple[np.ndarray, np.float32] | None:
    """The sum of the rows of a word's n-grams at unit length, and its norm."""
    total, count = ngram_sum(embeddings, word)
    if not count:
        return None
    unit, norm = unit_vector(total)
    return unit.astype(embeddings.storage.dtype, copy=False), norm


def _blocks(words: Any) -> tuple[int, Iterator[list[RaggedBatch]]]:
    """The number of words, and packed blocks of them."""
    if isinstance(words, list | tuple) or (isinstance(words, np.ndarray) and words.ndim == 1):
        starts = range(0, len(words), _BLOCK_WORDS)
        blocks = (pack_ragged(words[start : start + _BLOCK_WORDS]) for start in starts)
        return len(words), blocks
    batches = pack_ragged(words)
    return len(batches[0].positions), iter([batches])


def _read_known(
    embeddings: EmbeddingsLike,
    batches: list[RaggedBatch],
    rows: list[Array],
    vectors: np.ndarray,
    found: np.ndarray,
    unnormalize: bool,
) -> list[RaggedBatch]:
    """Writes the vectors of the known words of a block and returns the unknown ones."""
    ids = np.full(len(vectors), -1, np.int32)
    unknown = []
    for (positions, strings), batch_rows in zip(batches, rows, strict=True):
        batch_ids = np.asarray(batch_rows)[: len(positions)]
        lengths = strings.lengths[: len(positions)]
        is_known = batch_ids >= 0
        ids[positions[is_known]] = batch_ids[is_known]
        missing = np.flatnonzero(~is_known & (lengths >= 0))
        if missing.size:
            words = Strings(strings.bytes[missing], lengths[missing])
            unknown.append(RaggedBatch(positions[missing], words))
    read_rows(embeddings, ids, vectors, unnormalize=unnormalize)
    np.greater_equal(ids, 0, out=found)
    vectors[~found] = 0
    return unknown


def _by_width(batch: RaggedBatch) -> Iterator[tuple[int, RaggedBatch]]:
    """The words of a batch, without fillers, by the widths that they fit."""
    data = batch.strings.bytes
    lengths = batch.strings.lengths[: len(batch.positions)]
    batch_width = data.shape[1]
    widths = [batch_width]
    if batch_width > _NARROW:
        widths = [_NARROW, *_WIDE, max(batch_width, _WIDE[-1] + 1)]
    narrower = -1
    for width in widths:
        ids = np.flatnonzero((lengths > narrower) & (lengths <= width))
        narrower = width
        if ids.size:
            rows = np.zeros((ids.size, width), np.uint8)
            rows[:, :batch_width] = data[ids, :width]
            yield width, RaggedBatch(batch.positions[ids], Strings(rows, lengths[ids]))


def _padded(data: np.ndarray, lengths: np.ndarray, n_rows: int) -> Strings:
    fill = (0, n_rows - len(data))
    return Strings(np.pad(data, (fill, (0, 0))), np.pad(lengths, fill, constant_values=-1))


def _embed_oov(
    embeddings: EmbeddingsLike, strings: Strings, unnormalize: bool
) -> tuple[Array, Array]:
    """`embed` for words that are known to be outside of the vocabulary."""
    if embeddings.storage.is_mapped:
        rows = _encode_oov(embeddings.vocab, strings)
        return lookup(embeddings, rows, unnormalize=unnormalize), rows.found
    return _oov_vectors(embeddings.storage, embeddings.vocab, strings, unnormalize)


@jax.jit
def _encode_oov(vocab: SubwordVocab, strings: Strings) -> Rows:
    ids = vocab.ngram_rows(jnp.asarray(strings.bytes), jnp.asarray(strings.lengths))
    return Rows(jnp.full(len(strings), -1, jnp.int32), ids)


@partial(jax.jit, static_argnames="unnormalize")
def _oov_vectors(
    storage: Storage, vocab: SubwordVocab, strings: Strings, unnormalize: bool
) -> tuple[Array, Array]:
    vectors = jnp.zeros((len(strings), storage.shape[1]), storage.dtype)
    unknown = jnp.asarray(strings.lengths) >= 0
    return with_oov_words(vectors, storage, vocab, strings, unknown, means=unnormalize)


def _embed_long_word(
    embeddings: EmbeddingsLike, word: str, unnormalize: bool
) -> tuple[np.ndarray, bool]:
    total, count = ngram_sum(embeddings, word)
    vector = total / max(count, 1) if unnormalize else unit_vector(total)[0]
    return vector, count > 0

