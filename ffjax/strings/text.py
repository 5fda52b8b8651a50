r"""Text from people, as bytes of UTF-8 with a `\n` after each line."""

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jax
import numpy as np

from ffjax._internal.arguments import check_flag, check_several
from ffjax._internal.file_arguments import check_choice, counted, shown, wrong_type
from ffjax.strings.byte_views import arrow_strings, as_one_array, byte_views, is_arrow
from ffjax.strings.codec import decode_word, encode_word

NEWLINES = ("error", " ", "")
# What separates words for `embed_text`.
_SEPARATORS = "\0\t\n\v\f\r "
# Texts joined at a time: one character beyond ASCII widens all characters of a `str`.
_JOINED = 64


def text_bytes(text: Any, name: str = "text") -> np.ndarray:
    """The UTF-8 of a text, uint8 `[n]`; of several texts, each on a line of its own."""
    if isinstance(text, str):
        text = encode_word(text)
    if isinstance(text, bytes | bytearray | memoryview):
        return np.frombuffer(text, np.uint8)
    is_array = isinstance(text, np.ndarray | jax.Array)
    if is_array and text.dtype == np.uint8 and text.ndim == 1:
        return np.ascontiguousarray(text)
    try:
        return np.frombuffer(as_lines(text, newline=" ", name=name), np.uint8)
    except TypeError as error:
        if isinstance(text, list | tuple):
            raise
        got = type(text).__name__
        if hasattr(text, "ndim"):
            got = f"{counted(text.ndim, 'dimension')} of {text.dtype}"
        raise TypeError(
            f"`{name}`: expected bytes, str, a list or an Arrow array of them, or one dimension of "
            f"uint8, got {got}."
        ) from error


def text_lines(text: Any, name: str = "text") -> Any:
    r"""The lines of a text, as for `text_bytes`, or several texts as they are.

    Examples:
        >>> text_lines(b"tea\n\npot\n"), text_lines(["tea\npot"])
        (['tea', '', 'pot'], ['tea\npot'])
    """
    if isinstance(text, list | tuple) or is_arrow(text):
        return as_texts(text, name)
    lines = decode_word(text_bytes(text, name).tobytes()).split("\n")
    return lines if lines[-1] else lines[:-1]


def as_texts(texts: Any, name: str = "texts") -> Any:
    """Several texts as an array of pyarrow's, if they are Arrow's, or else as a list of `str`."""
    return arrow_strings(texts, name) if is_arrow(texts) else as_strings(texts, name)


def text_lengths(texts: Any) -> np.ndarray:
    """The characters of each text, int64 `[n]`; of Arrow's, the bytes."""
    if is_arrow(texts):
        _, pc = _pyarrow()
        return np.asarray(pc.fill_null(pc.binary_length(texts), 0)).astype(np.int64)
    return np.fromiter(map(len, texts), np.int64, len(texts))


def cut(texts: Any, n: int) -> Any:
    """Texts, as `as_texts` gives them, of which only the first `n` characters remain."""
    if is_arrow(texts):
        pa, pc = _pyarrow()
        try:
            return pc.utf8_slice_codeunits(texts.cast(pa.large_string()), 0, n)
        except pa.ArrowInvalid:
            pass  # not UTF-8
    return [text[:n] for text in as_strings(texts)]


def as_lines(
    texts: Any, lowercase: bool = False, newline: str = "error", name: str = "texts"
) -> bytes:
    r"""The lines of texts: `str` or `bytes` in a list, a NumPy array of strings, or Arrow strings.

    Line feeds in texts are replaced with `newline`; `"error"` raises an error instead.

    Examples:
        >>> as_lines(["Tea", "for\ntwo"], lowercase=True, newline=" ")
        b'tea\nfor two\n'
    """
    check_choice("newline", newline, NEWLINES)
    check_flag("lowercase", lowercase)
    if is_arrow(texts):
        lines = _arrow_lines(texts, newline, name)
        return encode_word(decode_word(lines).lower()) if lowercase else lines
    items = as_strings(texts, name)
    if newline != "error":
        items = [item.replace("\n", newline) for item in items]
    lines = _encoded(items, lowercase, name)
    # NumPy counts in a sixth of the time of `bytes.count`, and without Python's lock.
    if np.count_nonzero(np.frombuffer(lines, np.uint8) == ord("\n")) > len(items):
        number = next(i for i, item in enumerate(items) if "\n" in item)
        raise ValueError(_line_feed_error(name, number))
    return lines


