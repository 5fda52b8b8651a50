"""The chunk of a vocabulary with explicit n-grams, after identifier 8 and length.

    n_words   u64
    n_ngrams  u64
    min_n     u32
    max_n     u32
    words     n_words times: u32 length, UTF-8 bytes
    ngrams    n_ngrams times: u32 length, UTF-8 bytes, u64 row counted from 0 after the words' rows

Several n-grams may share a row; together they use every row from 0 to the largest.

finalfusion-python 0.7 leaves the rows, eight bytes for each n-gram, out of the chunk's length. Such
a chunk is read (`header` finds its end) and written again with the length that it had, so that
rewriting a file of finalfusion-python gives the same bytes.
"""

import numpy as np

from ffjax.formats.finalfusion import string_list
from ffjax.formats.io.binary import Cursor, Output
from ffjax.vocab import ExplicitVocab
from ffjax.vocab.ngrams import ExplicitIndexer

# Set on a vocabulary that was read from a chunk of too short a length; not part of its value.
_SHORT_LENGTH = "_short_length"


def read(cursor: Cursor) -> ExplicitVocab:
    """Reads the body of the chunk."""
    start = cursor.position
    declared = Cursor(cursor.source, start - 8, start).u64("length")
    n_words, n_ngrams = cursor.u64("number of words"), cursor.u64("number of n-grams")
    min_n, max_n = string_list.read_range(cursor)
    words = string_list.read_strings(cursor, n_words, "word")
    ngrams = string_list.read_strings(cursor, n_ngrams, "n-gram", with_rows=True)
    cursor.finish()
    rows = _checked_rows(cursor, ngrams)
    indexer = string_list.build(cursor, ngrams, ExplicitIndexer, min_n, max_n, rows)
    vocab = string_list.build(cursor, words, ExplicitVocab, indexer)
    if declared != cursor.end - start:
        object.__setattr__(vocab, _SHORT_LENGTH, True)
    return vocab


def declared_length(vocab: ExplicitVocab, length: int) -> int:
    """The length that the chunk's header states, of a body of `length` bytes."""
    is_short = getattr(vocab, _SHORT_LENGTH, False)
    return length - 8 * len(vocab.subword_indexer.table) if is_short else length


def write(out: Output, vocab: ExplicitVocab) -> None:
    """Writes the body of the chunk."""
    indexer = vocab.subword_indexer
    string_list.check_words(vocab)
    string_list.check_utf8(indexer.table, "n-gram")
    out.pack("QQII", len(vocab.table), len(indexer.table), indexer.min_n, indexer.max_n)
    string_list.write_strings(out, vocab.table)
    string_list.write_strings(out, indexer.table, np.asarray(indexer.rows))


def _checked_rows(cursor: Cursor, ngrams: string_list.StringList) -> np.ndarray:
    rows, n = ngrams.rows, len(ngrams.table)
    assert rows is not None

    def error(index: int, expected: str, got: str) -> Exception:
        row_at = ngrams.offset(index) + len(ngrams.table.raw(index))
        return cursor.error(f"row of n-gram {index}", expected, got, offset=row_at)

    if rows.max(initial=0) >= max(n, 1):
        index = int(np.argmax(rows >= n))
        raise error(index, f"less than {n}, the number of n-grams", str(rows[index]))
    rows = rows.astype(np.int32)  # there are fewer than 2**31 of them
    has_ngram = np.zeros(int(rows.max(initial=-1)) + 1, bool)
    has_ngram[rows] = True
    if not has_ngram.all():
        index = int(np.argmax(rows))
        missing = int(np.argmin(has_ngram))
        got = f"{rows[index]}, and no n-gram for row {missing}"
        raise error(index, "rows from 0 to the largest, each the row of an n-gram", got)
    return rows
