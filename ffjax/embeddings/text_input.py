r"""What `embed_text` takes, as bytes of UTF-8 with a `\n` after each line."""

import re
import sys
import unicodedata
import warnings
from functools import cache
from typing import Any

import jax
import numpy as np

from ffjax.functional.search import EmbeddingsLike
from ffjax.kernels.tokenize import LINE_FEED
from ffjax.strings.byte_views import byte_views
from ffjax.strings.codec import decode_word, encode_word, join_words

# What separates words for `embed_text`, as a set of a regular expression.
_SEPARATORS = r"\0\t\n\v\f\r "
# How much of a text is looked at to say why its words are unknown.
_SAMPLE_BYTES, _SAMPLE_WORDS = 1 << 16, 200


def text_bytes(text: Any) -> np.ndarray:
    """The UTF-8 of a text, uint8 `[n]`; of several texts, each on a line of its own."""
    if isinstance(text, str):
        text = encode_word(text)
    if isinstance(text, bytes | bytearray | memoryview):
        return np.frombuffer(text, np.uint8)
    is_array = isinstance(text, np.ndarray | jax.Array)
    if is_array and text.dtype == np.uint8 and text.ndim == 1:
        return np.ascontiguousarray(text)
    try:
        return _lines(text)
    except TypeError as error:
        got = type(text).__name__
        if hasattr(text, "ndim"):
            got = f"{text.ndim} dimensions of {text.dtype}"
        elif isinstance(text, list | tuple):
            got = f"{got} with {error}"
        raise TypeError(
            "`text`: expected bytes, str, a list or an Arrow array of them, or one dimension of "
            f"uint8, got {got}."
        ) from error


def _lines(texts: Any) -> np.ndarray:
    """A line for each text; line ends inside of a text become spaces."""
    if not isinstance(texts, list | tuple):
        texts = [
            view.data[start : start + length].tobytes()
            for view in byte_views(texts)
            for start, length in zip(view.starts, np.maximum(view.lengths, 0), strict=True)
        ]
    data, starts, lengths = join_words(texts)
    data = np.where(data == LINE_FEED, np.uint8(ord(" ")), data)
    data[starts + lengths] = LINE_FEED
    return data


def simplify(text: np.ndarray, *, lowercase: bool, strip_punctuation: bool) -> np.ndarray:
    """A text in lower case, without the punctuation at the ends of words; lines stay."""
    if not (lowercase or strip_punctuation):
        return text
    string = decode_word(text.tobytes())
    string = string.lower() if lowercase else string
    if strip_punctuation:
        string = _outer_punctuation().sub("", string)
    return np.frombuffer(encode_word(string), np.uint8)


@cache
def _outer_punctuation() -> re.Pattern[str]:
    """Matches punctuation, Unicode's categories P, that begins or ends a word."""
    characters = map(chr, range(sys.maxunicode + 1))
    marks = "".join(c for c in characters if unicodedata.category(c)[0] == "P")
    run = f"[{re.escape(marks)}]+"
    return re.compile(f"{run}(?![^{_SEPARATORS}])|(?<![^{_SEPARATORS}]){run}")


def warn_of_zeros(embeddings: EmbeddingsLike, text: np.ndarray, counts: np.ndarray) -> None:
    """Warns, with the reason, if most lines that have words have none with a vector."""
    if 2 * np.count_nonzero(counts) >= len(counts):
        return
    lines = decode_word(text[:_SAMPLE_BYTES].tobytes()).split("\n")
    pairs = [(line, n) for line, n in zip(lines, counts.tolist(), strict=False) if line.split()]
    unknown = [line for line, n in pairs if n == 0]
    if 2 * len(unknown) > len(pairs):
        reason = _reason(embeddings, "\n".join(unknown).split()[:_SAMPLE_WORDS])
        message = "most lines have no word with a vector, so that their `counts` are 0"
        warnings.warn(f"{message}. {reason}", stacklevel=3)


def _reason(embeddings: EmbeddingsLike, words: list[str]) -> str:
    """Why words are unknown, and what to do."""
    text = np.frombuffer(encode_word("\n".join(words)), np.uint8)
    for names in (["lowercase"], ["strip_punctuation"], ["lowercase", "strip_punctuation"]):
        changes = {name: name in names for name in ("lowercase", "strip_punctuation")}
        simple = decode_word(simplify(text, **changes).tobytes()).split("\n")
        if 2 * sum(word in embeddings.vocab for word in simple) > len(words):
            options = " and ".join(f"`{name}=True`" for name in names)
            return f"The vocabulary has their words in another form: pass {options}."
    return (
        "Their words are not in the vocabulary and have no n-grams with rows: the text may be in "
        "another language or encoding."
    )
