"""`batches`: lines and labels as minibatches of one shape."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int32

from ffjax._internal.arguments import key_of, whole_number
from ffjax._internal.arrays import padded_size
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.tokenize_numpy import tokenize_on_host
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.pack import pack_views
from ffjax.strings.string_table import Strings
from ffjax.strings.text import simplify, text_bytes

_MIN_WIDTH, _MAX_WIDTH = 16, 64


class Batch(NamedTuple):
    """Some lines and their labels: a pytree of NumPy arrays, an argument of compiled functions.

    Attributes:
        strings: the words of all lines, one line after the other, then fillers.
        lines: the line in the batch that each word belongs to, int32 `[n_words]`; `size` for
            fillers. That is what `ffjax.pool` takes.
        labels: the label of each line, `[size, ...]`, zeros where there is no line; `None` if there
            are no labels.
        mask: which lines of the batch exist, bool `[size]`: all but those that fill the last batch.
    """

    strings: Strings
    lines: Int32[np.ndarray, " n_words"]
    labels: Any
    mask: Bool[np.ndarray, " size"]


def batches(
    lines: Any,
    labels: Any = None,
    *,
    size: int,
    key: jax.Array | None = None,
    drop_last: bool = False,
    n_words: int | None = None,
    lowercase: bool = False,
    strip_punctuation: bool = False,
) -> Iterator[Batch]:
    """Divides lines and their labels into minibatches, which all have one shape.

    So a step of training compiles once. Words are divided, and changed if asked, as `embed_text`
    does; words of more than 64 bytes become fillers. The order depends only on the key: the same
    key gives the same batches. For another order in each epoch fold its number into the key.

    Args:
        lines: text in any form that `embed_text` takes.
        labels: numbers for each line, `[n_lines, ...]`.
        size: lines a batch.
        key: a key for random numbers, to shuffle the lines; they stay in order without one.
        drop_last: whether to leave out a last batch that is not full. It is padded otherwise.
        n_words: words a batch, for one shape in several calls, with words as wide as they get; by
            default as many as the largest batch has, rounded up to a few sizes.
        lowercase: as in `embed_text`.
        strip_punctuation: as in `embed_text`.

    Yields:
        Batches.

    Raises:
        TypeError: if an argument is of another type, such as labels that are not numbers.
        ValueError: if `size` is less than 1, there is not one label for each line, or a batch has
            more than `n_words` words.

    Examples:
        >>> import ffjax, jax
        >>> lines, labels = ["a cup of tea", "cake", "green tea"], [1, 0, 1]
        >>> for batch in ffjax.batches(lines, labels, size=2):
        ...     print(ffjax.unpack(batch.strings), batch.lines[:5], batch.labels, batch.mask)
        ['a', 'cup', 'of', 'tea', 'cake'] [0 0 0 0 1] [1 0] [ True  True]
        ['green', 'tea'] [0 0 2 2 2] [1 0] [ True False]
        >>> shuffled = ffjax.batches(lines, labels, size=2, key=jax.random.key(0))
        >>> [batch.labels.tolist() for batch in shuffled]
        [[1, 1], [0, 0]]
    """
    size = whole_number("size", size, 1)
    text = text_bytes(lines, "lines")
    text = simplify(text, lowercase=lowercase, strip_punctuation=strip_punctuation)
    tokens = tokenize_on_host(text)
    labels = None if labels is None else _checked_labels(labels, tokens.n_lines)
    order = np.arange(tokens.n_lines)
    if key is not None:
        seed = np.asarray(jax.random.key_data(key_of(key))).tolist()
        order = np.random.default_rng(seed).permutation(order)
    stop = len(order) - (len(order) % size if drop_last else 0)
    rows = [order[start : start + size] for start in range(0, stop, size)]
    counts = np.bincount(tokens.lines, minlength=tokens.n_lines)
    most = max((int(counts[ids].sum()) for ids in rows), default=0)
    width = _MAX_WIDTH  # the same in each call with `n_words`
    if n_words is None:
        n_words = padded_size(most)
        longest = int(tokens.lengths.max(initial=0))
        width = min(padded_size(longest, _MIN_WIDTH, coarse=True), _MAX_WIDTH)
    elif whole_number("n_words", n_words) < most:
        raise ValueError(
            f"`n_words`: expected at least {most}, the words of the largest batch, got {n_words}."
        )
    words_of_lines = Ragged.of(np.arange(tokens.n_words), counts)
    views = ByteViews(text, tokens.starts, tokens.lengths)

    def batch(ids: np.ndarray) -> Batch:
        words = words_of_lines.take(ids).values
        strings = pack_views(views.take(words), n_words, width, longest=width)
        numbers = np.full(n_words, size, np.int32)
        numbers[: len(words)] = np.repeat(np.arange(len(ids)), counts[ids])
        batch_labels = None
        if labels is not None:
            batch_labels = np.zeros((size, *labels.shape[1:]), labels.dtype)
            batch_labels[: len(ids)] = labels[ids]
        return Batch(strings, numbers, batch_labels, np.arange(size) < len(ids))

    # Were this a generator, its arguments would be checked only when the first batch is taken.
    return map(batch, rows)


def _checked_labels(labels: Any, n_lines: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biufV":  # bfloat16 is of the last kind
        raise TypeError(
            f"`labels`: expected numbers, got {labels.dtype}. Number them, as in "
            "`names, labels = np.unique(labels, return_inverse=True)`."
        )
    if labels.shape[:1] != (n_lines,):
        raise ValueError(
            f"`labels`: expected one for each of {n_lines} lines, got shape {labels.shape}."
        )
    return labels
