"""Which encoding words have that are not UTF-8: a guess, for error messages."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from ffjax.errors import FormatError
from ffjax.formats.io.streams import Stream

_SAMPLE_WORDS = 1000
_LEAST_WORDS = 3  # that are not UTF-8, for a guess

# By the name that `iconv` and Python share: characters that are typical of text in an encoding, or
# the pairs of bytes of frequent ones, and the least share of them. The first encoding that has it
# is the likely one.
_TYPICAL: dict[str, tuple[re.Pattern[Any], float]] = {
    "EUC-KR": (re.compile("[\uac00-\ud7a3]"), 0.95),
    "EUC-JP": (re.compile("[\u3040-\u30ff]"), 0.3),
    "SHIFT_JIS": (re.compile("[\u3040-\u30ff]"), 0.3),
    "BIG5": (re.compile(rb"[\xa1-\xc6][\x40-\x7e\xa1-\xfe]"), 0.95),
    "GB18030": (re.compile(rb"[\xa1-\xd7][\xa1-\xfe]"), 0.95),
    "CP1251": (re.compile("[\u0430-\u044f]"), 0.6),
    "KOI8-R": (re.compile("[\u0430-\u044f]"), 0.6),
    "CP1252": (re.compile("[\u00c0-\u00ff]"), 0.6),
}


def not_utf8(
    stream: Stream, offset: int, words: Iterable[bytes], index: int, byte: int, reason: str
) -> FormatError:
    """The error about one of `words`, which is at `offset` and has a wrong `byte`."""
    words = list(words)
    got = f"{words[index]!r}, where byte {byte} is wrong ({reason})"
    return stream.error(offset, "UTF-8", got, field="word", hint=_encoding_hint(words))


def _encoding_hint(words: list[bytes]) -> str:
    """What to do about words that are not all UTF-8."""
    words = list(islice((word for word in words if not word.isascii()), _SAMPLE_WORDS))
    n_utf8 = sum(word.decode(errors="ignore").encode() == word for word in words)
    if 2 * n_utf8 > len(words) or len(words) - n_utf8 < _LEAST_WORDS:
        return "`lossy=True` replaces bytes that are not UTF-8."
    encoding = likely_encoding(words)
    likely = "" if encoding is None else f"It is probably text in {encoding}. "
    name = encoding or "ENCODING"
    return (
        f"{likely}Convert it first, as in `iconv -f {name} -t UTF-8 OLD > NEW`; `lossy=True` "
        "would replace such bytes, and many words would become the same."
    )


def likely_encoding(words: list[bytes]) -> str | None:
    """The encoding in which most characters are the usual ones, or `None`."""
    return next((name for name in _TYPICAL if _score(words, name) >= _TYPICAL[name][1]), None)


def _score(words: list[bytes], encoding: str) -> float:
    """The share of the characters beyond ASCII that are typical of an encoding."""
    typical, _ = _TYPICAL[encoding]
    n_typical = total = n_ascii = 0
    for word in words:
        try:
            text = word.decode(encoding)
        except UnicodeDecodeError:
            total += len(word)
            continue
        if isinstance(typical.pattern, bytes):
            n_typical += len(b"".join(typical.findall(word)))
            total += sum(byte > 0x7F for byte in word)
        else:
            n_typical += len(typical.findall(text))
            total += len(re.findall("[^\x00-\x7f]", text))
            n_ascii += len(re.findall("[A-Za-z]", text))
    if encoding in ("CP1251", "KOI8-R"):  # words are in one script
        total += n_ascii
    if encoding == "CP1252":  # most letters are ASCII
        total = max(total, 2 * total - n_ascii)
    return n_typical / total if total else 0.0
