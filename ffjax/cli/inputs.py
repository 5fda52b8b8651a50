"""Where queries come from: arguments, a file, or standard input."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TextIO

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import shown

# Queries answered by one call of a compiled program: several blocks of the search.
BATCH = 1024
_SEPARATORS = " \t\r\n"

Query = tuple[str, ...]


def queries(
    words: Sequence[str] | None, file: str | None, size: int, *other_inputs: str
) -> Iterator[list[Query]]:
    """Batches of queries of `size` words each, from arguments, a file opened now, or stdin."""
    words = words or []
    if words and file is not None:
        raise BadInput(f"expected words or --input, got both. Drop --input {file} or the words.")
    if words and words != ["-"]:
        if len(words) % size:
            got = " ".join(words)
            raise BadInput(f"expected {size} words per query, got {len(words)}: {got}.")
        return _batches(zip(*[iter(words)] * size, strict=True), BATCH)
    file = file or "-"
    if file == "-" and "-" in other_inputs:
        raise BadInput(
            "expected queries as words or with --input, since standard input holds the embeddings."
        )
    stream = open_text(file)
    if stream.isatty():
        say(f"reading {'a word' if size == 1 else f'{size} words'} per line; end with Ctrl-D.")
    # On a terminal each line is answered before the next.
    return _batches(_parsed(stream, size, file), 1 if stream.isatty() else BATCH)


def text_of(file: str) -> str:
    """The contents of a text file, or of standard input for `-`."""
    stream = open_text(file)
    with nullcontext() if stream is sys.stdin else stream:
        return stream.read()


def open_text(file: str) -> TextIO:
    """Opens a text file for reading; standard input for `-`."""
    if file == "-":
        return sys.stdin
    # Bytes that are not UTF-8 pass through: words of some models contain them.
    return open(file, encoding="utf-8", errors="surrogateescape")


def lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    """The numbers and texts of a file's lines, without empty ones.

    Spaces, tabs and a CR around a text are dropped, and a byte order mark before the first one.
    Other white space, such as a no-break space, belongs to words.
    """
    with nullcontext() if stream is sys.stdin else stream:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line[1:2] not in _SEPARATORS:
                line = line.removeprefix("\ufeff")
            if text := line.strip(_SEPARATORS):
                yield number, text


def _parsed(stream: TextIO, size: int, file: str) -> Iterator[Query]:
    for number, text in lines(stream):
        words = [text] if size == 1 else re.split("\t" if "\t" in text else " +", text)
        if len(words) != size:
            got = f"{len(words)}: {text}"
            raise BadInput(f"{shown(file)}: line {number}: expected {size} words, got {got}")
        yield tuple(words)


def _batches(items: Iterable[Query], size: int) -> Iterator[list[Query]]:
    batch: list[Query] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except BadInput:
        if batch:  # queries before a bad line are answered first
            yield batch
        raise
    if batch:
        yield batch
