"""Tokenizers of static models: texts to lists of token numbers.

Where words between white space are tokenized one by one, so is each different word. WordPiece,
words to the tokens of a vocabulary, the longest first (Devlin et al. 2019,
https://aclanthology.org/N19-1423), is as the `tokenizers` package has it: a run of text that tokens
cannot make up from its start to its end is one unknown token.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np

from ffjax._internal.arrays import Growing, ranges
from ffjax._internal.extras import needs_extra
from ffjax.errors import FormatError
from ffjax.kernels.longest_match import Trie
from ffjax.kernels.ragged import Ragged
from ffjax.kernels.tokenize_numpy import words_of_lines
from ffjax.kernels.word_table import WordTable
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.tokenizer_file import TokenizerFile

# Words that a thread remembers at most, and their bytes.
_MEMO_WORDS, _MEMO_BYTES = 1 << 18, 1 << 25
# What ends runs of text and words once text is cleaned.
_SPACE, _WORD_END = ord(" "), 0
# What stands for a NUL that is in a word: cleaning removes it as well.
_REMOVED = 1


class WordMemo:
    """Words and their tokens, for one thread at a time.

    Args:
        capacity: how many words there may be.
    """

    def __init__(self, capacity: int) -> None:
        self.table, self.n_bytes = WordTable(capacity), 0
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


class WordPiece:
    """A WordPiece tokenizer of words, which hold no ASCII white space.

    Args:
        settings: the tokenizer's, with `bert` and the token for unknown text.
    """

    def __init__(self, settings: TokenizerFile) -> None:
        assert settings.unknown is not None and settings.bert is not None
        self._unknown, self._longest = settings.unknown, settings.longest
        self._text = settings.bert
        self._added = _encoded(settings.added)
        contents = map(re.escape, sorted(self._added, key=len, reverse=True))
        self._added_tokens = re.compile(b"(%b)" % b"|".join(contents)) if self._added else None
        # Text is divided at spaces and NULs, so that no token with one is found.
        tokens = {
            token: number
            for token, number in settings.vocab.items()
            if token and " " not in token and "\0" not in token
        }
        prefix, rest = settings.prefix, {}
        if prefix is not None:  # that of tokens that continue a run of text
            n = len(prefix)
            continuing = (x for x in tokens if len(x) > n and x.startswith(prefix))
            rest = {token[n:]: tokens[token] for token in continuing}
        self._trie = Trie.build(_encoded(tokens), _encoded(rest))

    def tokens(self, words: ByteViews) -> Ragged:
        """The tokens of each word; a byte must follow each."""
        if not len(words.lengths):
            return Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64))
        text, ends = _joined(words)
        if self._added_tokens is not None and self._added_tokens.search(text.data):
            return self._with_added(words)
        is_ascii = np.maximum.reduceat(text, np.append(0, ends[:-1])) < 0x80
        if is_ascii.all():
            return self._tokens_of_text(text)
        # Cleaning takes many times as long for other text.
        groups = np.flatnonzero(is_ascii), np.flatnonzero(~is_ascii)
        tokens = [self._tokens_of_text(_joined(words.take(group))[0]) for group in groups]
        return Ragged.concat(tokens).take(np.argsort(np.concatenate(groups)))

    def _tokens_of_text(self, text: np.ndarray) -> Ragged:
        """The tokens of words that end with NULs."""
        data = np.frombuffer(self._text.cleaned(text.tobytes()), np.uint8)
        in_run = np.zeros(data.size + 1, bool)
        in_run[1:] = (data != _SPACE) & (data != _WORD_END)
        edges = np.flatnonzero(in_run[1:] != in_run[:-1])
        starts, ends = edges[::2], edges[1::2]
        first_runs = np.searchsorted(starts, np.flatnonzero(data == _WORD_END))

        sizes = ends - starts
        if sizes.max(initial=0) > self._longest:  # which counts characters
            n_before = np.append(0, np.cumsum((data & 0xC0) != 0x80))
            sizes = n_before[ends] - n_before[starts]
        fits = np.flatnonzero(sizes <= self._longest)
        tokens = self._trie.longest_first(data, starts[fits], ends[fits])
        counts = np.zeros(len(starts), np.int64)
        counts[fits] = tokens.counts
        is_unknown = counts == 0
        counts[is_unknown] = 1
        values = np.full(counts.sum(), self._unknown, np.int32)
        values[~np.repeat(is_unknown, counts)] = tokens.values
        return Ragged(values, np.append(0, np.cumsum(counts))[np.append(0, first_runs)])

    def _with_added(self, words: ByteViews) -> Ragged:
        """As `tokens`, with tokens that are found in the words as they are."""
        assert self._added_tokens is not None
        divided = [self._added_tokens.split(word) for word in words.raw()]
        texts = [text for texts in divided for text in texts]
        numbers = np.array([self._added.get(text, -1) for text in texts], np.int32)
        is_added = numbers >= 0
        tokens = self.tokens(byte_views(list(compress(texts, ~is_added))))
        counts = np.ones(len(texts), np.int64)
        counts[~is_added] = tokens.counts
        values = np.repeat(numbers, counts)
        values[values < 0] = tokens.values
        n_texts = np.fromiter(map(len, divided), np.int64, len(divided))
        ends = np.append(0, np.cumsum(counts))
        return Ragged(values, ends[np.append(0, np.cumsum(n_texts))])


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
        numbers, new = memo.table.add(memo.table.hashed(data, starts, lengths))
        if new.size:
            words = ByteViews(data, starts[new], lengths[new])
            if self._wordpiece is None:
                tokens = self.texts([word.decode("utf-8", "replace") for word in words.raw()])
            else:
                tokens = self._wordpiece.tokens(words)
            memo.learn(words, tokens)
        tokens = Ragged(numbers, splits).replaced(memo.tokens)
        self._memos.append(memo)
        return tokens

    def texts(self, texts: Sequence[str]) -> Ragged:
        """The tokens of texts, by the `tokenizers` package."""
        raw = [text.encode("utf-8", "surrogateescape") for text in texts]
        texts = [text.decode("utf-8", "replace") for text in raw]
        tokenizer = self._tokenizers
        try:
            lists = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except Exception as error:  # which has no class of its own
            raise _unusable(error) from error
        ids = [np.array(encoding.ids, np.int32) for encoding in lists]
        values = np.concatenate([np.zeros(0, np.int32), *ids])
        return Ragged.of(values, np.fromiter(map(len, ids), np.int64, len(ids)))

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


def _joined(words: ByteViews) -> tuple[np.ndarray, np.ndarray]:
    """Words that end with NULs, in one buffer, and where they end."""
    data, starts, lengths = words
    ends = np.cumsum(lengths + 1)
    text = data[ranges(starts, lengths + 1)]
    text[text == _WORD_END] = _REMOVED
    text[ends - 1] = _WORD_END
    return text, ends


def _encoded(tokens: Mapping[str, int]) -> dict[bytes, int]:
    return {token.encode(): number for token, number in tokens.items()}


def _unusable(error: Exception) -> FormatError:
    expected = "a tokenizer that the package `tokenizers` can use"
    return FormatError(None, field="tokenizer.json", expected=expected, got=str(error))
