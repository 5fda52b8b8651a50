r"""Text from people, as bytes of UTF-8 with a `\n` after each line."""

import re
import sys
import unicodedata
from functools import cache
from typing import Any

import jax
import numpy as np

from ffjax.kernels.tokenize import LINE_FEED
from ffjax.strings.byte_views import byte_views
from ffjax.strings.codec import decode_word, encode_word, join_words

# What separates words for `embed_text`, as a set of a regular expression.
_SEPARATORS = r"\0\t\n\v\f\r "


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
