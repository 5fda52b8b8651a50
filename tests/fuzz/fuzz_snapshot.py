"""Snapshots: what is read is written back as the same value; the checksum is corrected first."""

import jax
import numpy as np

import ffjax
from ffjax.formats.snapshot import arrays as snapshot_arrays
from tests.fuzz.reference import with_checksum

_WORDS = ["tea", "pot"]


def _seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    hashing = ffjax.FastTextIndexer(20, 3, 4, bare_eos=True)
    table = ffjax.StringTable.from_strings(_WORDS)
    codes, books = (
        rng.integers(0, 2, (3, 2)).astype(np.uint8),
        rng.standard_normal((2, 2, 1)).astype(np.float32),
    )
    pq = ffjax.QuantizedArray(
        ffjax.PQ(books, np.eye(2, dtype=np.float32)), codes, np.ones(3, np.float32)
    )
    words, ngrams = ffjax.NdArray(jax.numpy.ones((2, 2), "bfloat16")), pq[:2]
    pruned = ffjax.PrunedIndexer(hashing, [3, 1])
    explicit = ffjax.ExplicitVocab(
        _WORDS, ffjax.ExplicitIndexer(["<te", "pot"], 3, 3, np.array([0, 0]))
    )
    training = ffjax.TrainingState([3, 1], n_tokens=2**40, labels=["__label__x"], output=pq)
    values = [
        ffjax.Embeddings(pq, explicit, metadata=ffjax.Metadata({"a": 1})),
        ffjax.Embeddings(
            ffjax.ComposedArray(words, table, ngrams, pruned),
            ffjax.FastTextVocab(table, pruned),
            training=training,
        ),
        ffjax.Embeddings(
            ffjax.Int8Array(np.ones((1, 3), np.int8), np.ones(1, np.float32)),
            ffjax.SimpleVocab(_WORDS, rows=[0, 0]),
            ffjax.Norms(np.ones(1, np.float32)),
        ),
        ffjax.Embeddings(
            words, ffjax.FloretVocab(ffjax.FloretIndexer(2, 3, 4, 2, 7), bow="[", eow="]")
        ),
    ]
    snapshots = [ffjax.to_bytes(value) for value in values]
    snapshot_arrays.MAX_CHUNK_BYTES = 8
    return [*snapshots, *map(ffjax.to_bytes, values[2:])]


SEEDS = _seeds()


def target(data: bytes) -> None:
    """Reads a snapshot; what is read and written must be read as the same."""
    for content in (data, with_checksum(data)):
        try:
            read = ffjax.from_bytes(content)
        except ffjax.FormatError:
            continue
        written = ffjax.to_bytes(read)
        again = ffjax.from_bytes(written)
        assert again == read
        assert ffjax.to_bytes(again) == written
