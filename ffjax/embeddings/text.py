"""Text to vectors: one for each line of a buffer of UTF-8.

Text on the host goes through in batches of whole lines. In compiled code a batch is split into words and the words are
found; then each different word's vector is read or made once, unknown words through their n-grams, into a small table;
and in compiled code again rows of that table are added up line by line.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ffjax._internal.arguments import array_of, check_embeddings, whole_number
from ffjax._internal.arrays import padded_size
from ffjax.embeddings.batch_lookup import find_rows
from ffjax.embeddings.unique_words import Pooling, check_weights, is_classifier, table_of
from ffjax.functional.lookup import EmbeddingsLike, embed
from ffjax.kernels.pool import check_pooling, pool, pool_rows
from ffjax.kernels.tokenize import LINE_FEED, split, windows
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.pack import ragged_batches
from ffjax.strings.strings import Strings
from ffjax.vocab import Vocab

# Bytes of text that are split and found by one call, and those whose words share a table.
_BLOCK, _BATCH = 1 << 19, 1 << 24
# Words in compiled code: longer ones are few, and found by themselves.
_WIDTH, _TRACED_WIDTH = 16, 64
_THREADS = max(2, os.cpu_count() or 1)


def embed_text(
    embeddings: EmbeddingsLike,
    text: Any,
    *,
    pooling: str = "mean",
    weights: Any = None,
    unnormalize: bool = False,
    n_words: int | None = None,
    n_lines: int | None = None,
) -> tuple[Any, Any]:
    r"""One vector for each line of a text, from its bytes.

    Words are what lies between spaces, tabs, `\n`, `\r`, `\v`, `\f` and NULs, as where fastText trains; lines end with
    `\n`. A word counts if it has a vector, known or through its n-grams; a line without such words gets zeros.

    `pooling="fasttext"` gives what `fasttext.get_sentence_vector` does (which does not divide words at NULs, except for
    supervised models): the mean of the words' vectors at unit length, and for a supervised model, outside of compiled
    code alone, the mean of all rows behind the line's words, and `</s>`. Such a line ends at the word `</s>` too, and
    labels are no words of it: those of the model, and unknown words that begin with `__label__`.

    Args:
        embeddings: the embeddings.
        text: `bytes`, or uint8 `[n]`. Inside of `jit` a uint8 array: give `n_words` and `n_lines` then. Words of more
            than 64 bytes are not found there; elsewhere words of any length are.
        pooling: `"mean"`, `"sum"`, `"max"` or `"fasttext"`.
        weights: a factor for each known word, `[n_vocab]`, or `[n_vocab + 1]` where the last is for unknown words, for
            which it is 1 otherwise. Inverse frequency is such a factor; "Text to vectors" in the documentation makes
            one. The mean is the sum of weighted vectors over the sum of the weights' absolute values. Not for `"max"`
            and `"fasttext"`.
        unnormalize: as in `lookup`: whether to pool vectors as they were before they were scaled to unit length.
        n_words: in compiled code, room for so many words; those behind are left out.
        n_lines: in compiled code, how many lines to answer.

    Returns:
        `(vectors, counts)`: float32 `[n_lines, dims]` and how many words counted, int32 `[n_lines]`. NumPy arrays for
        text on the host, else `jax.Array`s.

    Raises:
        TypeError: `text` is neither bytes nor uint8, such as a `str`; `embeddings` is something else; or the weights
            are no numbers.
        ValueError: an unknown pooling, weights that do not fit, traced text without sizes, or `"fasttext"` for a
            supervised model whose n-grams are of words too, or inside of `jit`.

    Examples:
        >>> import ffjax
        >>> vectors, counts = ffjax.embed_text(ffjax.demo(), b"berlin and paris\n\n12345\n")
        >>> vectors.shape, counts.tolist()
        ((3, 100), [3, 0, 0])
    """
    check_embeddings(embeddings)
    if isinstance(text, Tracer) or (isinstance(text, jax.Array) and n_words is not None):
        return _traced(embeddings, text, pooling, weights, unnormalize, n_words, n_lines)
    rule = Pooling.checked(embeddings, pooling, weights, unnormalize)
    batches = list(_batches(_bytes(text)))
    lines = [_lines_of(batch) for batch in batches]
    vectors = np.empty((sum(lines), embeddings.storage.shape[1]), np.float32)
    counts = np.empty(len(vectors), np.int32)
    begin = 0
    for batch, number in zip(batches, lines, strict=True):
        end = begin + number
        _embed_batch(embeddings, batch, rule, vectors[begin:end], counts[begin:end])
        begin = end
    return vectors, counts


def _bytes(text: Any) -> np.ndarray:
    if isinstance(text, bytes | bytearray | memoryview):
        return np.frombuffer(text, np.uint8)
    if not isinstance(text, np.ndarray | jax.Array) or text.ndim != 1 or text.dtype != np.uint8:
        got = f"{text.ndim} dimensions of {text.dtype}" if hasattr(text, "ndim") else type(text).__name__
        raise TypeError(f"`text`: expected bytes or one dimension of uint8, got {got}. Encode a str: `s.encode()`.")
    return np.ascontiguousarray(text)


def _batches(text: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of whole lines, of `_BATCH` bytes or little more where lines are not longer."""
    begin = 0
    while begin < text.size:
        end = _line_end(text, min(begin + _BATCH, text.size))
        yield text[begin:end]
        begin = end


