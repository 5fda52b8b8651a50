"""N-grams of words: stretches of `min_n` to `max_n` characters, by start, longest first."""

import operator
from typing import Any

import numpy as np


def ngrams(word: str, min_n: int = 3, max_n: int = 6, bracket: bool = True) -> list[str]:
    """The n-grams of a word, by start, longest first.

    Args:
        word: the word.
        min_n: the length of the shortest n-grams, in characters (code points).
        max_n: the length of the longest.
        bracket: whether to put `<` and `>` around the word first.

    Returns:
        The n-grams; none if the word is shorter than `min_n`, its brackets counted.

    Raises:
        TypeError: if `word` is not a `str`, or a length is not a whole number.
        ValueError: unless `1 <= min_n <= max_n`.

    Examples:
        >>> import ffjax
        >>> ffjax.ngrams("tea", 3, 4)
        ['<tea', '<te', 'tea>', 'tea', 'ea>']
    """
    check_word(word)
    min_n, max_n = check_range(min_n, max_n)
    if bracket:
        word = f"<{word}>"
    return [word[start:end] for start, end in bounds(len(word), min_n, max_n).tolist()]


def bounds(length: int, min_n: int, max_n: int) -> np.ndarray:
    """Where the n-grams of a word of `length` characters start and end, int64 `[n_ngrams, 2]`."""
    top = min(max_n, length)
    if top < min_n:
        return np.zeros((0, 2), np.int64)
    starts, sizes = np.arange(length - min_n + 1), np.arange(top, min_n - 1, -1)
    start, size = np.meshgrid(starts, sizes, indexing="ij")
    pairs = np.stack([start, start + size], -1).reshape(-1, 2)
    return pairs[pairs[:, 1] <= length]


def check_range(min_n: Any, max_n: Any) -> tuple[int, int]:
    """The n-gram range as two `int`; an error unless `1 <= min_n <= max_n < 2**32`."""
    least, most = whole_number("min_n", min_n), whole_number("max_n", max_n)
    if not 1 <= least <= most < 2**32:
        raise ValueError(
            "`min_n`, `max_n`: expected 1 <= min_n <= max_n < 2**32, "
            f"got min_n={least} and max_n={most}."
        )
    return least, most


def whole_number(name: str, value: Any) -> int:
    """A number as `int`; NumPy's whole numbers are taken, fractions and `bool` are not."""
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"`{name}`: expected a whole number, got {type(value).__name__} {value!r}.")


def check_word(word: object) -> None:
    """Checks that a word is a `str`."""
    if not isinstance(word, str):
        got = f"{type(word).__name__} {word!r}"
        raise TypeError(f"`word`: expected a str to take n-grams of, got {got}.")
