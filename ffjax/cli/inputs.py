"""Where queries come from: arguments, a file, or standard input."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TextIO

from ffjax.cli.exit_status import BadInput, say

# Queries that are answered by one call of a compiled program: several blocks of the search.
BATCH = 1024

Query = tuple[str, ...]


def queries(words: Sequence[str], file: str | None, size: int, *, taken: bool = False) -> Iterator[list[Query]]:
    """Queries of `size` words each, in batches.

    They are `words`, or the lines of `file`, or those of standard input if there is neither, or `-`. What is typed at a
    terminal comes one by one, so that each is answered before the next. Whether the file is there is checked at once.

    Args:
        words: arguments of the command.
        file: a path, `-` for standard input.
        size: words in a query. A line with one word is that word; with more, words are separated by tabs if there is
            a tab, else by spaces.
        taken: whether standard input is the embeddings.

    Raises:
        BadInput: words that do not make whole queries, both `words` and `file`, or standard input twice.
        OSError: the file cannot be read.
    """
    if words and file is not None:
        raise BadInput(f"expected words or --input, got both. Leave out --input {file} or the words.")
    if words and list(words) != ["-"]:
        if len(words) % size:
            raise BadInput(f"expected {size} words for each query, got {len(words)}: {' '.join(words)}.")
        return _batches(zip(*[iter(words)] * size, strict=True), BATCH)
    file = file or "-"
    if taken and file == "-":
        raise BadInput("expected queries as words or with --input, since standard input holds the embeddings.")
    stream = opened(file)
    interactive = stream.isatty()
    if interactive:
        say(f"reading {'a word' if size == 1 else f'{size} words'} a line; end with Ctrl-D.")
    return _batches(_parsed(stream, size, file), 1 if interactive else BATCH)


def lines(file: str) -> Iterator[tuple[int, str]]:
    """The numbers and the texts of a file's lines, without surrounding space and without empty lines.

    Args:
        file: a path, `-` for standard input.

    Raises:
        OSError: the file cannot be read.
    """
    return _lines(opened(file))


def text_of(file: str) -> str:
    """All of a text file, or of standard input for `-`."""
    stream = opened(file)
    with nullcontext() if stream is sys.stdin else stream:
        return stream.read()


def opened(file: str) -> TextIO:
    """A text file opened for reading, or standard input for `-`."""
    # Bytes that are not UTF-8 come in as they are: words of some models contain them.
    return sys.stdin if file == "-" else open(file, encoding="utf-8", errors="surrogateescape")


def _lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    with nullcontext() if stream is sys.stdin else stream:
        for number, line in enumerate(stream, start=1):
            if text := line.strip():
                yield number, text


def _parsed(stream: TextIO, size: int, file: str) -> Iterator[Query]:
    for number, text in _lines(stream):
        words = (text,) if size == 1 else tuple(text.split("\t") if "\t" in text else text.split())
        if len(words) != size:
            name = "standard input" if file == "-" else file
            raise BadInput(f"{name}: line {number}: expected {size} words, got {len(words)}: {text}")
        yield words


def _batches(items: Iterable[Query], size: int) -> Iterator[list[Query]]:
    batch: list[Query] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except BadInput:
        # What came before a bad line is answered first.
        if batch:
            yield batch
        raise
    if batch:
        yield batch
