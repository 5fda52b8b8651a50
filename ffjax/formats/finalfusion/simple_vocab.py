"""The chunk of a vocabulary without subwords, behind identifier 1 and length.

    n_words  u64
    words    n_words times: u32 length, UTF-8 bytes

Word i has row i of the storage.
"""

from ffjax.formats.finalfusion.header import CHUNK_HEADER, ChunkId, write_chunk_header
from ffjax.formats.finalfusion.string_list import items_size, read_items, write_items
from ffjax.formats.finalfusion.vocab_common import check_words, made_of
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.vocab import SimpleVocab


def read(cursor: Cursor) -> SimpleVocab:
    """Reads the body of the chunk.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over, or a word is not UTF-8 or occurs twice.
    """
    words = read_items(cursor, cursor.u64("number of words"), "word")
    cursor.finish()
    return made_of(cursor, words, lambda: SimpleVocab(words.table))


def size(vocab: SimpleVocab, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk, wherever it stands.

    Raises:
        FinalfusionFormatError: the words cannot be stored.
    """
    check_words(vocab, ChunkId.SimpleVocab.name, file)
    return CHUNK_HEADER + 8 + items_size(vocab.table)


def write(out: Output, vocab: SimpleVocab) -> None:
    """Writes the whole chunk."""
    write_chunk_header(out, ChunkId.SimpleVocab, size(vocab, out.position) - CHUNK_HEADER)
    out.pack("Q", len(vocab.table))
    write_items(out, vocab.table)
