"""What the vocabulary chunks share: the n-gram range, building a vocabulary, and checks."""

from collections.abc import Callable
from typing import Any, TypeVar

from ffjax.formats.finalfusion.header import cannot_hold
from ffjax.formats.finalfusion.string_list import StringList, check_duplicates, check_utf8
from ffjax.formats.io.binary import Cursor
from ffjax.vocab import Vocab

T = TypeVar("T")


def read_range(cursor: Cursor) -> tuple[int, int]:
    """Reads the lengths of the shortest and the longest n-grams, in characters."""
    min_n, start = cursor.number("I", "min_n", 1), cursor.position
    max_n = cursor.u32("max_n")
    if max_n < min_n:
        least = f"at least min_n, which is {min_n}"
        raise cursor.error("max_n", least, str(max_n), offset=start)
    return min_n, max_n


def build(cursor: Cursor, strings: StringList, make: Callable[[], T]) -> T:
    """Calls `make`, which fails on strings that occur twice; the error then says where they are."""
    try:
        return make()
    except ValueError as error:
        check_duplicates(cursor, strings)
        noun = f"{strings.noun}s"
        raise cursor.error(noun, "a vocabulary", str(error), offset=strings.start) from error


def check_words(vocab: Vocab) -> None:
    """Checks that finalfusion can hold the words: a row for each, and UTF-8."""
    if vocab.shared_rows is not None:
        raise cannot_hold(
            "words",
            "a row for each word, since finalfusion gives word i row i",
            f"{len(vocab)} words that share {vocab.n_word_rows} rows",
            "Give each word a row with `ffjax.unshare_rows(embeddings)`, or "
            "`ffjax.save(..., unshare_rows=True)`.",
        )
    check_utf8(vocab.table, "word")


def check_indexer(indexer: Any) -> None:
    """Checks that an indexer has a row for each bucket and takes the n-grams finalfusion takes."""
    if indexer.upper_bound != indexer.n_buckets:
        raise cannot_hold(
            "number of buckets",
            "a row for each bucket",
            f"{indexer.upper_bound} rows for {indexer.n_buckets} buckets, the others pruned",
            "A finalfusion file cannot hold this indexer; `write_fasttext` can.",
        )
    if indexer.skip_edge_unigrams and indexer.min_n == 1:
        raise cannot_hold(
            "min_n",
            "at least 2, or an indexer that takes all n-grams, as finalfusion does",
            "1, and an indexer with `skip_edge_unigrams=True`",
            "A finalfusion file cannot hold this indexer; unknown words would get other vectors.",
        )
