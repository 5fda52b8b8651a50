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

from ffjax._internal.arrays import host_view, padded_size
from ffjax.functional.lookup import EmbeddingsLike, embed, lookup
from ffjax.storage import NdArray, QuantizedArray, Storage
from ffjax.strings.codec import decode_word
from ffjax.strings.pack import RaggedBatch, pack_ragged
from ffjax.strings.strings import Strings
from ffjax.vocab import Rows, SubwordVocab, Vocab

# Words that are packed, found and read at a time.
_BLOCK = 1 << 16
# Unknown words that are embedded at a time, and their bytes.
_UNKNOWN, _UNKNOWN_BYTES = 1 << 14, 1 << 19
# Words of up to so many bytes share batches of few widths. Wider ones are rare, and a program for them takes seconds to
# compile: there is one a width, for blocks of `_MANY`, and fewer words than that do not get it.
_NARROW, _WIDE = 64, (256, 1024)
_MANY = 256
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
    unknown: list[RaggedBatch] = []
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
            unknown += [RaggedBatch(part.positions + begin, part.strings) for part in future.result()]
    if isinstance(vocab, SubwordVocab):
        for positions, made, there in embed_unknown(embeddings, unknown, unnormalize=unnormalize):
            vectors[positions], found[positions] = made, there
    return vectors, found


@jax.jit
def find_rows(vocab: Vocab, strings: Strings) -> Int32[Array, " batch"]:
    """The row of each known word of a packed batch, -1 for the others."""
    return vocab.find(strings)


def embed_unknown(
    embeddings: EmbeddingsLike, unknown: list[RaggedBatch], *, unnormalize: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vectors of words that are known to be unknown, in blocks that bound what their n-grams take.

    Words share blocks with those of like lengths, whatever the batch they came in. Those that are very long, and long
    ones that are few, are put together on the host, one by one.

    Yields:
        Positions, vectors and whether there is one, for each block.
    """
    groups: dict[int, list[RaggedBatch]] = {}
    for part in unknown:
        for width, some in _by_width(part):
            groups.setdefault(width, []).append(some)
    for width, same in sorted(groups.items()):
        number = sum(len(part.positions) for part in same)
        if width > _WIDE[-1] or (width > _NARROW and number < _MANY):
            for positions, strings in same:
                pairs = zip(strings.bytes, strings.lengths, strict=True)
                made = [_one(embeddings, row[:n].tobytes(), unnormalize) for row, n in pairs]
                yield positions, np.stack([v for v, _ in made]), np.array([there for _, there in made])
            continue
        positions = np.concatenate([part.positions for part in same])
        data = np.concatenate([part.strings.bytes for part in same])
        lengths = np.concatenate([part.strings.lengths for part in same])
        step = _MANY if width > _NARROW else max(1, min(_UNKNOWN, _UNKNOWN_BYTES // width))
        for begin in range(0, number, step):
            block = slice(begin, begin + step)
            n = len(positions[block])
            room = step if width > _NARROW else min(padded_size(n, 0, coarse=True), step)
            vectors, there = embed(
                embeddings, padded(Strings(data[block], lengths[block]), room), unnormalize=unnormalize
            )
            yield positions[block], np.asarray(vectors)[:n], np.asarray(there)[:n]


def _by_width(part: RaggedBatch) -> Iterator[tuple[int, RaggedBatch]]:
    """The words of a part by the widths of blocks that they fit in, those of a narrow part all together."""
    data, lengths = part.strings.bytes, part.strings.lengths
    came = data.shape[1]
    if came <= _NARROW:
        yield came, part
        return
    least = -1
    for width in (_NARROW, *_WIDE, max(came, _WIDE[-1] + 1)):
        own = np.flatnonzero((lengths > least) & (lengths <= width))
        least = width
        if own.size:
            rows = np.zeros((own.size, width), np.uint8)
            rows[:, : min(width, came)] = data[own, :width]
            yield width, RaggedBatch(part.positions[own], Strings(rows, lengths[own]))


def _one(embeddings: EmbeddingsLike, word: bytes, unnormalize: bool) -> tuple[np.ndarray, bool]:
    """The vector of one unknown word, however long, in bounded memory."""
    total, count = sum_of_long_word(embeddings, decode_word(word))
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


def _blocks(words: Any) -> tuple[int, Iterator[list[RaggedBatch]]]:
    """The number of words, and parts of some of them at a time."""
    if isinstance(words, list | tuple) or (isinstance(words, np.ndarray) and words.ndim == 1):
        n = len(words)
        return n, (pack_ragged(words[begin : begin + _BLOCK]) for begin in range(0, n, _BLOCK))
    parts = pack_ragged(words)
    return len(parts[0].positions), iter([parts])


def _fill(
    embeddings: EmbeddingsLike,
    encoded: list[tuple[RaggedBatch, Array]],
    vectors: np.ndarray,
    found: np.ndarray,
    unnormalize: bool,
) -> list[RaggedBatch]:
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
            unknown.append(RaggedBatch(part.positions[left], some))
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
        storage.read(np.maximum(ids, 0), vectors)
        return vectors
    rows = np.full(padded_size(len(ids), 0, coarse=True), -1, np.int32)
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
