"""Where queries come from: arguments, a file, or standard input."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TextIO

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import shown

# Queries answered by one call of a compiled program: several blocks of the search.
BATCH = 1024

Query = tuple[str, ...]


def queries(
    words: Sequence[str], file: str | None, size: int, *, stdin_is_read: bool = False
) -> Iterator[list[Query]]:
    """Batches of queries of `size` words each.

    They are `words`, or the lines of `file`, or of standard input if both are absent or `-`.
    Lines typed at a terminal come one by one, so that each is answered before the next.
    The file is opened at once.

    Args:
        words: arguments of the command.
        file: a path, `-` for standard input.
        size: words per query. In a line they are separated by tabs if there is one, else by
            spaces; with a size of 1 the line is the word.
        stdin_is_read: whether standard input holds the embeddings.

    Raises:
        BadInput: an incomplete query, both `words` and `file`, or standard input twice.
        OSError: the file cannot be read.
    """
    if words and file is not None:
        raise BadInput(f"expected words or --input, got both. Drop --input {file} or the words.")
    if words and list(words) != ["-"]:
        if len(words) % size:
            got = f"{len(words)}: {' '.join(words)}"
            raise BadInput(f"expected {size} words per query, got {got}.")
        return _batches(zip(*[iter(words)] * size, strict=True), BATCH)
    file = file or "-"
    if stdin_is_read and file == "-":
        raise BadInput(
            "expected queries as words or with --input, since standard input holds the embeddings."
        )
    stream = open_text(file)
    is_terminal = stream.isatty()
    if is_terminal:
        say(f"reading {'a word' if size == 1 else f'{size} words'} per line; end with Ctrl-D.")
    return _batches(_parsed(stream, size, file), 1 if is_terminal else BATCH)


def lines(file: str) -> Iterator[tuple[int, str]]:
    """The numbers and texts of a file's lines, stripped, without empty ones."""
    return _lines(open_text(file))


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


def _lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    with nullcontext() if stream is sys.stdin else stream:
        for number, line in enumerate(stream, start=1):
            if text := line.strip():
                yield number, text


def _parsed(stream: TextIO, size: int, file: str) -> Iterator[Query]:
    for number, text in _lines(stream):
        fields = text.split("\t") if "\t" in text else text.split()
        words = (text,) if size == 1 else tuple(fields)
        if len(words) != size:
            where = f"{shown(file)}: line {number}"
            raise BadInput(f"{where}: expected {size} words, got {len(words)}: {text}")
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
        if batch:  # queries before a bad line are answered first
            yield batch
        raise
    if batch:
        yield batch
