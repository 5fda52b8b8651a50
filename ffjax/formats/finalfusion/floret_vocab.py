"""The chunk of a floret vocabulary, behind identifier 9 and length. It has no words of its own.

    min_n      u32
    max_n      u32
    n_buckets  u64
    n_hashes   u32  1 to 4
    seed       u32  of MurmurHash3
    bow        u32 length, UTF-8 bytes: what marks the beginning of a word
    eow        u32 length, UTF-8 bytes: what marks its end

finalfusion-python knows chunks 1 to 8 only; finalfusion-rust reads and writes this one.
"""

from ffjax.formats.finalfusion.header import CHUNK_HEADER, ChunkId, write_chunk_header
from ffjax.formats.finalfusion.vocab_common import check_indexer, read_range, read_within
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.vocab import FloretVocab
from ffjax.vocab.ngrams import FloretIndexer


def read(cursor: Cursor) -> FloretVocab:
    """Reads the body of the chunk.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over, or a setting is out of range.
    """
    min_n, max_n = read_range(cursor)
    n_buckets = read_within(cursor, "Q", "number of buckets", 1, 2**32 - 1)
    n_hashes = read_within(cursor, "I", "number of hashes", 1, 4)
    seed = cursor.u32("seed")
    bow = cursor.text("begin-of-word marker", cursor.u32("length of the begin-of-word marker"))
    eow = cursor.text("end-of-word marker", cursor.u32("length of the end-of-word marker"))
    cursor.finish()
    # finalfusion takes all n-grams, floret leaves out single characters at the edges; without those, the default is
    # right for both, and files become equal values.
    indexer = FloretIndexer(n_buckets, min_n, max_n, n_hashes, seed, skip_edge_unigrams=min_n > 1)
    return FloretVocab(indexer, bow=bow, eow=eow)


def size(vocab: FloretVocab, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk, wherever it stands.

    Raises:
        FinalfusionFormatError: the indexer cannot be stored.
    """
    check_indexer(vocab.subword_indexer, ChunkId.FloretSubwordVocab.name, file)
    return CHUNK_HEADER + 24 + sum(4 + len(marker.encode()) for marker in vocab.markers)


def write(out: Output, vocab: FloretVocab) -> None:
    """Writes the whole chunk."""
    indexer = vocab.subword_indexer
    write_chunk_header(out, ChunkId.FloretSubwordVocab, size(vocab, out.position) - CHUNK_HEADER)
    out.pack("IIQII", indexer.min_n, indexer.max_n, indexer.n_buckets, indexer.n_hashes, indexer.seed)
    for marker in vocab.markers:
        raw = marker.encode()
        out.pack("I", len(raw))
        out.write(raw)
