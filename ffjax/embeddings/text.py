"""Text to vectors: one for each line of a buffer of UTF-8.

Text on the host goes through in batches of complete lines. Compiled code splits a batch into words
and looks them up; the vectors of its different words are read or made once, into a small table; and
compiled code again sums the rows of that table line by line.
"""

from functools import partial
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.arrays import AnyArray, is_traced, padded_size
from ffjax._internal.cpus import map_blocks
from ffjax._internal.file_arguments import wrong_value
from ffjax._internal.warn import warn_user
from ffjax.embeddings.batch_lookup import find_words
from ffjax.embeddings.pooling_rule import PoolingRule, unique_words
from ffjax.functional import text as device_text
from ffjax.functional.search import EmbeddingsLike
from ffjax.functional.tier import TEXT_BYTES, in_numpy
from ffjax.kernels.pool import pool_rows, pool_rows_numpy
from ffjax.kernels.tokenize import Tokens, gather_bytes, tokenize
from ffjax.kernels.tokenize_numpy import count_lines, line_bounds, tokenize_on_host
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import decode_word, encode_word
from ffjax.strings.string_table import Strings
from ffjax.strings.text import simplify, text_bytes
from ffjax.vocab import Vocab

# Bytes of text that one call splits and looks up, and those whose words share a table.
_BLOCK_BYTES, _BATCH_BYTES = 3 << 17, 1 << 24
# The sizes of the programs: bytes and words of a block, and lines that are pooled at a time.
_TEXT_SIZE, _TEXT_WORDS, _POOL_LINES = 1 << 19, 1 << 17, 1 << 13
# Longer words are few, and looked up apart.
_WIDTH = 16
_FLAGS = ("unnormalize", "lowercase", "strip_punctuation")
# How much of a text is looked at to say why its words are unknown.
_SAMPLE_BYTES, _SAMPLE_WORDS = 1 << 16, 200


@runtime_checkable
class EmbedsLines(Protocol):
    """What divides text into tokens itself: a `StaticModel`."""

    def embed_lines(self, text: Any) -> tuple[Any, Any]:
        """The vectors of the lines of a text, and how many tokens counted in each."""
        ...


