"""The chunks of vocabularies with hashed n-grams, behind identifier 3 or 7 and length.

    n_words  u64
    min_n    u32
    max_n    u32
    buckets  u32  chunk 3: the number of buckets as an exponent of two; chunk 7: the number itself
    words    n_words times: u32 length, UTF-8 bytes

Chunk 3 hashes as finalfusion does, chunk 7 as fastText. Word i has row i, bucket j row `n_words + j`.
"""

from ffjax.formats.finalfusion.header import CHUNK_HEADER, ChunkId, write_chunk_header
from ffjax.formats.finalfusion.string_list import items_size, read_items, write_items
from ffjax.formats.finalfusion.vocab_common import (
    check_indexer,
    check_words,
    made_of,
    read_range,
    read_within,
)
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.vocab import FastTextVocab, FinalfusionBucketVocab
from ffjax.vocab.ngrams import FastTextIndexer, FinalfusionHashIndexer


def read(cursor: Cursor) -> FinalfusionBucketVocab:
    """Reads the body of chunk 3.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over, has no n-gram range or buckets that make sense, or
            a word is not UTF-8 or occurs twice.
    """
    n_words = cursor.u64("number of words")
    min_n, max_n = read_range(cursor)
    indexer = FinalfusionHashIndexer(read_within(cursor, "I", "bucket exponent", 1, 63), min_n, max_n)
    words = read_items(cursor, n_words, "word")
    cursor.finish()
    return made_of(cursor, words, lambda: FinalfusionBucketVocab(words.table, indexer))


def read_fasttext(cursor: Cursor) -> FastTextVocab:
    """Reads the body of chunk 7.

    Raises:
        FinalfusionFormatError: as `read`.
    """
    n_words = cursor.u64("number of words")
    min_n, max_n = read_range(cursor)
    indexer = FastTextIndexer(read_within(cursor, "I", "number of buckets", 1, 2**32 - 1), min_n, max_n)
    words = read_items(cursor, n_words, "word")
    cursor.finish()
    return made_of(cursor, words, lambda: FastTextVocab(words.table, indexer))


def size(vocab: FinalfusionBucketVocab | FastTextVocab, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk, wherever it stands.

    Raises:
        FinalfusionFormatError: the words or the indexer cannot be stored.
    """
    if isinstance(vocab, FastTextVocab):
        check_indexer(vocab.subword_indexer, ChunkId.FastTextSubwordVocab.name, file)
    check_words(vocab, _identifier(vocab).name, file)
    return CHUNK_HEADER + 8 + 12 + items_size(vocab.table)


def write(out: Output, vocab: FinalfusionBucketVocab | FastTextVocab) -> None:
    """Writes the whole chunk, 3 or 7 by the kind of vocabulary."""
    write_chunk_header(out, _identifier(vocab), size(vocab, out.position) - CHUNK_HEADER)
    indexer = vocab.subword_indexer
    buckets = indexer.buckets_exp if isinstance(indexer, FinalfusionHashIndexer) else indexer.n_buckets
    out.pack("QIII", len(vocab.table), indexer.min_n, indexer.max_n, buckets)
    write_items(out, vocab.table)


def _identifier(vocab: FinalfusionBucketVocab | FastTextVocab) -> ChunkId:
    fasttext = isinstance(vocab, FastTextVocab)
    return ChunkId.FastTextSubwordVocab if fasttext else ChunkId.BucketSubwordVocab
