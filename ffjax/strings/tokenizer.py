"""Tokenizers of static models: texts to lists of token numbers.

Where words between white space are tokenized one by one, so is each different word.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ffjax._internal.arrays import Growing
from ffjax._internal.extras import needs_extra
from ffjax.errors import FormatError
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.tokenize_numpy import words_of_lines
from ffjax.kernels.word_table import KeyedWords, WordTable, random_key
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.tokenizer_file import TokenizerFile
from ffjax.strings.wordpiece import WordPiece

# Words that a thread remembers at most, and their bytes.
_MEMO_WORDS, _MEMO_BYTES = 1 << 18, 1 << 25


class WordMemo:
    """Words and their tokens, for one thread at a time.

    Args:
        capacity: how many words there may be.
    """

    def __init__(self, capacity: int) -> None:
        self.table, self.key, self.n_bytes = WordTable(capacity), random_key(), 0
        self._values, self._ends = Growing(np.int32), Growing(np.int64)
        self._ends.append(np.zeros(1, np.int64))

    def learn(self, words: ByteViews, tokens: Ragged) -> None:
        """Remembers the tokens of the last words of the table."""
        start = self._values.append(tokens.values)
        self._ends.append(tokens.splits[1:] + start)
        self.n_bytes += int(words.lengths.sum())

    @property
    def tokens(self) -> Ragged:
        """The tokens of each word."""
        return Ragged(self._values.values, self._ends.values)


class Tokenizer:
    """The tokenizer of a `tokenizer.json`.

    Args:
        settings: what it says.
        raw: its bytes, for the `tokenizers` package.
    """

    def __init__(self, settings: TokenizerFile, raw: bytes) -> None:
        self.settings, self.raw = settings, raw
        self._memos: list[WordMemo] = []  # that no thread uses

    def lines(self, text: bytes) -> Ragged:
        """The tokens of lines that each end with a line feed, if words are tokenized one by one."""
        data, starts, lengths, splits = words_of_lines(text)
        try:
            memo = self._memos.pop()
        except IndexError:
            memo = None
        if memo is None or memo.n_bytes > _MEMO_BYTES or not memo.table.has_room(len(starts)):
            memo = WordMemo(max(_MEMO_WORDS, len(starts)))
        numbers, new = memo.table.add(KeyedWords.of(data, starts, lengths, memo.key))
        if new.size:
            words = ByteViews(data, starts[new], lengths[new])
            learn = self._tokens_of_words if self._wordpiece is None else self._wordpiece.tokens
            memo.learn(words, learn(words))
        tokens = Ragged(numbers, splits).replaced(memo.tokens)
        self._memos.append(memo)
        return tokens

    def texts(self, texts: Sequence[str]) -> Ragged:
        """The tokens of texts, by the `tokenizers` package."""
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:  # bytes that are not UTF-8
            raw = [text.encode("utf-8", "surrogateescape") for text in texts]
            texts = [text.decode("utf-8", "replace") for text in raw]
        tokenizer = self._tokenizers
        try:
            lists = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except Exception as error:  # which has no class of its own
            raise _unusable(error) from error
        ids = [np.array(encoding.ids, np.int32) for encoding in lists]
        values = np.concatenate([np.zeros(0, np.int32), *ids])
        return Ragged.of(values, np.fromiter(map(len, ids), np.int64, len(ids)))

    def _tokens_of_words(self, words: ByteViews) -> Ragged:
        data, starts, lengths = words
        raw, bounds = data.tobytes(), zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        return self.texts([raw[start:end].decode("utf-8", "replace") for start, end in bounds])

    def prepare(self) -> None:
        """Builds what threads share; otherwise each of them would build its own."""
        if self._wordpiece is None:
            _ = self._tokenizers

    @cached_property
    def _wordpiece(self) -> WordPiece | None:
        return None if self.settings.bert is None else WordPiece(self.settings)

    @cached_property
    def _tokenizers(self) -> Any:
        with needs_extra("tokenizers", f"a {self.settings.kind} tokenizer of this kind"):
            import tokenizers
        try:
            tokenizer = tokenizers.Tokenizer.from_str(self.raw.decode())
        except Exception as error:
            raise _unusable(error) from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer


def _unusable(error: Exception) -> FormatError:
    expected = "a tokenizer that the package `tokenizers` can use"
    return FormatError(None, field="tokenizer.json", expected=expected, got=str(error))
