"""The chunk of a vocabulary without subwords, after identifier 1 and length.

    n_words  u64
    words    n_words times: u32 length, UTF-8 bytes

Word i has row i of the storage.
"""

from ffjax.formats.finalfusion.string_list import build, check_words, read_strings, write_strings
from ffjax.formats.io.binary import Cursor, Output
from ffjax.vocab import SimpleVocab


def read(cursor: Cursor) -> SimpleVocab:
    """Reads the body of the chunk."""
    words = read_strings(cursor, cursor.u64("number of words"), "word")
    cursor.finish()
    return build(cursor, words, SimpleVocab)


def write(out: Output, vocab: SimpleVocab) -> None:
    """Writes the body of the chunk."""
    check_words(vocab)
    out.pack("Q", len(vocab.table))
    write_strings(out, vocab.table)
