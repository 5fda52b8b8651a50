"""Text as BERT's tokenizers see it: cleaned, without accents, in lower case, in pieces.

The answers are those of the `tokenizers` package (`BertNormalizer`, then `BertPreTokenizer`), which
knows an older Unicode than Python: `ffjax/data/bert_tables.json` has its ranges of code points.

    removed     control characters and the like, which join their neighbours
    space       white space
    cjk         Chinese characters, each of which is a piece
    nonspacing  marks that go with the accents
    punct       punctuation, each character of which is a piece
    lower       code points that Python 3.11 does not know, and what to add for lower case
    composed    code points that only newer versions of Unicode decompose
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

_SPACE, _REMOVED, _CJK, _NONSPACING, _PUNCT = 1, 2, 4, 8, 16
_KINDS = {
    "space": _SPACE,
    "removed": _REMOVED,
    "cjk": _CJK,
    "nonspacing": _NONSPACING,
    "punct": _PUNCT,
}
_N_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class BertText:
    """The settings of a `BertNormalizer` that cleans text.

    Attributes:
        spaced_cjk: whether Chinese characters are divided.
        strip_accents: whether accents are removed.
        lowercase: whether text is changed to lower case.
    """

    spaced_cjk: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def cleaned(self, words: bytes) -> bytes:
        r"""Words that end with NULs, with spaces between the runs of text that are tokenized.

        Examples:
            >>> BertText().cleaned("Caf\u00e9s\0U.S.\0\u4e2d\u6587\0".encode()).split(b"\0")
            [b'cafes', b'u . s . ', b' \xe4\xb8\xad  \xe6\x96\x87 ', b'']
        """
        if not words.isascii():
            codes = _codes(self._normalized(words.decode("utf-8", "replace")))
            return _text(_divided(codes)).encode()
        words = words.lower() if self.lowercase else words
        return _divided(np.frombuffer(words, np.uint8)).tobytes()

    def _normalized(self, text: str) -> str:
        codes = _codes(text)
        kinds = _tables().kinds[codes]
        stays = (kinds & _REMOVED) == 0
        codes = codes[stays]
        if self.spaced_cjk:
            codes = _isolated(codes, kinds[stays] & _CJK)
        text = _text(codes)
        if self.strip_accents:
            codes = _codes(_decomposed(text))
            text = _text(codes[(_tables().kinds[codes] & _NONSPACING) == 0])
        return _lower(text) if self.lowercase else text


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _text(codes: np.ndarray) -> str:
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le")


def _divided(codes: np.ndarray) -> np.ndarray:
    """Code points in runs: without those that are removed, and with spaces around punctuation."""
    kinds = _tables().kinds[codes]
    stays = (kinds & _REMOVED) == 0
    codes = np.where(kinds & _SPACE, codes.dtype.type(32), codes)[stays]
    return _isolated(codes, kinds[stays] & _PUNCT)


def _isolated(codes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Code points with a space on both sides of the chosen ones."""
    positions = np.flatnonzero(chosen)
    if not positions.size:
        return codes
    spaced = np.repeat(codes, np.where(chosen, 3, 1))
    before = positions + 2 * np.arange(len(positions))
    spaced[before] = spaced[before + 2] = 32
    return spaced


def _decomposed(text: str) -> str:
    """NFD, without the decompositions that are newer."""
    composed = _tables().composed
    if composed.search(text) is None:
        return unicodedata.normalize("NFD", text)
    return "".join(
        run if composed.fullmatch(run) else unicodedata.normalize("NFD", run)
        for run in composed.split(text)
    )


def _lower(text: str) -> str:
    """Lower case, each code point by itself: a sigma that ends a word is like others."""
    return _tables().uppercase.sub(_lower_match, text).lower()


def _lower_match(match: re.Match[str]) -> str:
    return _tables().lower[match[0]]


class _Tables(NamedTuple):
    """What is special about code points.

    Attributes:
        kinds: the kinds of each code point, uint8 `[0x110000]`.
        composed: matches what is not decomposed.
        lower: what Python's lower case differs from.
        uppercase: matches the keys of `lower`.
    """

    kinds: np.ndarray
    composed: re.Pattern[str]
    lower: dict[str, str]
    uppercase: re.Pattern[str]


@cache
def _tables() -> _Tables:
    raw = (files("ffjax") / "data" / "bert_tables.json").read_text(encoding="utf8")
    ranges: dict[str, Any] = json.loads(raw)
    kinds = np.zeros(_N_CODE_POINTS, np.uint8)
    for name, kind in _KINDS.items():
        for first, last in ranges[name]:
            kinds[first : last + 1] |= kind
    kinds[0] = 0  # the end of a word
    composed = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges["composed"])
    lower = {"Σ": "σ"}
    for first, last, step in ranges["lower"]:
        lower |= {chr(code): chr(code + step) for code in range(first, last + 1)}
    uppercase = re.compile(f"[{''.join(lower)}]")
    return _Tables(kinds, re.compile(f"([{composed}])"), lower, uppercase)
