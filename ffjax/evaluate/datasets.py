"""Files of questions: analogies by section, and pairs of words.

Analogies, as Google published them with word2vec:

    : SECTION LF
    a SP b SP c SP answer LF
    ...

Pairs, as in WordSim-353 and SimLex-999: lines `word TAB word TAB similarity`, and lines of comments after `#`.
"""

import codecs
from collections.abc import Iterator
from os import PathLike, fspath
from typing import NamedTuple

from ffjax.errors import FormatError

File = str | bytes | PathLike[str] | PathLike[bytes]


class Question(NamedTuple):
    """An analogy as it stands in a file: a is to b as c is to the answer."""

    a: str
    b: str
    c: str
    expected: str


class Pair(NamedTuple):
    """Two words, and how similar people find them."""

    first: str
    second: str
    similarity: float


def read_questions(path: File) -> list[tuple[str, list[Question]]]:
    """The sections of a file of analogies with their questions, in order.

    Raises:
        FormatError: a question before the first section, or a line that is no question.
        OSError: the file cannot be read.
    """
    sections: list[tuple[str, list[Question]]] = []
    for offset, line in _lines(path):
        if line.startswith(":"):
            sections.append((line.lstrip(": ").strip(), []))
            continue
        words = line.split()
        if not words:
            continue
        if not sections:
            raise FormatError(path, offset=offset, expected="a line `: SECTION` first", got=repr(line.strip()))
        if len(words) != 4:
            raise FormatError(path, offset=offset, expected="four words", got=f"{len(words)}: {line.strip()!r}")
        sections[-1][1].append(Question(*words))
    return sections


def read_pairs(path: File, delimiter: str = "\t") -> list[Pair]:
    """The pairs of a file, without comments and without a line of headings.

    Raises:
        FormatError: a line is no pair, or there is none.
        OSError: the file cannot be read.
    """
    pairs: list[Pair] = []
    headings = True
    for offset, line in _lines(path):
        if line.startswith("#") or not line.strip():
            continue
        fields = [field.strip() for field in line.split(delimiter)]
        try:
            first, second, judged = fields
            pairs.append(Pair(first, second, float(judged)))
        except ValueError:
            if not headings:
                expected = f"two words and a number with {delimiter!r} between"
                raise FormatError(path, offset=offset, expected=expected, got=repr(line.strip())) from None
        headings = False
    if not pairs:
        expected = f"lines of two words and a number with {delimiter!r} between"
        raise FormatError(path, offset=0, expected=expected, got="none")
    return pairs


def holds_analogies(path: File) -> bool:
    """Whether a file begins with a section of analogies."""
    first = next((line for _, line in _lines(path) if line.strip() and not line.startswith("#")), "")
    return first.startswith(":")


def _lines(path: File) -> Iterator[tuple[int, str]]:
    """Lines with the offsets of their first bytes, without the mark of UTF-8 at the beginning of some files."""
    offset = 0
    with open(fspath(path), "rb") as file:
        for raw in file:
            if not offset and raw.startswith(codecs.BOM_UTF8):
                offset, raw = len(codecs.BOM_UTF8), raw.removeprefix(codecs.BOM_UTF8)
            # Bytes that are not UTF-8 come in as they are: words of some models contain them.
            yield offset, raw.decode("utf-8", "surrogateescape")
            offset += len(raw)
