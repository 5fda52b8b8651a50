"""WordPiece: words to the tokens of a vocabulary, the longest first.

Devlin et al. 2019, https://aclanthology.org/N19-1423, as the `tokenizers` package has it: a run of
text that tokens cannot make up from its start to its end is one unknown token.
"""

import re
from collections.abc import Mapping
from itertools import compress

import numpy as np

from ffjax._internal.arrays import ranges
from ffjax.kernels.longest_match import Trie
from ffjax.kernels.ragged import Ragged
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.tokenizer_file import TokenizerFile

# What ends runs of text and words once text is cleaned.
_SPACE, _WORD_END = ord(" "), 0
# What stands for a NUL that is in a word: cleaning removes it as well.
_REMOVED = 1


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
        prefix = settings.prefix
        rest = {} if prefix is None else _continuing(tokens, prefix)
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
        positions = np.empty(len(ends), np.int64)
        positions[np.concatenate(groups)] = np.arange(len(ends))
        return Ragged.concat(tokens).take(positions)

    def _tokens_of_text(self, text: np.ndarray) -> Ragged:
        """The tokens of words that end with NULs."""
        data = np.frombuffer(self._text.cleaned(text.tobytes()), np.uint8)
        in_run = np.zeros(data.size + 1, bool)
        in_run[1:] = (data != _SPACE) & (data != _WORD_END)
        edges = np.flatnonzero(in_run[1:] != in_run[:-1])
        starts, ends = edges[::2], edges[1::2]
        first_runs = np.searchsorted(starts, np.flatnonzero(data == _WORD_END))

        fits = np.flatnonzero(self._fit(data, starts, ends))
        tokens = self._trie.longest_first(data, starts[fits], ends[fits])
        counts = np.zeros(len(starts), np.int64)
        counts[fits] = tokens.counts
        is_unknown = counts == 0
        counts[is_unknown] = 1
        values = np.full(counts.sum(), self._unknown, np.int32)
        values[~np.repeat(is_unknown, counts)] = tokens.values
        return Ragged(values, np.append(0, np.cumsum(counts))[np.append(0, first_runs)])

    def _fit(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Which runs of text are not too long."""
        fit = ends - starts <= self._longest
        if not fit.all():
            n_before = np.append(0, np.cumsum((data & 0xC0) != 0x80))
            fit = n_before[ends] - n_before[starts] <= self._longest
        return fit

    def _with_added(self, words: ByteViews) -> Ragged:
        """As `tokens`, with tokens that are found in the words as they are."""
        assert self._added_tokens is not None
        data, starts, lengths = words
        raw, bounds = data.tobytes(), zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        divided = [self._added_tokens.split(raw[start:end]) for start, end in bounds]
        texts = [text for texts in divided for text in texts]
        numbers = np.array([self._added.get(text, -1) for text in texts], np.int32)
        is_added = numbers >= 0
        (between,) = byte_views(list(compress(texts, ~is_added)))
        tokens = self.tokens(between)
        counts = np.ones(len(texts), np.int64)
        counts[~is_added] = tokens.counts
        values = np.repeat(numbers, counts)
        values[values < 0] = tokens.values
        n_texts = np.fromiter(map(len, divided), np.int64, len(divided))
        ends = np.append(0, np.cumsum(counts))
        return Ragged(values, ends[np.append(0, np.cumsum(n_texts))])


def _joined(words: ByteViews) -> tuple[np.ndarray, np.ndarray]:
    """Words that end with NULs, in one buffer, and where they end."""
    data, starts, lengths = words
    ends = np.cumsum(lengths + 1)
    text = data[ranges(starts, lengths + 1)]
    text[text == _WORD_END] = _REMOVED
    text[ends - 1] = _WORD_END
    return text, ends


def _continuing(tokens: Mapping[str, int], prefix: str) -> dict[str, int]:
    """The tokens that continue a run of text, without their prefix."""
    n = len(prefix)
    return {
        token[n:]: number
        for token, number in tokens.items()
        if len(token) > n and token.startswith(prefix)
    }


def _encoded(tokens: Mapping[str, int]) -> dict[bytes, int]:
    return {token.encode(): number for token, number in tokens.items()}
