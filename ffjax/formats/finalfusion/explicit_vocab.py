"""The chunk of a vocabulary with explicit n-grams, behind identifier 8 and length.

    n_words   u64
    n_ngrams  u64
    min_n     u32
    max_n     u32
    words     n_words times: u32 length, UTF-8 bytes
    ngrams    n_ngrams times: u32 length, UTF-8 bytes, u64 row counted from 0 behind the words' rows

Several n-grams may share a row; together they use every row from 0 to the largest.

finalfusion-python 0.7 leaves the rows, eight bytes for each n-gram, out of the chunk's length. Such a chunk is read
(`header` finds its end), and as long as the vocabulary is the object that was read, it is written with the same length
again, so that a file stays the same byte for byte. Other vocabularies are written with the right length.
"""

import numpy as np

from ffjax.formats.finalfusion.header import CHUNK_HEADER, ChunkId, write_chunk_header
from ffjax.formats.finalfusion.string_list import (
    Items,
    check_text,
    items_size,
    read_items,
    write_items,
)
from ffjax.formats.finalfusion.vocab_common import check_words, made_of, read_range
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.vocab import ExplicitVocab
from ffjax.vocab.ngrams import ExplicitIndexer

# Set on a vocabulary whose chunk left the rows out of its length; no part of its value.
_SHORT = "_short_length"


def read(cursor: Cursor) -> ExplicitVocab:
    """Reads the body of the chunk.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over or no n-gram range that makes sense, a word or
            n-gram is not UTF-8 or occurs twice, or the n-grams' rows leave a gap.
    """
    start = cursor.position
    declared = Cursor(cursor.source, start - 8, start).u64("length")
    n_words, n_ngrams = cursor.u64("number of words"), cursor.u64("number of n-grams")
    min_n, max_n = read_range(cursor)
    words = read_items(cursor, n_words, "word")
    ngrams = read_items(cursor, n_ngrams, "n-gram", with_rows=True)
    cursor.finish()
    rows = _checked_rows(cursor, ngrams)
    indexer = made_of(cursor, ngrams, lambda: ExplicitIndexer(ngrams.table, min_n, max_n, rows))
    vocab = made_of(cursor, words, lambda: ExplicitVocab(words.table, indexer))
    if declared != cursor.end - start:
        object.__setattr__(vocab, _SHORT, True)
    return vocab


def size(vocab: ExplicitVocab, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk, wherever it stands.

    Raises:
        FinalfusionFormatError: the words or n-grams cannot be stored.
    """
    check_words(vocab, ChunkId.ExplicitSubwordVocab.name, file)
    ngrams = vocab.subword_indexer.table
    check_text(ngrams, ChunkId.ExplicitSubwordVocab.name, "n-gram", file)
    return CHUNK_HEADER + 16 + 8 + items_size(vocab.table) + items_size(ngrams, with_rows=True)


def write(out: Output, vocab: ExplicitVocab) -> None:
    """Writes the whole chunk."""
    indexer = vocab.subword_indexer
    length = size(vocab, out.position) - CHUNK_HEADER
    if getattr(vocab, _SHORT, False):
        length -= 8 * len(indexer.table)
    write_chunk_header(out, ChunkId.ExplicitSubwordVocab, length)
    out.pack("QQII", len(vocab.table), len(indexer.table), indexer.min_n, indexer.max_n)
    write_items(out, vocab.table)
    write_items(out, indexer.table, np.asarray(indexer.rows))


def _checked_rows(cursor: Cursor, ngrams: Items) -> np.ndarray:
    rows = ngrams.rows
    assert rows is not None
    over = rows >= len(rows)
    if over.any():
        index = int(np.argmax(over))
        raise cursor.error(
            f"row of n-gram {index}",
            f"less than {len(rows)}, the number of n-grams",
            str(rows[index]),
            offset=ngrams.offset(index) + len(ngrams.table.raw(index)),
        )
    rows = rows.astype(np.int32)  # there are fewer than 2**31 of them
    used = np.zeros(int(rows.max(initial=-1)) + 1, bool)
    used[rows] = True
    if not used.all():
        index = int(np.argmax(rows))
        raise cursor.error(
            f"row of n-gram {index}",
            "rows from 0 to the largest, each the row of an n-gram",
            f"{rows[index]}, and no n-gram for row {int(np.argmin(used))}",
            offset=ngrams.offset(index) + len(ngrams.table.raw(index)),
        )
    return rows
