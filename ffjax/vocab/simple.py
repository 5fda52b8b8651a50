"""The vocabulary without subwords."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ffjax._internal.pytree import value
from ffjax.strings.string_table import Strings, StringTable
from ffjax.vocab.base import Vocab, init_vocab
from ffjax.vocab.rows import Rows

# Hashing more words than this takes longer than opening many a file.
_HASHED_WORDS = 1 << 15


@value(static=("n_shared_rows",), init=False)
class SimpleVocab(Vocab, kind="SimpleVocab"):
    """Words and their rows, nothing for unknown words.

    Args:
        words: the words, each once, in the order of their rows.
        rows: the row of each word if words share rows, shape `[n_words]`; by default word i has
            row i.

    Raises:
        TypeError: if a word is neither `str` nor `bytes`.
        ValueError: if a word occurs twice, or a row belongs to no word.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.SimpleVocab(["Paris", "Berlin"])
        >>> vocab["Berlin"], "Rome" in vocab, len(vocab)
        (1, False, 2)
    """

    def __init__(self, words: Iterable[str | bytes] | StringTable, *, rows: Any = None) -> None:
        init_vocab(self, words, rows)

    @classmethod
    def of_different(cls, table: StringTable, rows: Any = None) -> "SimpleVocab":
        """The vocabulary of words that are known to differ; many are hashed when first needed."""
        vocab = object.__new__(cls)
        init_vocab(vocab, table, rows, is_hashed=len(table) <= _HASHED_WORDS)
        return vocab

    @property
    def upper_bound(self) -> int:
        """The number of rows: one for each word, fewer where words share rows."""
        return self.n_word_rows

    def subword_rows(self, item: str) -> np.ndarray:
        """No rows: this vocabulary has no subwords."""
        return np.zeros(0, np.int64)

    def encode(self, strings: Strings) -> Rows:
        """The row of each packed word, -1 for unknown words."""
        return Rows(self.find(strings))