def _encoded(items: Sequence[str], lowercase: bool, name: str) -> bytes:
    """The UTF-8 of texts, with a line feed after each."""
    groups = ("\n".join(items[i : i + _JOINED]) for i in range(0, len(items), _JOINED))
    groups = map(str.lower, groups) if lowercase else groups
    try:
        return b"\n".join([*[group.encode("utf-8", "surrogateescape") for group in groups], b""])
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        number = next(i for i, item in enumerate(items) if character in item)
        raise ValueError(
            f"`{name}`: expected text that UTF-8 can hold, got {character!r} in text {number} "
            f'({error.reason}). Use `text.encode(errors="replace")`.'
        ) from error


def as_strings(texts: Any, name: str = "texts") -> list[str] | tuple[str, ...]:
    """Texts as a list of `str`; arguments as for `as_lines`."""
    items: Any = texts
    if is_arrow(texts):
        items = byte_views(arrow_strings(texts, name)).raw()
    elif not isinstance(texts, list | tuple):
        check_several(name, texts, "text")
        if isinstance(texts, Mapping):
            raise wrong_type(name, "a list of texts", texts)
        items = texts.tolist() if isinstance(texts, np.ndarray) else list(texts)
    if set(map(type, items)) <= {str}:  # faster than to ask each
        return items
    for number, item in enumerate(items):
        if not isinstance(item, str | bytes):
            got = f"{shown(item)} as text {number}"
            raise TypeError(f"`{name}`: expected str or bytes, got {got}.")
    return [decode_word(item) if isinstance(item, bytes) else item for item in items]


def simplify(text: np.ndarray, *, lowercase: bool, strip_punctuation: bool) -> np.ndarray:
    """A text in lower case, without the punctuation at the ends of words; lines stay."""
    if not (lowercase or strip_punctuation):
        return text
    string = decode_word(text.tobytes())
    string = string.lower() if lowercase else string
    if strip_punctuation:
        string = _strip_words(f" {string} ")[1:-1]
    return np.frombuffer(encode_word(string), np.uint8)


def _strip_words(text: str) -> str:
    """A text, between two spaces, without the punctuation that begins or ends its words."""
    marks, runs = _punctuation()

    def stripped(match: re.Match[str]) -> str:
        run, (start, end) = match[0], match.span()
        begins, ends = text[start - 1] in _SEPARATORS, text[end] in _SEPARATORS
        if run.isascii():  # the usual case
            return "" if begins or ends else run
        run = run.lstrip(marks) if begins else run
        return run.rstrip(marks) if ends else run

    return runs.sub(stripped, text)


@cache
def _punctuation() -> tuple[str, re.Pattern[str]]:
    """All punctuation, Unicode's categories P, and a pattern of runs of it."""
    characters = map(chr, range(sys.maxunicode + 1))
    marks = "".join(c for c in characters if unicodedata.category(c)[0] == "P")
    # And runs of what lies above U+FFFF, where sets are slow.
    narrow = re.escape("".join(c for c in marks if c <= "\uffff"))
    return marks, re.compile(f"[{narrow}\U00010000-\U0010ffff]+")


def _arrow_lines(texts: Any, newline: str, name: str) -> bytes:
    """Texts of an Arrow array as lines, empty ones for nulls; arguments as for `as_lines`."""
    array = as_one_array(arrow_strings(texts, name))
    _, pc = _pyarrow()
    lines = _joined(array)
    if lines.count(b"\n") > len(array):
        if newline == "error":
            number = pc.index(pc.match_substring(array, "\n"), True).as_py()
            raise ValueError(_line_feed_error(name, number))
        lines = _joined(pc.replace_substring(array, "\n", newline))
    return lines


def _line_feed_error(name: str, number: int) -> str:
    """The message for a text that is not one line."""
    return (
        f"`{name}`: expected one line each, got a line feed in text {number}. Remove it "
        '("\\n"), or choose `newline=" "` or `newline=""`.'
    )


def null_mask(texts: Any) -> np.ndarray | None:
    """Which texts of an Arrow array are null, or `None` if it has no nulls."""
    array = arrow_strings(texts)
    return np.asarray(array.is_null()) if array.null_count else None


def _joined(array: Any) -> bytes:
    """The strings of an array with a line feed after each."""
    pa, pc = _pyarrow()
    if not len(array):
        return b""
    # Joined with an empty string, each string gets a line feed, in a buffer without gaps.
    empty, feed = pa.scalar(b"", array.type), pa.scalar(b"\n", array.type)
    options = {"null_handling": "replace", "null_replacement": b""}
    return pc.binary_join_element_wise(array, empty, feed, **options).buffers()[2].to_pybytes()


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow, and its functions of arrays, which it makes when it is imported."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa, pc
