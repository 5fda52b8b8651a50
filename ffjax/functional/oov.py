"""The vectors of words outside of the vocabulary: only their n-grams' rows are read.

First in compiled code; then in NumPy, with those of known words.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from ffjax._internal.jax_compat import varying_together
from ffjax.functional.search import EmbeddingsLike
from ffjax.kernels.ngram_hashes import Words
from ffjax.kernels.normalize import normalize, unit_rows
from ffjax.storage import Storage
from ffjax.storage.base import float_leaves, with_float_leaves
from ffjax.storage.explicit import takes_explicit
from ffjax.storage.ngram_sums import SCATTER, Subwords, add_ngrams, as_one_batch, ngram_totals
from ffjax.storage.norms import read_vectors
from ffjax.storage.word_sums import sum_of_word, sums_of_words
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import decode_word
from ffjax.strings.string_table import Strings
from ffjax.vocab import SubwordVocab

# Words of a batch on the host, by the width that holds them: few shapes share few programs.
OOV_BATCHES = {16: 1024, 64: 1024, 256: 256, 1024: 256}
# Words of more bytes are embedded one by one.
WIDE = 1024
# Bytes of words whose n-grams are added up at a time.
_HOST_BYTES = 1 << 14


def with_oov_words(
    vectors: Float[Array, "batch dims"],
    found: Bool[Array, " batch"],
    storage: Storage,
    vocab: SubwordVocab,
    strings: Strings,
    *,
    means: bool,
) -> tuple[Float[Array, "batch dims"], Bool[Array, " batch"]]:
    """The vectors of all words, with those of out-of-vocabulary words; and which have one.

    `found` says which words are known; only these have a vector yet. Compiled code; `means` is for
    the mean of the n-grams' rows, and not their sum at unit length.
    """
    data, lengths = jnp.asarray(strings.bytes), jnp.asarray(strings.lengths)
    words = Words(data, None, jnp.where(found, -1, lengths))
    bow, eow = (marker.encode() for marker in vocab.markers)
    storage, offset = storage.ngram_rows(vocab.n_word_rows)
    subwords = Subwords(data.shape[1], offset, bow, eow)
    # Inside `shard_map` a gradient must vary over devices as its argument does.
    args = varying_together((vectors, found, storage, vocab.subword_indexer, words))
    return _with_sums(*args, subwords, means)


@partial(jax.custom_jvp, nondiff_argnums=(5, 6))
def _with_sums(
    vectors: Array, found: Array, storage: Any, indexer: Any, words: Any, subwords: Any, means: bool
) -> tuple[Array, Array]:
    """As `with_oov_words`: writes the vectors of a block while they are in the cache."""

    def forward(storage: Storage, indexer: Any, words: Words, rows: Any) -> tuple[Array, Array]:
        def write(rows: Any, positions: Array, total: Array, n: Array) -> Any:
            vectors, exist, counts = rows
            exist = exist.at[positions].max(n > 0, **SCATTER)
            if counts is not None:
                counts = counts.at[positions].add(n, **SCATTER)
                n = jnp.take(counts, positions, mode="clip")
            new = _vectors_of(storage.finish_sum(total), n, means).astype(vectors.dtype)
            return vectors.at[positions].set(new, **SCATTER), exist, counts

        rows = *rows, jnp.zeros(len(words.lengths), jnp.int32) if means else None
        return add_ngrams(storage, indexer, words, subwords, rows, write)[:2]

    return as_one_batch(forward, storage, indexer, words, (vectors, found))


@_with_sums.defjvp
def _(subwords: Subwords, means: bool, primals: Any, tangents: Any) -> Any:
    vectors, found, storage, indexer, words = primals

    def replaced(vectors: Array, leaves: Any) -> tuple[Array, Array]:
        rows = with_float_leaves(storage, leaves)
        sums, counts = ngram_totals(rows, indexer, words, subwords)
        new = _vectors_of(sums, counts, means).astype(vectors.dtype)
        return jnp.where(found[:, None], vectors, new), found | (counts > 0)

    values = vectors, float_leaves(storage)
    return jax.jvp(replaced, values, (tangents[0], float_leaves(tangents[2])))


def _vectors_of(sums: Array, counts: Array, means: bool) -> Array:
    if means:
        return sums / jnp.maximum(counts, 1)[:, None].astype(sums.dtype)
    return normalize(sums)[0]


@partial(jax.jit, static_argnames="unnormalize")
@takes_explicit
def oov_vectors(
    storage: Storage, vocab: SubwordVocab, strings: Strings, unnormalize: bool
) -> tuple[Array, Array]:
    """The vectors of a batch of words that are all out of the vocabulary, and which have one."""
    vectors = jnp.zeros((len(strings), storage.shape[1]), storage.dtype)
    is_known = jnp.zeros(len(strings), bool)
    return with_oov_words(vectors, is_known, storage, vocab, strings, means=unnormalize)


def oov_batch(data: np.ndarray, lengths: np.ndarray, ids: np.ndarray) -> Strings | None:
    """Some words of a batch in one of the shapes of `OOV_BATCHES`, `None` for a larger batch."""
    batch, width = data.shape
    shapes = ((n, wide) for wide, n in OOV_BATCHES.items() if wide >= width and n >= batch)
    if (shape := next(shapes, None)) is None:
        return None
    padded = np.zeros(shape, np.uint8)
    padded[: len(ids), :width] = data[ids]
    sizes = np.full(shape[0], -1, np.int32)
    sizes[: len(ids)] = np.minimum(lengths[ids], width)
    return Strings(padded, sizes)


def embed_in_numpy(
    embeddings: EmbeddingsLike, strings: Strings, *, unnormalize: bool
) -> tuple[np.ndarray, np.ndarray]:
    """`embed` for a batch on the host."""
    storage, vocab = embeddings.storage, embeddings.vocab
    n, width = strings.bytes.shape
    lengths, starts = np.asarray(strings.lengths), width * np.arange(n)
    words = ByteViews(np.asarray(strings.bytes).reshape(-1), starts, lengths)
    ids, is_word = np.full(n, -1, np.int32), (lengths >= 0) & (lengths <= width)
    ids[is_word] = vocab.rows_of_numbers(vocab.find_on_host(words.take(is_word)))
    vectors, found = np.zeros((n, storage.shape[1]), storage.dtype), ids >= 0
    read_vectors(storage, embeddings.norms if unnormalize else None, ids, vectors)
    unknown = np.flatnonzero(is_word & ~found)
    if vocab.subword_indexer is not None and unknown.size:
        words = words.take(unknown)
        unknown_vectors(embeddings, words, unknown, vectors, found, unnormalize=unnormalize)
    return vectors, found


def unknown_vectors(
    embeddings: EmbeddingsLike,
    words: ByteViews,
    positions: np.ndarray,
    vectors: np.ndarray,
    found: np.ndarray,
    *,
    unnormalize: bool,
) -> None:
    """Writes the vectors of unknown words to their positions, and which have n-grams."""
    start = 0
    for block in _of_few_bytes(words):
        block_positions = positions[start : start + len(block.lengths)]
        start += len(block_positions)
        sums, counts = _sums(embeddings, block)
        if unnormalize:
            sums /= np.maximum(counts, 1)[:, None].astype(np.float32)
        else:
            unit_rows(sums)
        vectors[block_positions], found[block_positions] = sums, counts > 0


def _sums(embeddings: EmbeddingsLike, words: ByteViews) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the rows of words' n-grams, and how many n-grams each has."""
    vocab: Any = embeddings.vocab
    if words.lengths[0] > WIDE:
        raw = words.data[words.starts[0] :][: words.lengths[0]].tobytes()
        total, count = sum_of_word(embeddings.storage, vocab, decode_word(raw))
        return total[None].astype(np.float32), np.array([count])
    storage, offset = embeddings.storage.ngram_rows(vocab.n_word_rows)
    markers = [marker.encode() for marker in vocab.markers]
    return sums_of_words(storage, offset, vocab.subword_indexer, words, markers)


def _of_few_bytes(words: ByteViews) -> Iterator[ByteViews]:
    """Blocks of short words, and each very long word by itself."""
    long = words.lengths > WIDE
    blocks = np.cumsum(np.where(long, 0, words.lengths), dtype=np.int64) // _HOST_BYTES
    cuts = (np.diff(blocks) > 0) | long[1:] | long[:-1]
    ends = [*(np.flatnonzero(cuts) + 1).tolist(), len(long)]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        if end > start:
            yield words.take(slice(start, end))
