"""The chunks of vocabularies; each begins with its identifier and length, which `header` reads.

    chunk 1, words alone
        n_words    u64
        words      n_words times: u32 length, UTF-8 bytes

    chunks 3 and 7, n-grams hashed as finalfusion and as fastText does
        n_words    u64
        min_n      u32
        max_n      u32
        buckets    u32  chunk 3: the number of buckets as an exponent of two; chunk 7: the number
        words      as above

    chunk 8, n-grams with their rows
        n_words    u64
        n_ngrams   u64
        min_n      u32
        max_n      u32
        words      as above
        ngrams     n_ngrams times: u32 length, UTF-8 bytes, u64 row

    chunk 9, floret; no words
        min_n      u32
        max_n      u32
        n_buckets  u64
        n_hashes   u32  1 to 4
        seed       u32  of MurmurHash3
        bow        u32 length, UTF-8 bytes: what marks the beginning of a word
        eow        u32 length, UTF-8 bytes: what marks its end

Word i has row i of the storage, and the rows of buckets and n-grams are counted from `n_words`.
Several n-grams of chunk 8 may share a row; together they use every row from 0 to the largest.

finalfusion-python 0.7 leaves the rows, eight bytes for each n-gram, out of the length of chunk 8.
Such a chunk is read (`header` finds its end) and written again with the length that it had, so that
rewriting a file of finalfusion-python gives the same bytes. It knows chunks 1 to 8 only;
finalfusion-rust reads and writes chunk 9 too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ffjax.formats.finalfusion.header import ChunkId, cannot_hold
from ffjax.formats.finalfusion.string_list import StringList, read_strings, write_strings
from ffjax.formats.io.binary import Cursor, Output
from ffjax.vocab import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    SimpleVocab,
    Vocab,
)
from ffjax.vocab.ngrams import (
    ExplicitIndexer,
    FastTextIndexer,
    FinalfusionHashIndexer,
    FloretIndexer,
)

# Set on a vocabulary that was read from a chunk of too short a length; not part of its value.
_SHORT_LENGTH = "_short_length"


def read_simple(cursor: Cursor) -> SimpleVocab:
    """Reads the body of chunk 1."""
    words = read_strings(cursor, cursor.u64("number of words"), "word")
    return _build(cursor, words, SimpleVocab)


def write_simple(out: Output, vocab: SimpleVocab) -> None:
    """Writes the body of chunk 1."""
    out.pack("Q", len(vocab))
    _write_words(out, vocab)


def read_buckets(cursor: Cursor) -> FinalfusionBucketVocab:
    """Reads the body of chunk 3."""
    words, settings = _read_hashed(cursor, "bucket exponent", 63)
    return _build(cursor, words, FinalfusionBucketVocab, FinalfusionHashIndexer(*settings))


def read_fasttext(cursor: Cursor) -> FastTextVocab:
    """Reads the body of chunk 7."""
    words, settings = _read_hashed(cursor, "number of buckets", 2**32 - 1)
    return _build(cursor, words, FastTextVocab, FastTextIndexer(*settings))


def write_buckets(out: Output, vocab: FinalfusionBucketVocab | FastTextVocab) -> None:
    """Writes the body of chunk 3 or 7."""
    indexer: Any = vocab.subword_indexer
    _check_indexer(indexer)
    buckets = getattr(indexer, "buckets_exp", indexer.n_buckets)
    out.pack("QIII", len(vocab), indexer.min_n, indexer.max_n, buckets)
    _write_words(out, vocab)


def read_explicit(cursor: Cursor) -> ExplicitVocab:
    """Reads the body of chunk 8."""
    start = cursor.position
    declared = Cursor(cursor.source, start - 8, start).u64("length")
    n_words, n_ngrams = cursor.u64("number of words"), cursor.u64("number of n-grams")
    min_n, max_n = _read_range(cursor)
    words = read_strings(cursor, n_words, "word")
    ngrams = read_strings(cursor, n_ngrams, "n-gram", with_rows=True)
    rows = _checked_rows(cursor, ngrams)
    indexer = _build(cursor, ngrams, ExplicitIndexer, min_n, max_n, rows)
    vocab = _build(cursor, words, ExplicitVocab, indexer)
    if declared != cursor.end - start:
        object.__setattr__(vocab, _SHORT_LENGTH, True)
    return vocab


def write_explicit(out: Output, vocab: ExplicitVocab) -> None:
    """Writes the body of chunk 8."""
    indexer = vocab.subword_indexer
    out.pack("QQII", len(vocab), len(indexer), indexer.min_n, indexer.max_n)
    _write_words(out, vocab)
    write_strings(out, indexer.table, "n-gram", np.asarray(indexer.rows))


def declared_length(vocab: Any, length: int) -> int:
    """The length that the header of a chunk states, of a body of `length` bytes."""
    is_short = getattr(vocab, _SHORT_LENGTH, False)
    return length - 8 * len(vocab.subword_indexer) if is_short else length


def read_floret(cursor: Cursor) -> FloretVocab:
    """Reads the body of chunk 9."""
    min_n, max_n = _read_range(cursor)
    n_buckets = cursor.number("Q", "number of buckets", 1, 2**32 - 1)
    n_hashes = cursor.number("I", "number of hashes", 1, 4)
    seed = cursor.u32("seed")
    bow = cursor.text("begin-of-word marker", cursor.u32("length of the begin-of-word marker"))
    eow = cursor.text("end-of-word marker", cursor.u32("length of the end-of-word marker"))
    # finalfusion takes all n-grams, floret skips single characters at the edges. Where n-grams are
    # longer, the default is right for both, and their files become equal values.
    skip = min_n > 1
    indexer = FloretIndexer(n_buckets, min_n, max_n, n_hashes, seed, skip_edge_unigrams=skip)
    return FloretVocab(indexer, bow=bow, eow=eow)


def write_floret(out: Output, vocab: FloretVocab) -> None:
    """Writes the body of chunk 9."""
    indexer = vocab.subword_indexer
    _check_indexer(indexer)
    sizes = indexer.min_n, indexer.max_n, indexer.n_buckets, indexer.n_hashes
    out.pack("IIQII", *sizes, indexer.seed)
    for marker in vocab.markers:
        raw = marker.encode()
        out.pack("I", len(raw))
        out.write(raw)


def _read_hashed(cursor: Cursor, field: str, most: int) -> tuple[StringList, Any]:
    """Words, and an indexer's settings: buckets and the lengths of n-grams."""
    n_words = cursor.u64("number of words")
    min_n, max_n = _read_range(cursor)
    buckets = cursor.number("I", field, 1, most)
    words = read_strings(cursor, n_words, "word")
    return words, (buckets, min_n, max_n)


