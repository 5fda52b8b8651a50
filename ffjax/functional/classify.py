"""fastText's classifiers in compiled code: from bytes to labels in one program."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, export, lax
from jaxtyping import Float32, Int32

from ffjax._internal.arguments import array_of, real_number, whole_number
from ffjax._internal.arrays import AnyArray, is_traced, padded_size
from ffjax._internal.file_arguments import wrong_type
from ffjax._internal.jax_compat import fori_loop
from ffjax.functional.lookup import checked_strings
from ffjax.kernels.first_equal import first_equal
from ffjax.kernels.fnv import OFFSET_32, fasttext_extend, fasttext_hash
from ffjax.kernels.label_scores import label_scores
from ffjax.kernels.ngram_hashes import Words
from ffjax.kernels.perfect_hash import find
from ffjax.kernels.tokenize import (
    LABEL_PREFIX,
    LINE_END,
    LINE_FEED,
    Tokens,
    gather_bytes,
    is_space,
    tokenize,
)
from ffjax.kernels.tokenize_numpy import count_lines
from ffjax.kernels.word_ngrams import device_word_ngrams
from ffjax.storage.explicit import takes_explicit
from ffjax.storage.ngram_sums import Subwords, ngram_totals
from ffjax.strings.byte_views import is_arrow
from ffjax.strings.string_table import Strings
from ffjax.strings.text import null_mask, text_bytes

# Words of up to this many bytes share a loop; longer ones have another, up to the most.
_NARROW, _WIDE = 64, 1024


class Labels(NamedTuple):
    """The best labels of some texts.

    Attributes:
        scores: their scores, largest first, zeros after the last, float32 `[n, k]`.
        ids: their numbers, -1 after the last, int32 `[n, k]`.
        counts: how many there are, int32 `[n]`.
    """

    scores: Float32[AnyArray, "n k"]
    ids: Int32[AnyArray, "n k"]
    counts: Int32[AnyArray, " n"]


export.register_namedtuple_serialization(Labels, serialized_name="ffjax.Labels")


def classify(
    classifier: Any,
    texts: Any,
    *,
    k: int = 1,
    threshold: Any = 0.0,
    restrict: Any = None,
    n_words: int | None = None,
    n_lines: int | None = None,
) -> Labels:
    r"""The best labels of texts in compiled code, from their bytes, by fastText's rules.

    Pure: works under `jit` (`k`, `n_words` and `n_lines` static), `shard_map` over the rows of
    `Strings`, and `grad` with respect to the rows and the output matrix. The answers are those of
    `Classifier.predict`; scores may differ in the seventh digit, and in the sixth for words of
    hundreds of bytes, whose n-grams are summed in float32. Equal scores come with the larger
    number of a label first. With one-vs-all and negative sampling, whose scores come from a table,
    gradients are those of the logistic function.

    Words of more than 1024 bytes have n-grams only of these first bytes, so that their scores
    differ from those of `predict`, which takes all: a paragraph of Chinese or Thai without spaces
    is one word. Words and labels of more than 256 bytes are unknown.

    Args:
        classifier: the classifier, in memory.
        texts: packed texts, see `pack`, or Arrow strings, in which line feeds are spaces; or one
            text of several lines, as bytes or uint8 `[n]`.
        k: the maximum number of labels; -1 for all.
        threshold: the minimum probability of a label; may be traced.
        restrict: labels to choose from, or their numbers; any of them may be an answer, as in
            `Classifier.predict`. Inside `jit`, numbers, int32 `[m]`; those that are repeated or
            belong to no label are never answers.
        n_words: the maximum number of words in all texts; further words are ignored. By default as
            many as there are, or inside `jit` as many as the bytes could hold.
        n_lines: inside `jit`, how many lines of a text to answer; missing lines count as empty.

    Returns:
        The labels: `scores` and `ids` `[n, k]`, and `counts` `[n]`; for `Strings`, any batch shape
        in place of `n`. Rows of `Strings` without a text, and Arrow nulls, have no labels.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if `k` is 0, the classifier is mapped, a label or its number is unknown, or
            `n_lines` is missing inside `jit`.
    """
    if not hasattr(classifier, "label_table"):
        got = type(classifier).__name__
        raise TypeError(f"`classifier`: expected a Classifier, got {got}.")
    if classifier.embeddings.storage.is_mapped:
        raise ValueError(
            "`classifier`: expected one in memory, got a mapped one. Open it without `mmap`, or "
            "use `classifier.predict`."
        )
    n_labels = classifier.output.shape[0]
    columns = None if restrict is None else _columns(classifier, restrict)
    n_choices = n_labels if columns is None else len(columns)
    k = answer_count(k, n_choices)
    n_words = None if n_words is None else whole_number("n_words", n_words)
    n_lines = None if n_lines is None else whole_number("n_lines", n_lines)
    threshold = threshold if is_traced(threshold) else real_number("threshold", threshold)
    threshold = jnp.float32(threshold)
    if columns is not None:
        # The best of these labels is an answer, however improbable it is.
        threshold = jnp.where(threshold > 0, threshold, jnp.float32(-1))
    options = {"k": k, "columns": columns, "threshold": threshold}
    if isinstance(texts, Strings):
        texts = checked_strings("texts", texts)
        shape, texts = texts.lengths.shape, texts.flat()
        n, width = texts.bytes.shape
        text = _lines_of(texts.bytes, texts.lengths)
        n_words = n * (-(-width // 2)) if n_words is None else n_words
        labels = _classify(classifier, text, n_words=n_words, n_lines=n, **options)
        labels = _without(labels, jnp.asarray(texts.lengths) < 0)
        return Labels(*(x.reshape(*shape, *x.shape[1:]) for x in labels))
    nulls = null_mask(texts) if is_arrow(texts) else None
    if isinstance(texts, bytes) or is_arrow(texts):
        texts = text_bytes(texts, "texts")
    expected = "Strings, bytes, or one dimension of uint8"
    if isinstance(texts, str | int | float | list | tuple):
        raise wrong_type("texts", expected, texts, "Pack them first, as in `ffjax.pack([text])`.")
    array_of("texts", texts, jnp.uint8, expected, (None,))
    if n_lines is not None:
        n_words = (len(texts) + 1) // 2 if n_words is None else n_words
        return _classify(classifier, texts, n_words=n_words, n_lines=n_lines, **options)
    if is_traced(texts):
        raise ValueError("`n_lines`: expected a number for text inside `jit`, got None.")
    # A few sizes, so that texts of similar sizes share a program.
    text = np.zeros(padded_size(len(texts), 64), np.uint8)
    text[: len(texts)] = texts
    in_word = ~is_space(text)
    if n_words is None:
        n_words = padded_size(int(np.count_nonzero(in_word[1:] & ~in_word[:-1])) + 1)
    n = count_lines(np.asarray(texts))
    sizes = {"n_words": n_words, "n_lines": padded_size(n)}
    labels = Labels(*(x[:n] for x in _classify(classifier, text, **sizes, **options)))
    return labels if nulls is None else _without(labels, jnp.asarray(nulls))


def answer_count(k: Any, n_labels: int) -> int:
    """How many of some labels to answer at most."""
    k = whole_number("k", k, None)
    if k == 0 or k < -1:
        raise ValueError(f"`k`: expected 1 or higher, or -1 for all labels, got {k}.")
    return n_labels if k < 0 else min(k, n_labels)


def hidden_vectors(classifier: Any, text: Array, n_words: int, n_lines: int) -> tuple[Array, Array]:
    """The mean of the rows of each line, `[n_lines, dims]`, and how many; compiled code."""
    tokens = tokenize(text, n_words)
    storage, vocab = classifier.embeddings.storage, classifier.embeddings.vocab
    width = classifier.width
    padded = jnp.pad(text, (0, width))
    data = gather_bytes(padded, tokens.starts, width)
    # Words are looked up, and their n-grams added up, where they first occur.
    first = first_equal(data, tokens.lengths)
    is_first = first == lax.iota(jnp.int32, n_words)
    strings = Strings(data, jnp.where(is_first & (tokens.lengths <= width), tokens.lengths, -1))
    ids = vocab.find(strings)[first]
    is_word = _words_of_lines(classifier, tokens, strings, first, ids, n_lines)
    lines = jnp.where(is_word, tokens.lines, n_lines)

    end = jnp.frombuffer(LINE_END.ljust(16), jnp.uint8)[None]
    end_id = vocab.find(Strings(end, jnp.full(1, len(LINE_END), jnp.int32)))
    end_row, end_count = _word_rows(storage, end_id, jnp.ones(1, bool))
    rows, counts = _word_rows(storage, ids, is_word)
    if storage.indexer is not None:
        for width, least in ((_NARROW, 0), (_WIDE, _NARROW + 1)):
            mask = is_first & (tokens.lengths >= least)
            mask &= (tokens.lengths <= width) | (width == _WIDE)
            words = Words(padded, tokens.starts, jnp.where(mask, tokens.lengths, -1))
            sums, n = ngram_totals(storage.ngrams, storage.indexer, words, Subwords(width, 0))
            rows, counts = rows + sums[first], counts + n[first]

    def add(values: Array) -> Array:
        return jax.ops.segment_sum(values, lines, n_lines, indices_are_sorted=False)

    totals, n_rows = add(rows) + end_row, add(counts) + end_count
    if classifier.word_ngrams > 1 and len(classifier.ngram_rows or ()):
        words = Words(padded, tokens.starts, tokens.lengths)
        sums, n = _word_ngram_sums(classifier, words, lines, n_lines)
        totals, n_rows = totals + sums, n_rows + n
    return totals / jnp.maximum(n_rows, 1)[:, None].astype(jnp.float32), n_rows


def _columns(classifier: Any, restrict: Any) -> Array:
    """The numbers of labels to choose from, ascending."""
    if not isinstance(restrict, np.ndarray | jax.Array):
        return jnp.array(classifier.label_numbers(restrict), jnp.int32)
    numbers = array_of("restrict", restrict, jnp.integer, "numbers of labels", (None,))
    if not numbers.size:
        raise ValueError("`restrict`: expected at least one label, got none.")
    if is_traced(numbers):
        return jnp.sort(numbers.astype(jnp.int32))
    numbers, n_labels = np.unique(numbers), classifier.output.shape[0]
    wrong = numbers[(numbers < 0) | (numbers >= n_labels)]
    if wrong.size:
        raise ValueError(
            f"`restrict`: expected numbers of labels, 0 to {n_labels - 1}, got {wrong[0]}."
        )
    return jnp.asarray(numbers, jnp.int32)


def _scores_of(scores: Array, columns: Array) -> Array:
    """The scores of ascending columns; 0 for repeated ones and those of no label."""
    previous = jnp.append(-1, columns[:-1])
    is_label = (columns > jnp.maximum(previous, -1)) & (columns < len(scores))
    return jnp.where(is_label[:, None], scores.at[columns].get(mode="clip"), jnp.float32(0))


def _lines_of(data: Any, lengths: Any) -> Array:
    """Packed texts as the lines of one text."""
    data, lengths = jnp.asarray(data), jnp.asarray(lengths)
    in_text = jnp.arange(data.shape[1], dtype=jnp.int32)[None] < lengths[:, None]
    data = jnp.where(in_text & (data != LINE_FEED), data, np.uint8(ord(" ")))
    return jnp.pad(data, ((0, 0), (0, 1)), constant_values=LINE_FEED).reshape(-1)


def _without(labels: Labels, mask: Array) -> Labels:
    zero = jnp.zeros((), jnp.float32)
    scores = jnp.where(mask[:, None], zero, labels.scores)
    ids = jnp.where(mask[:, None], jnp.int32(-1), labels.ids)
    return Labels(scores, ids, jnp.where(mask, jnp.int32(0), labels.counts))


@partial(jax.jit, static_argnames=("k", "n_words", "n_lines"))
@takes_explicit
def _classify(
    classifier: Any,
    text: Array,
    threshold: Array,
    columns: Array | None,
    *,
    k: int,
    n_words: int,
    n_lines: int,
) -> Labels:
    hidden, n_rows = hidden_vectors(classifier, jnp.asarray(text), n_words, n_lines)
    output = classifier.output.gather(jnp.arange(classifier.output.shape[0], dtype=jnp.int32))
    logits = jnp.matmul(output, hidden.T, precision=lax.Precision.HIGHEST)
    scores = label_scores(classifier.loss, logits, classifier.tree, threshold)
    scores = scores if columns is None else _scores_of(scores, columns)
    scores = jnp.where(n_rows > 0, scores, jnp.float32(0))
    # Of equal scores `top_k` takes the first.
    best, positions = lax.top_k(scores[::-1].T, k)
    ids = len(scores) - 1 - positions
    ids = ids if columns is None else columns[ids]
    ids = jnp.where(best > 0, ids, jnp.int32(-1))
    return Labels(best, ids, (best > 0).sum(1, dtype=jnp.int32))


def _words_of_lines(
    classifier: Any, tokens: Tokens, strings: Strings, first: Array, ids: Array, n_lines: int
) -> Array:
    """Which tokens are words: those before a line's end that are not labels."""
    labels, data = classifier.label_table, strings.bytes

    def begins_with(prefix: bytes) -> Array:
        expected = np.frombuffer(prefix, np.uint8)
        equal = (data[:, : len(prefix)] == expected[None]).all(1)
        return equal & (tokens.lengths >= len(prefix))

    label_ids = find(classifier.label_index, labels.data, labels.offsets, data, strings.lengths)
    is_label = (label_ids[first] >= 0) | begins_with(LABEL_PREFIX)
    is_end = begins_with(LINE_END) & (tokens.lengths == len(LINE_END))
    number = jnp.arange(len(data), dtype=jnp.int32)
    ends = jnp.where(is_end, number, jnp.int32(len(data)))
    end = jax.ops.segment_min(ends, tokens.lines, n_lines + 1, indices_are_sorted=True)
    before_end = number < jnp.take(end, tokens.lines, mode="clip")
    return (tokens.lengths >= 0) & before_end & ((ids >= 0) | ~is_label)


