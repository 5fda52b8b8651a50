"""The chunk of a floret vocabulary, after identifier 9 and length. It has no words.

    min_n      u32
    max_n      u32
    n_buckets  u64
    n_hashes   u32  1 to 4
    seed       u32  of MurmurHash3
    bow        u32 length, UTF-8 bytes: what marks the beginning of a word
    eow        u32 length, UTF-8 bytes: what marks its end

finalfusion-python knows chunks 1 to 8 only; finalfusion-rust reads and writes this one.
"""

from ffjax.formats.finalfusion.string_list import check_indexer, read_range
from ffjax.formats.io.binary import Cursor, Output
from ffjax.vocab import FloretVocab
from ffjax.vocab.ngrams import FloretIndexer


def read(cursor: Cursor) -> FloretVocab:
    """Reads the body of the chunk."""
    min_n, max_n = read_range(cursor)
    n_buckets = cursor.number("Q", "number of buckets", 1, 2**32 - 1)
    n_hashes = cursor.number("I", "number of hashes", 1, 4)
    seed = cursor.u32("seed")
    bow = cursor.text("begin-of-word marker", cursor.u32("length of the begin-of-word marker"))
    eow = cursor.text("end-of-word marker", cursor.u32("length of the end-of-word marker"))
    cursor.finish()
    # finalfusion takes all n-grams, floret skips single characters at the edges. Where n-grams are
    # longer, the default is right for both, and their files become equal values.
    skip = min_n > 1
    indexer = FloretIndexer(n_buckets, min_n, max_n, n_hashes, seed, skip_edge_unigrams=skip)
    return FloretVocab(indexer, bow=bow, eow=eow)


def write(out: Output, vocab: FloretVocab) -> None:
    """Writes the body of the chunk."""
    indexer = vocab.subword_indexer
    check_indexer(indexer)
    out.pack("IIQI", indexer.min_n, indexer.max_n, indexer.n_buckets, indexer.n_hashes)
    out.pack("I", indexer.seed)
    for marker in vocab.markers:
        raw = marker.encode()
        out.pack("I", len(raw))
        out.write(raw)