def _read_range(cursor: Cursor) -> tuple[int, int]:
    """The lengths of the shortest and the longest n-grams, in characters."""
    min_n, start = cursor.number("I", "min_n", 1), cursor.position
    max_n = cursor.u32("max_n")
    if max_n < min_n:
        least = f"at least min_n, which is {min_n}"
        raise cursor.error("max_n", least, str(max_n), offset=start)
    return min_n, max_n


def _build(cursor: Cursor, strings: StringList, make: Callable[..., Any], *args: Any) -> Any:
    """Calls `make`, which fails on strings that occur twice; the error then says where they are."""
    table, noun = strings.table, strings.noun
    try:
        return make(table, *args)
    except ValueError as error:
        field, expected, got, offset = f"{noun}s", "a vocabulary", str(error), strings.start
        if duplicate := table.first_duplicate():
            first, second = duplicate
            field, expected = f"{noun} {second}", f"each {noun} once"
            offset = strings.offset(second)
            got = f"{table.raw(second)!r} for the second time, after {noun} {first}"
        raise cursor.error(field, expected, got, offset=offset) from error


def _checked_rows(cursor: Cursor, ngrams: StringList) -> np.ndarray:
    """The row of each n-gram."""
    rows, n = ngrams.rows, len(ngrams.table)
    assert rows is not None
    index = int(np.argmax(rows)) if n else 0
    expected = got = None
    if n and rows[index] >= n:
        index = int(np.argmax(rows >= n))
        expected, got = f"less than {n}, the number of n-grams", str(rows[index])
    elif not (has_ngram := np.bincount(rows.astype(np.int64)) > 0).all():
        expected = "rows from 0 to the largest, each the row of an n-gram"
        got = f"{rows[index]}, and no n-gram for row {int(np.argmin(has_ngram))}"
    if expected:
        row_at = ngrams.offset(index) + len(ngrams.table.raw(index))
        raise cursor.error(f"row of n-gram {index}", expected, str(got), offset=row_at)
    return rows.astype(np.int32)


def _write_words(out: Output, vocab: Vocab) -> None:
    if vocab.shared_rows is not None:
        raise cannot_hold(
            "words",
            "a row for each word, since finalfusion gives word i row i",
            f"{len(vocab)} words that share {vocab.n_word_rows} rows",
            "Give each word a row with `ffjax.unshare_rows(embeddings)`, or "
            "`ffjax.save(..., unshare_rows=True)`.",
        )
    write_strings(out, vocab.table, "word")


def _check_indexer(indexer: Any) -> None:
    """Checks that an indexer has a row for each bucket and takes the n-grams finalfusion takes."""
    if indexer.upper_bound != indexer.n_buckets:
        raise cannot_hold(
            "number of buckets",
            "a row for each bucket",
            f"{indexer.upper_bound} rows for {indexer.n_buckets} buckets, the others pruned",
            "A finalfusion file cannot hold this indexer. Write a fastText model (`.bin`).",
        )
    if indexer.skip_edge_unigrams and indexer.min_n == 1:
        raise cannot_hold(
            "min_n",
            "at least 2, or an indexer that takes all n-grams, as finalfusion does",
            "1, and an indexer with `skip_edge_unigrams=True`",
            "A finalfusion file cannot hold this indexer; unknown words would get other vectors.",
        )


READERS = {
    ChunkId.SimpleVocab: read_simple,
    ChunkId.BucketSubwordVocab: read_buckets,
    ChunkId.FastTextSubwordVocab: read_fasttext,
    ChunkId.ExplicitSubwordVocab: read_explicit,
    ChunkId.FloretSubwordVocab: read_floret,
}
WRITERS = {
    SimpleVocab: (ChunkId.SimpleVocab, write_simple),
    FinalfusionBucketVocab: (ChunkId.BucketSubwordVocab, write_buckets),
    FastTextVocab: (ChunkId.FastTextSubwordVocab, write_buckets),
    ExplicitVocab: (ChunkId.ExplicitSubwordVocab, write_explicit),
    FloretVocab: (ChunkId.FloretSubwordVocab, write_floret),
}
