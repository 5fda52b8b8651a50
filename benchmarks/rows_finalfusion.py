"""finalfusion files and single words, compared with finalfusion-python (GloVe, 341,479 x 100)."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import derived, glove, peer
from benchmarks.harness import Memory, Pair, row

# Unknown to GloVe: typos, compounds and inflections, of ordinary lengths.
UNKNOWN = [
    "berlinification",
    "unfriendlyish",
    "teapotty",
    "mispellling",
    "Donaudampfschiff",
    "rethinkings",
    "xylophoning",
]


def _words(vectors: Any) -> list[str]:
    return list(vectors.vocab.words)


def _buckets() -> str:
    """The same words and rows, with 2**17 buckets of random rows: values do not change the time."""

    def make(path: Path) -> None:
        ff = peer("finalfusion")
        vectors = ff.load_finalfusion(glove())
        vocab = ff.vocab.FinalfusionBucketVocab(
            _words(vectors), ff.subword.FinalfusionHashIndexer(17)
        )
        rows = np.random.default_rng(0).standard_normal((2**17, 100)).astype(np.float32)
        matrix = np.concatenate([np.asarray(vectors.storage), rows])
        ff.Embeddings(ff.storage.NdArray(matrix), vocab).write(str(path))

    return str(derived("glove.buckets17.fifu", make))


def _same(ours: Any, theirs: Any) -> None:
    assert len(ours.vocab) == len(theirs.vocab)
    assert ours.vocab.words == theirs.vocab.words
    for word in ("the", "berlin", ours.vocab.words[-1]):
        np.testing.assert_array_equal(ours[word], theirs[word])


def _vocabulary_chunk(path: str) -> int:
    """Bytes of the vocabulary's chunk, which is the first one in the file."""
    with open(path, "rb") as file:
        _, _, count = struct.unpack("<4sII", file.read(12))
        file.seek(12 + 4 * count)
        identifier, length = struct.unpack("<IQ", file.read(12))
    assert identifier in (1, 3)
    return 12 + length


@row(issue=2, work="open a .fifu of 341,479 x 100, mapped", beside="finalfusion", at_least=3)
def open_fifu_mapped() -> Pair:
    path, ff = glove(), peer("finalfusion")
    return Pair(
        ours=lambda: ffjax.load_finalfusion(path, mmap=True),
        peer=lambda: ff.load_finalfusion(path, mmap=True),
        check=_same,
    )


@row(
    issue=2,
    work="open a .fifu of 341,479 x 100, read into memory",
    beside="finalfusion",
    at_least=2,
)
def open_fifu() -> Pair:
    path, ff = glove(), peer("finalfusion")
    return Pair(
        ours=lambda: ffjax.load_finalfusion(path),
        peer=lambda: ff.load_finalfusion(path),
        check=_same,
    )


@row(issue=2, work="process memory that a mapped load adds", beside="finalfusion", at_most=8)
def open_fifu_memory() -> Memory:
    path, ff = glove(), peer("finalfusion")
    return Memory(
        ours=lambda: ffjax.load_finalfusion(path, mmap=True),
        peer=lambda: ff.load_finalfusion(path, mmap=True),
        reference=_vocabulary_chunk(path),
        of="the vocabulary chunk",
    )


def _lookups(path: str, mmap: bool, words: list[str] | None = None) -> Pair:
    ours = ffjax.load_finalfusion(path, mmap)
    theirs = peer("finalfusion").load_finalfusion(path, mmap)
    # Words from all over the vocabulary, in an order that no cache knows.
    words = words or [
        _words(theirs)[i] for i in np.random.default_rng(0).permutation(len(ours))[:1000]
    ]
    for word in words:
        np.testing.assert_allclose(ours[word], theirs[word], rtol=1e-5, atol=1e-6)

    def one_by_one(embeddings: Any) -> Any:
        vector = None
        for word in words:
            vector = embeddings[word]
        return vector

    return Pair(ours=lambda: one_by_one(ours), peer=lambda: one_by_one(theirs))


@row(
    issue=2,
    work="1,000 known words by their strings, one by one",
    beside="finalfusion",
    at_least=1,
    repeat=25,
)
def lookup_word() -> Pair:
    return _lookups(glove(), mmap=False)


@row(
    issue=2,
    work="1,000 known words by their strings, one by one, mapped",
    beside="finalfusion",
    at_least=1,
    repeat=25,
)
def lookup_word_mapped() -> Pair:
    return _lookups(glove(), mmap=True)


@row(
    issue=2,
    work="700 unknown words (7 different) by their strings, one by one, n-grams in buckets",
    beside="finalfusion",
    repeat=25,
)
def lookup_unknown_word() -> Pair:
    return _lookups(_buckets(), mmap=False, words=UNKNOWN * 100)
