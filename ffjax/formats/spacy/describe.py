"""What a folder of spaCy holds, without its words and rows."""

from typing import Any

from ffjax.formats.io.streams import Stream
from ffjax.formats.spacy.key_rows import read_length
from ffjax.formats.spacy.layout import KEY_ROWS, KEYS, ORTH, VECTORS, VocabFolder
from ffjax.formats.tables.npy import read_npy


def describe(stream: Stream) -> dict[str, Any]:
    """The settings, the number of keys, and the shape of the matrix."""
    files = VocabFolder(stream.expected_folder())
    settings = files.settings()
    with files.open(VECTORS) as cursor:
        array = files.matrix(cursor)
    rows, dims = array.shape
    facts: dict[str, Any] = {"vocabulary": "SimpleVocab", "words": 0}
    if settings.mode == "floret":
        facts["vocabulary"] = "FloretVocab"
        facts["ngram_lengths"] = f"{settings.minn} to {settings.maxn}"
        facts |= {"buckets": rows, "hashes": settings.hash_count}
    elif files.has(KEY_ROWS):
        with files.open(KEY_ROWS) as cursor:
            facts["words"] = read_length(cursor)
    else:
        with files.open(KEYS) as cursor:
            facts["words"] = read_npy(cursor.source, name=KEYS).shape[0]
    facts |= {"storage": "NdArray", "rows": rows, "dims": dims, "dtype": array.dtype.name}
    return facts if settings.attr == ORTH else {**facts, "metadata": ["spacy"]}