def _line_end(text: np.ndarray, at: int) -> int:
    """The end of the line in which byte `at - 1` lies."""
    step = 1 << 12
    while at < text.size and text[at - 1] != LINE_FEED:
        found = np.flatnonzero(text[at : at + step] == LINE_FEED)
        if found.size:
            return at + int(found[0]) + 1
        at, step = min(at + step, text.size), 4 * step
    return at


def _lines_of(text: np.ndarray) -> int:
    if not text.size:
        return 0
    return int(np.count_nonzero(text == LINE_FEED)) + int(text[-1] != LINE_FEED)


def _embed_batch(
    embeddings: EmbeddingsLike, text: np.ndarray, rule: Pooling, vectors: np.ndarray, counts: np.ndarray
) -> None:
    ends = [0]
    while ends[-1] < text.size:
        ends.append(_line_end(text, min(ends[-1] + _BLOCK, text.size)))
    with ThreadPoolExecutor(_THREADS) as pool:
        # Each step of a call is too small for several cores.
        found = pool.map(lambda begin, end: _found(embeddings.vocab, text[begin:end]), ends, ends[1:])
        pieces = list(zip(ends, found, strict=False))
    first = np.cumsum([0, *(number for _, (*_, number) in pieces)])
    ids, starts, lengths, lines = (
        np.concatenate([np.zeros(0, np.int32), *columns])
        for columns in (
            [piece[0] for _, piece in pieces],
            [piece[1] + at for at, piece in pieces],
            [piece[2] for _, piece in pieces],
            [piece[3] + np.int32(at) for at, (_, piece) in zip(first, pieces, strict=False)],
        )
    )
    table = table_of(embeddings, rule, ByteViews(text, starts, lengths), ids, lines)
    counted = table.ids >= 0
    counts[...] = np.bincount(lines[counted], minlength=len(counts))
    rows, share = jax.device_put(table.rows), rule.shares(counts, table, lines)

    def add(begin: int, line: int, piece: tuple[Any, ...]) -> None:
        # Piece by piece, so that a few shapes serve texts of all sizes.
        n, number = len(piece[0]), piece[4]
        slots = padded_size(n, 0, coarse=True)
        room = padded_size(number, 0, coarse=True)
        own_ids, own_lines = np.full(slots, -1, np.int32), np.full(slots, room, np.int32)
        own_ids[:n], own_lines[:n] = table.ids[begin : begin + n], piece[3]
        total = np.asarray(_pool_rows(rows, own_ids, own_lines, room, rule.pooling == "max"))[:number]
        rule.finish(total, share[line : line + number], vectors[line : line + number])

    begins = np.cumsum([0, *(len(piece[0]) for _, piece in pieces)]).tolist()
    with ThreadPoolExecutor(_THREADS) as pool:
        # One call runs on one core, since sums over lines go through them in order.
        list(pool.map(add, begins[:-1], first.tolist()[:-1], [piece for _, piece in pieces]))


