"""Many words to vectors on the host, in blocks: words of a block are packed while those of the one before are found.

Known words cost a row each. Unknown words are taken out of their blocks and embedded together, so that n-grams are
paid for by those that need them, and long words only make batches wide that they are in.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from ffjax.functional import EmbeddingsLike, embed, lookup
from ffjax.packing import Part, pack_parts, size
from ffjax.storage import NdArray, QuantizedArray, Storage
from ffjax.storage.arrays import host_view
from ffjax.strings import Strings, decode
from ffjax.vocab import Rows, SubwordVocab, Vocab

# Words that are packed, found and read at a time.
_BLOCK = 1 << 16
# Unknown words that are embedded at a time, and their bytes.
_UNKNOWN, _UNKNOWN_BYTES = 1 << 14, 1 << 19
_WIDEST = 64
# Rows of one long word that are read at a time.
_LONG_ROWS = 1 << 12
_THREADS = 2


def embed_words(
    embeddings: EmbeddingsLike, words: Any, *, unnormalize: bool = False
) -> tuple[Float[np.ndarray, "n dims"], Bool[np.ndarray, " n"]]:
    """The vectors of many words at once, of any lengths, as NumPy arrays; `Embeddings.embedding_batch` is this.

    Args:
        embeddings: the embeddings.
        words: whatever `pack` takes.
        unnormalize: as in `lookup`.

    Returns:
        `(vectors, found)`: vectors `[n, dims]`, zeros where `found` (bool `[n]`) is false.

    Raises:
        TypeError: as `pack`.

    Examples:
        >>> import ffjax
        >>> vectors, found = embed_words(ffjax.demo(), ["berlin", "1" * 10_000])
        >>> vectors.shape, found.tolist()
        ((2, 100), [True, False])
    """
    storage, vocab = embeddings.storage, embeddings.vocab
    n, blocks = _blocks(words)
    vectors, found = np.empty((n, storage.shape[1]), _dtype(storage)), np.zeros(n, bool)
    unknown: list[Part] = []
    begin = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = []
        for parts in blocks:
            end = begin + len(parts[0].positions)
            encoded = [(part, find_rows(vocab, part.strings)) for part in parts]
            fill = partial(_fill, embeddings, encoded, vectors[begin:end], found[begin:end], unnormalize)
            waiting.append((begin, pool.submit(fill)))
            begin = end
        for begin, future in waiting:
            unknown += [Part(part.positions + begin, part.strings) for part in future.result()]
    if isinstance(vocab, SubwordVocab):
        for positions, made, there in embed_unknown(embeddings, unknown, unnormalize=unnormalize):
            vectors[positions], found[positions] = made, there
    return vectors, found


@jax.jit
def find_rows(vocab: Vocab, strings: Strings) -> Int32[Array, " batch"]:
    """The row of each known word of a packed batch, -1 for the others."""
    return vocab.find(strings)


def embed_unknown(
    embeddings: EmbeddingsLike, unknown: list[Part], *, unnormalize: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vectors of words that are known to be unknown, in blocks that bound what their n-grams take.

    Unknown words of more than 64 bytes are rare and of many widths: they are put together on the host, one by one,
    since a program for each width of n-grams takes seconds to compile.

    Yields:
        Positions, vectors and whether there is one, for each block.
    """
    for width in sorted({part.strings.bytes.shape[1] for part in unknown}):
        same = [part for part in unknown if part.strings.bytes.shape[1] == width]
        positions = np.concatenate([part.positions for part in same])
        data = np.concatenate([part.strings.bytes for part in same])
        lengths = np.concatenate([part.strings.lengths for part in same])
        step = max(1, min(_UNKNOWN, _UNKNOWN_BYTES // width))
        for begin in range(0, len(positions), step):
            block = slice(begin, begin + step)
            number = len(positions[block])
            if width > _WIDEST:
                pairs = zip(data[block], lengths[block], strict=True)
                made = [_one(embeddings, row[:n].tobytes(), unnormalize) for row, n in pairs]
                yield positions[block], np.stack([v for v, _ in made]), np.array([there for _, there in made])
                continue
            strings = padded(Strings(data[block], lengths[block]), min(size(number), step))
            vectors, there = embed(embeddings, strings, unnormalize=unnormalize)
            yield positions[block], np.asarray(vectors)[:number], np.asarray(there)[:number]


def _one(embeddings: EmbeddingsLike, word: bytes, unnormalize: bool) -> tuple[np.ndarray, bool]:
    """The vector of one unknown word, however long, in bounded memory."""
    total, count = sum_of_long_word(embeddings, decode(word))
    length = max(count, 1) if unnormalize else np.sqrt(total @ total)
    return (total / length if length > 0 else total).astype(_dtype(embeddings.storage)), count > 0


def sum_of_long_word(embeddings: EmbeddingsLike, word: str) -> tuple[Float[np.ndarray, " dims"], int]:
    """The sum of the rows of a word's n-grams, in float64, and how many there are; in memory that hardly grows."""
    storage, vocab = embeddings.storage, embeddings.vocab
    total, count = np.zeros(storage.shape[1], np.float64), 0
    if isinstance(vocab, SubwordVocab):
        for rows in vocab.subword_row_pieces(word):
            count += len(rows)
            for begin in range(0, len(rows), _LONG_ROWS):
                total += np.add.reduce(storage.embedding(rows[begin : begin + _LONG_ROWS]), 0, dtype=np.float64)
    return total, count


def padded(strings: Strings, count: int) -> Strings:
    """A batch with filler rows behind, `count` rows in all."""
    data = np.zeros((count, strings.bytes.shape[1]), np.uint8)
    lengths = np.full(count, -1, np.int32)
    data[: len(strings)], lengths[: len(strings)] = strings.bytes, strings.lengths
    return Strings(data, lengths)


def _blocks(words: Any) -> tuple[int, Iterator[list[Part]]]:
    """The number of words, and parts of some of them at a time."""
    if isinstance(words, list | tuple) or (isinstance(words, np.ndarray) and words.ndim == 1):
        n = len(words)
        return n, (pack_parts(words[begin : begin + _BLOCK]) for begin in range(0, n, _BLOCK))
    parts = pack_parts(words)
    return len(parts[0].positions), iter([parts])


def _fill(
    embeddings: EmbeddingsLike,
    encoded: list[tuple[Part, Array]],
    vectors: np.ndarray,
    found: np.ndarray,
    unnormalize: bool,
) -> list[Part]:
    """Reads the vectors of the known words of a block; gives back the unknown ones."""
    ids = np.full(len(vectors), -1, np.int32)
    unknown = []
    for part, rows in encoded:
        own = np.asarray(rows)[: len(part.positions)]
        hit = own >= 0
        ids[part.positions[hit]] = own[hit]
        left = np.flatnonzero(~hit & (part.strings.lengths[: len(own)] >= 0))
        if left.size:
            some = Strings(part.strings.bytes[left], part.strings.lengths[left])
            unknown.append(Part(part.positions[left], some))
    read_rows(embeddings, ids, vectors, unnormalize=unnormalize)
    np.greater_equal(ids, 0, out=found)
    vectors[~found] = 0
    return unknown


def read_rows(
    embeddings: EmbeddingsLike, ids: np.ndarray, out: np.ndarray | None = None, *, unnormalize: bool = False
) -> np.ndarray:
    """The rows of known words as a NumPy array; rows below zero may be anything."""
    storage = embeddings.storage
    matrix = host_view(storage.matrix) if isinstance(storage, NdArray) and not unnormalize else None
    if matrix is not None and len(matrix):
        return np.take(matrix, ids, axis=0, out=out, mode="clip")
    if isinstance(storage, QuantizedArray) and _decoded_on_host(storage) and not unnormalize:
        vectors = np.empty((len(ids), storage.shape[1]), np.float32) if out is None else out
        storage.read_rows(ids, vectors)
        return vectors
    rows = np.full(size(len(ids)), -1, np.int32)
    rows[: len(ids)] = ids
    found = np.asarray(lookup(embeddings, Rows(jnp.asarray(rows)), unnormalize=unnormalize))[: len(ids)]
    if out is None:
        return found
    out[...] = found
    return out


def _decoded_on_host(storage: QuantizedArray) -> bool:
    # A rotation is a product with a matrix, which compiled code does faster.
    return storage.projection is None and storage.on_host and len(storage) > 0


def _dtype(storage: Storage) -> Any:
    return getattr(storage, "dtype", np.dtype(np.float32))
