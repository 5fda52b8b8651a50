"""The chunks of vocabularies with hashed n-grams, after identifier 3 or 7 and length.

    n_words  u64
    min_n    u32
    max_n    u32
    buckets  u32  chunk 3: the number of buckets as an exponent of two; chunk 7: the number itself
    words    n_words times: u32 length, UTF-8 bytes

Chunk 3 hashes as finalfusion does, chunk 7 as fastText. Word i has row i, bucket j row
`n_words + j`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ffjax.formats.finalfusion import string_list
from ffjax.formats.io.binary import Cursor, Output
from ffjax.vocab import FastTextVocab, FinalfusionBucketVocab
from ffjax.vocab.ngrams import FastTextIndexer, FinalfusionHashIndexer


def read(cursor: Cursor) -> FinalfusionBucketVocab:
    """Reads the body of chunk 3."""
    return _read(cursor, "bucket exponent", 63, FinalfusionBucketVocab, FinalfusionHashIndexer)


def read_fasttext(cursor: Cursor) -> FastTextVocab:
    """Reads the body of chunk 7."""
    return _read(cursor, "number of buckets", 2**32 - 1, FastTextVocab, FastTextIndexer)


def write(out: Output, vocab: FinalfusionBucketVocab) -> None:
    """Writes the body of chunk 3."""
    _write(out, vocab, vocab.subword_indexer.buckets_exp)


def write_fasttext(out: Output, vocab: FastTextVocab) -> None:
    """Writes the body of chunk 7."""
    string_list.check_indexer(vocab.subword_indexer)
    _write(out, vocab, vocab.subword_indexer.n_buckets)


def _read(
    cursor: Cursor, field: str, most: int, vocab: Callable[..., Any], indexer: Callable[..., Any]
) -> Any:
    n_words = cursor.u64("number of words")
    min_n, max_n = string_list.read_range(cursor)
    buckets = cursor.number("I", field, 1, most)
    words = string_list.read_strings(cursor, n_words, "word")
    cursor.finish()
    ngrams = partial(indexer, buckets, min_n, max_n)
    return string_list.build(cursor, words, lambda table: vocab(table, ngrams()))


def _write(out: Output, vocab: FinalfusionBucketVocab | FastTextVocab, buckets: int) -> None:
    string_list.check_words(vocab)
    indexer = vocab.subword_indexer
    out.pack("QIII", len(vocab.table), indexer.min_n, indexer.max_n, buckets)
    string_list.write_strings(out, vocab.table)
