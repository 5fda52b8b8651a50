"""What the vocabulary chunks share: the n-gram range, the words, and turning words into a vocabulary."""

from collections.abc import Callable
from typing import TypeVar

from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion.string_list import Items, check_text, refuse_duplicates
from ffjax.formats.io.binary import Cursor, File
from ffjax.vocab import Vocab
from ffjax.vocab.ngrams import FastTextIndexer, FloretIndexer, PrunedIndexer

V = TypeVar("V")


def read_range(cursor: Cursor) -> tuple[int, int]:
    """Reads the lengths of the shortest and the longest n-grams, in characters.

    Raises:
        FinalfusionFormatError: no lengths lie between them.
    """
    at = cursor.position
    min_n = cursor.u32("min_n")
    if min_n < 1:
        raise cursor.error("min_n", "at least 1", str(min_n), offset=at)
    max_n = cursor.u32("max_n")
    if max_n < min_n:
        raise cursor.error("max_n", f"at least min_n, which is {min_n}", str(max_n), offset=at + 4)
    return min_n, max_n


def read_within(cursor: Cursor, code: str, field: str, least: int, most: int) -> int:
    """Reads one number that must lie within bounds.

    Raises:
        FinalfusionFormatError: it does not.
    """
    at = cursor.position
    number = cursor.number(code, field)
    if not least <= number <= most:
        raise cursor.error(field, f"{least} to {most}", str(number), offset=at)
    return number


def made_of(cursor: Cursor, items: Items, make: Callable[[], V]) -> V:
    """Calls `make`, which refuses strings that occur twice; an error names the string and where it is.

    Raises:
        FinalfusionFormatError: a string of `items` occurs twice.
    """
    try:
        return make()
    except ValueError as error:
        refuse_duplicates(cursor, items)
        raise cursor.error(f"{items.what}s", "a vocabulary", str(error), offset=items.start) from error


def check_indexer(indexer: FastTextIndexer | PrunedIndexer | FloretIndexer, chunk: str, file: File | None) -> None:
    """Checks that an indexer takes the n-grams that finalfusion takes, and has a row for each bucket.

    Raises:
        FinalfusionFormatError: it leaves out some.
    """
    if isinstance(indexer, PrunedIndexer):
        raise FinalfusionFormatError(
            file,
            chunk=chunk,
            field="number of buckets",
            expected="a row for each bucket",
            got=f"{indexer.upper_bound} rows for {indexer.n_buckets} buckets, the others pruned",
            hint="A finalfusion file cannot hold this indexer; `write_fasttext` can.",
        )
    if indexer.skip_edge_unigrams and indexer.min_n == 1:
        raise FinalfusionFormatError(
            file,
            chunk=chunk,
            field="min_n",
            expected="at least 2, or an indexer that takes all n-grams, as finalfusion does",
            got="1, and an indexer with `skip_edge_unigrams=True`",
            hint="A finalfusion file cannot hold this indexer; unknown words would get other vectors.",
        )


def check_words(vocab: Vocab, chunk: str, file: File | None) -> None:
    """Checks that the words of a vocabulary may be stored.

    Raises:
        FinalfusionFormatError: words share rows, or one is not UTF-8.
    """
    if vocab.shared_rows is not None:
        raise FinalfusionFormatError(
            file,
            chunk=chunk,
            field="words",
            expected="a row for each word, since finalfusion gives word i row i",
            got=f"{len(vocab)} words that share {vocab.n_word_rows} rows",
            hint="Give each word a row with `ffjax.unshare_rows(embeddings)`, or `ffjax.save(..., unshare_rows=True)`.",
        )
    check_text(vocab.table, chunk, "word", file)
