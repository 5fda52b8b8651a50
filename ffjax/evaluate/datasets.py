"""Files of benchmarks: analogies by section, and pairs of words.

Analogies, as Google published them with word2vec:

    : SECTION LF
    a SP b SP c SP answer LF
    ...

Pairs, as in WordSim-353 and SimLex-999: lines `word TAB word TAB similarity`, and comments that
begin with `#`.
"""

import codecs
import re
from collections.abc import Iterator
from os import fspath
from typing import NamedTuple

from ffjax._internal.file_arguments import Path, check_file
from ffjax.errors import FormatError

_SPACE = " \t\r\n"  # other white space may belong to words
_ASCII_SPACE = re.compile(f"[{_SPACE}]+")


class Question(NamedTuple):
    """An analogy in a file: a is to b as c is to the expected answer."""

    a: str
    b: str
    c: str
    expected: str


class Pair(NamedTuple):
    """Two words, and how similar people find them."""

    first: str
    second: str
    similarity: float


def read_questions(path: Path) -> list[tuple[str, list[Question]]]:
    """The sections of a file of analogies with their questions, in order."""
    sections: list[tuple[str, list[Question]]] = []
    for offset, line in _lines(path):
        if line.startswith(":"):
            sections.append((line.lstrip(": ").strip(), []))
            continue
        words, got = _ASCII_SPACE.split(line.strip(_SPACE)), repr(line.strip())
        if words == [""]:
            continue
        if not sections:
            expected = "a line `: SECTION` first"
            raise FormatError(path, offset=offset, expected=expected, got=got)
        if len(words) != 4:
            got = f"{len(words)}: {got}"
            raise FormatError(path, offset=offset, expected="four words", got=got)
        sections[-1][1].append(Question(*words))
    return sections


def read_pairs(path: Path, delimiter: str = "\t") -> list[Pair]:
    """The pairs of a file, without comments and without a line of headings."""
    expected = f"two words and a number with {delimiter!r} between"
    pairs: list[Pair] = []
    may_be_headings = True
    for offset, line in _lines(path):
        if line.startswith("#") or not line.strip():
            continue
        try:
            first, second, judged = (field.strip(_SPACE) for field in line.split(delimiter))
            pairs.append(Pair(first, second, float(judged)))
        except ValueError:
            if not may_be_headings:
                got = repr(line.strip())
                raise FormatError(path, offset=offset, expected=expected, got=got) from None
        may_be_headings = False
    if not pairs:
        raise FormatError(path, offset=0, expected=f"lines of {expected}", got="none")
    return pairs


def holds_analogies(path: Path) -> bool:
    """Whether a file begins with a section of analogies."""
    lines = (line for _, line in _lines(path) if line.strip() and not line.startswith("#"))
    return next(lines, "").startswith(":")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with the offsets of their first bytes, without a byte order mark."""
    check_file(path)
    offset = 0
    with open(fspath(path), "rb") as file:
        for raw in file:
            if not offset and raw.startswith(codecs.BOM_UTF8):
                offset, raw = len(codecs.BOM_UTF8), raw.removeprefix(codecs.BOM_UTF8)
            # Bytes that are not UTF-8 are kept: words of some models contain them.
            yield offset, raw.decode("utf-8", "surrogateescape")
            offset += len(raw)
