"""N-grams of words: stretches of `min_n` to `max_n` characters, by start, longest first."""

from typing import Any

from ffjax._internal.arguments import check_word, whole_number


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
    check_ngram(word)
    min_n, max_n = check_range(min_n, max_n)
    word = f"<{word}>" if bracket else word
    starts = range(len(word) - min_n + 1)
    sizes = range(min(max_n, len(word)), min_n - 1, -1)
    return [word[i : i + n] for i in starts for n in sizes if i + n <= len(word)]


def check_range(min_n: Any, max_n: Any) -> tuple[int, int]:
    """The n-gram range as two `int`; an error unless `1 <= min_n <= max_n < 2**32`."""
    least, most = whole_number("min_n", min_n, None), whole_number("max_n", max_n, None)
    if not 1 <= least <= most < 2**32:
        expected = "expected 1 <= min_n <= max_n < 2**32"
        raise ValueError(f"`min_n`, `max_n`: {expected}, got min_n={least} and max_n={most}.")
    return least, most


def check_ngram(word: object) -> None:
    """Checks that a word or an n-gram is a `str`."""
    check_word("word", word, what="a str to take n-grams of")
