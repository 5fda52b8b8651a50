"""Files of benchmarks, analogies by section and pairs of words, and the words that one knows.

Analogies, as Google published them with word2vec:

    : SECTION LF
    a SP b SP c SP answer LF
    ...

Pairs, as in WordSim-353 and SimLex-999: lines `word TAB word TAB similarity`, and comments that
begin with `#`.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from os import fspath
from typing import NamedTuple

import numpy as np

from ffjax._internal.arguments import whole_number
from ffjax._internal.file_arguments import Path, check_file
from ffjax.errors import FormatError
from ffjax.vocab import Vocab

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
        if sections and len(words) == 4:
            sections[-1][1].append(Question(*words))
            continue
        expected = "a line `: SECTION` first"
        if sections:
            expected, got = "four words", f"{len(words)}: {got}"
        raise FormatError(path, offset=offset, expected=expected, got=got)
    return sections


def read_pairs(path: Path, delimiter: str = "\t") -> list[Pair]:
    """The pairs of a file, without comments and without a line of headings."""
    expected = f"two words and a number with {delimiter!r} between"
    pairs: list[Pair] = []
    lines = (x for x in _lines(path) if x[1].strip() and not x[1].startswith("#"))
    for number, (offset, line) in enumerate(lines):
        try:
            first, second, judged = (field.strip(_SPACE) for field in line.split(delimiter))
            pairs.append(Pair(first, second, float(judged)))
        except ValueError:
            if number:  # the first line may be headings
                got = repr(line.strip())
                raise FormatError(path, offset=offset, expected=expected, got=got) from None
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
            if b"\0" in raw:
                raise FormatError(path, offset=offset, expected="text", got="a binary file")
            # Bytes that are not UTF-8 are kept: words of some models contain them.
            yield offset, raw.decode("utf-8", "surrogateescape")
            offset += len(raw)


class KnownWords:
    """The first words of a vocabulary, found by their folded forms.

    Case is folded by `str.upper`, as gensim does. Of several words that fold to the same the first
    one counts, which is the most frequent in most files.
    """

    def __init__(self, vocab: Vocab, restrict: int | None, fold_case: bool) -> None:
        if restrict is not None:
            restrict = whole_number("restrict", restrict, 1, "None stands for all words.")
        self.fold_case = fold_case
        words = vocab.words[:restrict]
        self.n_words = len(words)
        self.rows = vocab.first_rows(len(words))  # as `top_k` takes candidates; `None` for all
        folded = list(map(str.upper, words)) if fold_case else words
        # Entered from the last to the first, so that the first of equal words stays.
        numbers = range(len(words) - 1, -1, -1)
        self._numbers = dict(zip(reversed(folded), numbers, strict=True))

    def number(self, word: str) -> int:
        """The number of the word that counts for this one, -1 if it is unknown."""
        return self._numbers.get(word.upper() if self.fold_case else word, -1)

    def numbers(self, words: Sequence[str]) -> np.ndarray:
        """`number` of each word, int64 `[n]`."""
        return np.fromiter(map(self.number, words), np.int64, len(words))