def _found(vocab: Vocab, text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows, starts, lengths and lines of a text's words, and how many lines there are."""
    data = np.zeros(padded_size(text.size + _WIDTH, coarse=True), np.uint8)
    data[: text.size] = text
    # No more words than bytes that may divide them, and one.
    slots = padded_size(int(np.count_nonzero(text <= 32)) + 1, coarse=True)
    rows, starts, lengths, lines, n_words, n_lines = _split_and_find(vocab, data, np.int32(text.size), slots)
    n = int(n_words)
    found, starts, lengths = (np.asarray(column)[:n] for column in (rows, starts, lengths))
    if (long := np.flatnonzero(lengths > _WIDTH)).size:
        found = found.copy()
        for part in ragged_batches([ByteViews(text, starts[long], lengths[long])]):
            own = np.asarray(find_rows(vocab, part.strings))[: len(part.positions)]
            there = part.strings.lengths[: len(own)] >= 0
            found[long[part.positions[there]]] = own[there]
    return found, starts, lengths, np.asarray(lines)[:n], int(n_lines)


@partial(jax.jit, static_argnames="slots")
def _split_and_find(vocab: Vocab, text: Array, length: Array, slots: int) -> tuple[Array, ...]:
    words = split(text, slots, length)
    strings = Strings(windows(text, words.starts, _WIDTH), words.lengths)
    return vocab.find(strings), *words


_pool_rows = jax.jit(pool_rows, static_argnames=("n_lines", "largest"))


def _traced(
    embeddings: EmbeddingsLike,
    text: Array,
    pooling: str,
    weights: Any,
    unnormalize: bool,
    n_words: int | None,
    n_lines: int | None,
) -> tuple[Array, Array]:
    check_pooling(pooling, weights)
    if pooling == "fasttext" and weights is not None:
        raise ValueError('`weights`: expected None for pooling "fasttext", got weights. Use "mean" with them.')
    if pooling == "fasttext" and is_classifier(embeddings):
        raise ValueError(
            '`pooling`: expected another than "fasttext" for a supervised model in compiled code, got "fasttext". Call '
            "`embed_text` outside of `jit`, without `n_words`."
        )
    if n_words is None or n_lines is None:
        raise ValueError(
            "`n_words`, `n_lines`: expected both for text inside of `jit`, where shapes are fixed beforehand, got "
            f"{n_words} and {n_lines}."
        )
    array_of("text", text, jnp.uint8, "one dimension of uint8", (None,))
    n_words, n_lines = whole_number("n_words", n_words), whole_number("n_lines", n_lines)
    n_own = embeddings.vocab.n_word_rows
    if weights is not None:
        weights = array_of("weights", weights, jnp.floating, "a factor for each word, [n_vocab] or [n_vocab + 1]")
        check_weights(weights, n_own)
    words = split(text, n_words)
    data = windows(jnp.pad(text, (0, _TRACED_WIDTH)), words.starts, _TRACED_WIDTH)
    inside = jnp.arange(_TRACED_WIDTH, dtype=jnp.int32)[None] < words.lengths[:, None]
    lengths = jnp.where(words.lengths <= _TRACED_WIDTH, words.lengths, jnp.int32(-1))
    strings = Strings(jnp.where(inside, data, jnp.uint8(0)), lengths)
    vectors, found = embed(embeddings, strings, unnormalize=unnormalize)
    factors = None
    if weights is not None:
        own = embeddings.vocab.find(strings)
        weights = jnp.asarray(weights, jnp.float32)
        if weights.shape[0] == n_own:
            weights = jnp.append(weights, jnp.float32(1))
        factors = weights[own]  # -1, an unknown word, takes the last
    return pool(vectors, words.lines, n_lines, pooling=pooling, weights=factors, found=found)
