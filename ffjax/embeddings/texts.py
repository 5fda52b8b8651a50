r"""Texts to lines of UTF-8 that each end with a line feed, the form that classifiers read."""

from typing import Any

from ffjax.strings.byte_views import byte_views
from ffjax.strings.codec import decode_word

NEWLINES = ("error", " ", "")


def as_lines(texts: Any, lowercase: bool = False, newline: str = "error") -> bytes:
    r"""The lines of texts: `str` or `bytes` in a list, a NumPy array of strings, or Arrow strings.

    Args:
        texts: the texts.
        lowercase: whether to change them to lower case.
        newline: what to replace line feeds by; `"error"` to raise one.

    Examples:
        >>> as_lines(["Tea", "for\ntwo"], lowercase=True, newline=" ")
        b'tea\nfor two\n'
    """
    if newline not in NEWLINES:
        expected = " or ".join(map(repr, NEWLINES))
        raise ValueError(f"`newline`: expected {expected}, got {newline!r}.")
    items = texts if isinstance(texts, list | tuple) else _listed(texts)
    if not items:
        return b""
    if not all(isinstance(item, str) for item in items):
        items = [_text(number, item) for number, item in enumerate(items)]
    joined = "\n".join(items)
    if joined.count("\n") >= len(items):
        if newline == "error":
            number = next(i for i, item in enumerate(items) if "\n" in item)
            raise ValueError(
                f"`texts`: expected one line each, got a line feed in text {number}. Remove it "
                '("\\n"), or choose `newline=" "` or `newline=""`.'
            )
        joined = "\n".join(item.replace("\n", newline) for item in items)
    joined = joined.lower() if lowercase else joined
    try:
        return (joined + "\n").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        number = joined.count("\n", 0, error.start)
        raise ValueError(
            f"`texts`: expected text that UTF-8 can hold, got {joined[error.start]!r} in text "
            f"{number} ({error.reason})."
        ) from error


def _listed(texts: Any) -> list[Any]:
    items = []
    for data, starts, lengths in byte_views(texts):
        raw = data.tobytes()
        spans = zip(starts.tolist(), lengths.tolist(), strict=True)
        items += [raw[start : start + max(length, 0)] for start, length in spans]
    return items


def _text(number: int, item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, bytes):
        return decode_word(item)
    got = f"{type(item).__name__} {item!r} as text {number}"
    raise TypeError(f"`texts`: expected str or bytes, got {got}.")
