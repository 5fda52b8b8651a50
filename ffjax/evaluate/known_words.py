"""The words that a benchmark knows: the most frequent ones, with or without regard to case."""

from collections.abc import Sequence

import numpy as np

from ffjax._internal.arguments import whole_number
from ffjax.vocab import Vocab


class KnownWords:
    """The first words of a vocabulary, found by their folded forms.

    Case is folded by `str.upper`, as gensim does. Of several words that fold to the same the first
    one counts, which is the most frequent in most files.
    """

    def __init__(self, vocab: Vocab, restrict: int | None, fold_case: bool) -> None:
        if restrict is not None:
            restrict = whole_number("restrict", restrict, 1, "None stands for all words.")
        self.vocab = vocab
        self.fold_case = fold_case
        self.n_words = len(vocab) if restrict is None else min(restrict, len(vocab))
        words = vocab.words[: self.n_words]
        folded = list(map(str.upper, words)) if fold_case else words
        # Entered from the last to the first, so that the first of equal words stays.
        numbers = range(self.n_words - 1, -1, -1)
        self._numbers = dict(zip(reversed(folded), numbers, strict=True))

    def number(self, word: str) -> int:
        """The number of the word that counts for this one, -1 if it is unknown."""
        return self._numbers.get(word.upper() if self.fold_case else word, -1)

    def numbers(self, words: Sequence[str]) -> np.ndarray:
        """`number` of each word, int64 `[n]`."""
        return np.fromiter(map(self.number, words), np.int64, len(words))

    @property
    def rows(self) -> slice | np.ndarray | None:
        """The rows of the known words, as `top_k` takes candidates; `None` for all."""
        return self.vocab.first_rows(self.n_words)