def embed_text(
    embeddings: EmbeddingsLike | EmbedsLines,
    text: Any,
    *,
    pooling: str = "mean",
    weights: Any = None,
    unnormalize: bool = False,
    lowercase: bool = False,
    strip_punctuation: bool = False,
    n_words: int | None = None,
    n_lines: int | None = None,
) -> tuple[Any, Any]:
    r"""One vector for each line of a text, or for each text of a list.

    Words are separated by spaces, tabs, `\n`, `\r`, `\v`, `\f` and NULs, as when fastText trains;
    lines end with `\n`. A word counts if it has a vector, its own or through its n-grams. A line
    without such words gets zeros; if those are most of the lines, a warning says why.

    `pooling="fasttext"` gives what `fasttext.get_sentence_vector` does (which does not divide words
    at NULs, except for supervised models): the mean of the words' vectors at unit length. For a
    supervised model, only outside of compiled code, it is the mean of all rows that the line's
    words have, and of `</s>`. Such a line ends at the word `</s>` too, and labels are not words of
    it: those of the model, and unknown words that begin with `__label__`.

    For a `StaticModel` the words are the model's tokens, and only `text` may be given.

    Args:
        embeddings: the embeddings, or a static model.
        text: `bytes`, a `str` or uint8 `[n]`, with a vector for each line; or several texts, with a
            vector for each, whatever line ends it has: a list of `str` or `bytes`, NumPy or Arrow
            strings. Inside `jit` a uint8 array, with `n_words` and `n_lines`; words of more than
            64 bytes are not found there.
        pooling: `"mean"`, `"sum"`, `"max"` or `"fasttext"`.
        weights: a factor for each known word, `[n_vocab]`, or `[n_vocab + 1]` with a last one for
            unknown words, which is 1 otherwise. Inverse frequency is such a factor; "Text to
            vectors" in the documentation computes one. The mean is the sum of weighted vectors over
            the sum of the weights' absolute values. Not for `"max"` and `"fasttext"`.
        unnormalize: as in `lookup`: whether to pool vectors as they were before they were scaled to
            unit length.
        lowercase: whether to look words up in lower case. Outside of compiled code.
        strip_punctuation: whether to leave out the punctuation (Unicode's P) at both ends of words.
            Outside of compiled code.
        n_words: in compiled code, the maximum number of words; the rest of the text is left out.
        n_lines: in compiled code, how many lines to answer.

    Returns:
        `(vectors, counts)`: float32 `[n_lines, dims]` and how many words counted, int32
        `[n_lines]`. NumPy arrays for text on the host, else `jax.Array`s.

    Raises:
        TypeError: if `text` or `embeddings` is something else, or the weights are not numbers.
        ValueError: for an unknown pooling, weights that do not fit, traced text without sizes or
            with changes to the text, or `"fasttext"` for a supervised model inside `jit` or with
            n-grams of words.

    Examples:
        >>> import ffjax
        >>> vectors, counts = ffjax.embed_text(ffjax.demo(), b"berlin and paris\n\n12345\n")
        >>> vectors.shape, counts.tolist()
        ((3, 100), [3, 0, 0])
        >>> texts = ["Tea, please!", "two\nlines"]
        >>> options = {"lowercase": True, "strip_punctuation": True}
        >>> ffjax.embed_text(ffjax.demo(), texts, **options)[1].tolist()
        [2, 2]
    """
    options: Any = {"pooling": pooling, "weights": weights, "unnormalize": unnormalize}
    changes = {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    if isinstance(embeddings, EmbedsLines):
        sizes = {"n_words": n_words, "n_lines": n_lines}
        for name in changed_options(options | changes | sizes):
            hint = "Leave it out."
            if name in sizes:
                hint = "Use `model.encode`, or inside `jit` `model.embed_ids`."
            raise ValueError(
                f"`{name}`: expected no such option for a static model, whose tokenizer divides "
                f"the text. {hint}"
            )
        return embeddings.embed_lines(text)
    check_embeddings(embeddings)
    if pooling == "fasttext" and weights is not None:
        expected = 'None for pooling "fasttext"'
        raise wrong_value("weights", expected, "weights", 'Use "mean" with them.')
    if isinstance(text, Tracer) or (isinstance(text, jax.Array) and n_words is not None):
        if lowercase or strip_punctuation:
            hint = "Change the text before it becomes an array."
            raise wrong_value(tuple(changes), "False in compiled code", "True", hint)
        return device_text.embed_text(embeddings, text, n_words, n_lines, **options)
    if is_traced((embeddings.storage, embeddings.vocab, weights)):
        raise TypeError(
            "`text`: expected a uint8 array with `n_words` and `n_lines` inside `jit`, got "
            f"{type(text).__name__}. `jnp.frombuffer(text, jnp.uint8)` makes one of bytes."
        )
    if n_words is not None or n_lines is not None:
        expected = "both for text in an array of JAX, and neither for text on the host"
        raise wrong_value(("n_words", "n_lines"), expected, "one or both for host text")
    rule = PoolingRule.of(embeddings, **options)
    text = text_bytes(text)
    batches = [text[start:end] for start, end in pairwise(line_bounds(text, _BATCH_BYTES))]
    ends = np.cumsum([0, *map(count_lines, batches)]).tolist()
    vectors = np.empty((ends[-1], embeddings.storage.shape[1]), np.float32)
    counts = np.empty(ends[-1], np.int32)
    for batch, (start, end) in zip(batches, pairwise(ends), strict=True):
        out = vectors[start:end], counts[start:end]
        embed_batch(embeddings, simplify(batch, **changes), rule, out)
    _warn_of_zeros(embeddings, text, counts)
    return vectors, counts


def changed_options(options: dict[str, Any]) -> list[str]:
    """The names of arguments of `embed_text` that are not as by default."""
    return [name for name, value in options.items() if not _is_default(name, value)]


def _is_default(name: str, value: Any) -> bool:
    if name == "pooling":
        return value == "mean"
    return not value if name in _FLAGS else value is None


def embed_batch(
    emb: EmbeddingsLike, text: np.ndarray, rule: PoolingRule, out: tuple[np.ndarray, np.ndarray]
) -> None:
    """Writes the vectors and counts of the lines of a text whose words share a table."""
    vectors, counts = out
    bounds = line_bounds(text, _BLOCK_BYTES)
    texts = [text[start:end] for start, end in pairwise(bounds)]
    by_numpy = in_numpy(text.size, TEXT_BYTES, emb.vocab)
    look_up = _look_up_in_numpy if by_numpy else _look_up
    # Each step of a call is too small for several cores, so that each block gets its own thread.
    blocks = map_blocks(partial(look_up, emb.vocab), texts)
    first_word = np.cumsum([0, *(len(ids) for ids, _ in blocks)])
    first_line = np.cumsum([0, *(tokens.n_lines for _, tokens in blocks)], dtype=np.int32)
    columns = [
        (ids, tokens.starts + np.int32(start), tokens.lengths, tokens.lines + line)
        for (ids, tokens), start, line in zip(blocks, bounds, first_line, strict=False)
    ]
    ids, starts, lengths, lines = map(np.concatenate, zip(*columns, strict=True))
    words = ByteViews(text, starts, lengths)
    table, ids, weights = unique_words(emb, rule, words, ids, lines)
    counts[...] = np.bincount(lines[ids >= 0], minlength=len(counts))
    denominators = rule.denominators(counts, lines, ids, weights)
    table = table if by_numpy else jax.device_put(table)
    pool = pool_rows_numpy if by_numpy else _pool

    def pool_block(i: int) -> None:
        block_ids, tokens = ids[first_word[i] : first_word[i + 1]], blocks[i][1]
        totals = pool(table, block_ids, tokens.lines, tokens.n_lines, rule.pooling == "max")
        span = slice(first_line[i], first_line[i + 1])
        rule.divide(totals, denominators[span], vectors[span])

    map_blocks(pool_block, range(len(blocks)))


def _look_up_in_numpy(vocab: Vocab, text: np.ndarray) -> tuple[np.ndarray, Tokens]:
    """As `_look_up`."""
    tokens = tokenize_on_host(text)
    return find_words(vocab, ByteViews(text, tokens.starts, tokens.lengths)), tokens


def _look_up(vocab: Vocab, text: np.ndarray) -> tuple[np.ndarray, Tokens]:
    """The words of a text and their numbers, -1 for unknown words, on the host."""
    data = np.zeros(padded_size(text.size + _WIDTH, _TEXT_SIZE), np.uint8)
    data[: text.size] = text
    # There are at most as many words as bytes that may divide them, and one.
    size = padded_size(int(np.count_nonzero(text <= 32)) + 1, _TEXT_WORDS)
    words, tokens = _tokenize_and_find(vocab, data, np.int32(text.size), size)
    n, n_lines = int(tokens.n_words), int(tokens.n_lines)
    ids, starts, lengths, lines = (np.asarray(column)[:n] for column in (words, *tokens[:3]))
    long = np.flatnonzero(lengths > _WIDTH)
    if long.size:
        ids = ids.copy()
        ids[long] = find_words(vocab, ByteViews(text, starts[long], lengths[long]))
    return ids, Tokens(starts, lengths, lines, n, n_lines)


@partial(jax.jit, static_argnames="size")
def _tokenize_and_find(vocab: Vocab, text: Array, length: Array, size: int) -> tuple[Array, Tokens]:
    tokens = tokenize(text, size, length)
    strings = Strings(gather_bytes(text, tokens.starts, _WIDTH), tokens.lengths)
    return vocab.find_words(strings), tokens


def _pool(
    table: AnyArray, ids: np.ndarray, lines: np.ndarray, n_lines: int, largest: bool
) -> np.ndarray:
    """Sums or largest entries of the rows of each line, by one program for some lines at a time."""
    totals = np.empty((n_lines, table.shape[1]), np.float32)
    for first in range(0, n_lines, _POOL_LINES):
        words = slice(*np.searchsorted(lines, (first, first + _POOL_LINES)))
        n = len(ids[words])
        fill = (0, padded_size(n, _TEXT_WORDS) - n)
        block_ids = np.pad(ids[words], fill, constant_values=-1)
        block_lines = np.pad(lines[words] - first, fill, constant_values=_POOL_LINES)
        block = totals[first : first + _POOL_LINES]
        pooled = _pool_rows(table, block_ids, block_lines, _POOL_LINES, largest)
        block[...] = np.asarray(pooled)[: len(block)]
    return totals


_pool_rows = jax.jit(pool_rows, static_argnames=("n_lines", "largest"))


def _warn_of_zeros(emb: EmbeddingsLike, text: np.ndarray, counts: np.ndarray) -> None:
    """Warns, with the reason, if most lines that have words have none with a vector."""
    if 2 * np.count_nonzero(counts) >= len(counts):
        return
    lines = decode_word(text[:_SAMPLE_BYTES].tobytes()).split("\n")
    pairs = [(line, n) for line, n in zip(lines, counts.tolist(), strict=False) if line.split()]
    unknown = [line for line, n in pairs if n == 0]
    if 2 * len(unknown) > len(pairs):
        reason = _reason(emb, "\n".join(unknown).split()[:_SAMPLE_WORDS])
        message = "most lines have no word with a vector, so their vectors are zeros"
        warn_user(f"{message}. {reason}")


def _reason(emb: EmbeddingsLike, words: list[str]) -> str:
    """Why words are unknown, and what to do."""
    text = np.frombuffer(encode_word("\n".join(words)), np.uint8)
    for names in (["lowercase"], ["strip_punctuation"], ["lowercase", "strip_punctuation"]):
        changes = {name: name in names for name in ("lowercase", "strip_punctuation")}
        simple = decode_word(simplify(text, **changes).tobytes()).split("\n")
        if 2 * sum(word in emb.vocab for word in simple) > len(words):
            options = " and ".join(f"`{name}=True`" for name in names)
            return f"The vocabulary has their words in another form: pass {options}."
    return (
        "Their words are not in the vocabulary and have no n-grams with rows: the text may be in "
        "another language or encoding."
    )