def _word_rows(storage: Any, ids: Array, is_word: Array) -> tuple[Array, Array]:
    """The rows of words in the vocabulary, zeros for others, and how many each has."""
    exist = is_word & (ids >= 0)
    if not len(storage.word_rows):
        return jnp.zeros((len(ids), storage.shape[1]), jnp.float32), jnp.zeros(len(ids), jnp.int32)
    rows = storage.word_rows.gather(jnp.maximum(ids, 0)).astype(jnp.float32)
    return jnp.where(exist[:, None], rows, jnp.float32(0)), exist.astype(jnp.int32)


def _word_ngram_sums(classifier: Any, words: Words, lines: Array, n_lines: int) -> Any:
    """The sums of the rows of n-grams of words by line, and how many."""
    # Words of a line, one after the other, then its end.
    is_word = lines < n_lines
    n = len(lines) + n_lines
    rank = jnp.cumsum(is_word.astype(jnp.int32)) - 1
    per_line = jnp.zeros(n_lines, jnp.int32).at[lines].add(1, mode="drop")
    end_places = jnp.cumsum(per_line, dtype=jnp.int32) + jnp.arange(n_lines, dtype=jnp.int32)
    targets = jnp.where(is_word, rank + lines, n)
    hashes = jnp.zeros(n, jnp.uint32).at[targets].set(_hashes(words, is_word), mode="drop")
    all_lines = jnp.full(n, -1, jnp.int32).at[targets].set(lines, mode="drop")
    hashes = hashes.at[end_places].set(np.uint32(fasttext_hash(LINE_END)))
    all_lines = all_lines.at[end_places].set(jnp.arange(n_lines, dtype=jnp.int32))
    all_lines = jnp.where(all_lines < 0, n_lines, all_lines)

    ids = device_word_ngrams(hashes, all_lines, classifier.word_ngrams, classifier.n_buckets)
    if classifier.ngram_buckets is not None:
        ids = classifier.ngram_buckets.device_rows(ids)
    ids = jnp.where((all_lines < n_lines)[:, None], ids, -1)
    sums = classifier.ngram_rows.gather_sum(ids)
    counts = (ids >= 0).sum(1, dtype=jnp.int32)
    return tuple(jax.ops.segment_sum(values, all_lines, n_lines) for values in (sums, counts))


def _hashes(words: Words, mask: Array) -> Array:
    """FastText's hash of each word, uint32 `[n]`."""
    longest = jnp.max(jnp.where(mask, words.lengths, 0), initial=0)
    begins = jnp.asarray(words.begins)

    def step(i: Array, state: Array) -> Array:
        byte = words.data.at[begins + i].get(mode="clip").astype(jnp.uint32)
        return jnp.where(i < words.lengths, fasttext_extend(state, byte), state)

    start = jnp.full(words.lengths.shape, np.uint32(OFFSET_32))
    return fori_loop(0, longest, step, start)
