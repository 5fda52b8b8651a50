"""fastText models for tests: written with `struct`, or trained by fastText itself."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.training import train

# Latin, Cyrillic, Han with kana, Arabic, Hangul, Devanagari with its signs, emoji; words of one
# and of many characters.
WORDS = (
    "</s> the quick brown fox jumps over a lazy dog über Straße während быстрая лиса прыгает "
    "素早い茶色の狐が 犬 を "
    "الثعلب البني 빠른 갈색 여우가 तेज भूरी लोमड़ी é 中 я 😀 👩‍👩‍👧 "
    "naïve café Donaudampfschifffahrtsgesellschaftskapitän x"
).split()
UNKNOWN = [
    "quicker",
    "Straßen",
    "лисица",
    "狐",
    "الكلب",
    "लोमड",
    "👩‍👧",
    "</s",
    "y",
    "é中",
    "Überdonaudampfschiff",
    "</s>x",
]
LABELS = ["__label__a", "__label__б", "__label__long-one"]

CBOW, SKIP_GRAM, SUPERVISED = 1, 2, 3


def model(
    words: Sequence[str | bytes] = WORDS,
    *,
    labels: Sequence[str] = (),
    dims: int = 10,
    buckets: int = 300,
    min_n: int = 3,
    max_n: int = 6,
    kind: int = SKIP_GRAM,
    loss: int = 2,
    word_ngrams: int = 1,
    version: int = 12,
    pruned: int = -1,
    ngram_rows: int | None = None,
    seed: int = 0,
    tail: bytes = b"",
) -> bytes:
    """A model with random matrices and counts, as fastText's `saveModel` lays it out."""
    rng = np.random.default_rng(seed)
    entries = [(word, 0) for word in words] + [(label, 1) for label in labels]
    out = [struct.pack("<ii", 793712314, version)]
    settings = (dims, 5, 7, 1, 5, word_ngrams, loss, kind, buckets, min_n, max_n, 100)
    out.append(struct.pack("<12id", *settings, 1e-4))
    out.append(struct.pack("<iiiqq", len(entries), len(words), len(labels), 2**33 + 5, pruned))
    # Some counts have zeros in every place, and some are beyond 32 bits.
    counts = [1, 255, 256, 65536, 2**24, 2**32 - 1, 2**32, 2**40 + 256, 3, 2**31]
    for i, (word, entry) in enumerate(entries):
        raw = word if isinstance(word, bytes) else word.encode()
        out.append(raw + b"\0" + struct.pack("<qb", counts[i % len(counts)], entry))
    rows = len(words) + (buckets if ngram_rows is None else ngram_rows)
    outputs = len(labels) if kind == SUPERVISED else len(words)
    for number in (rows, outputs):
        matrix = rng.standard_normal((number, dims)).astype("<f4")
        out.append(struct.pack("<?qq", False, number, dims) + matrix.tobytes())
    return b"".join(out) + tail


def write(folder: Path, name: str, data: bytes) -> Path:
    """Writes a file into a folder."""
    path = folder / name
    path.write_bytes(data)
    return path


def quiet_fasttext():
    """The real fastText, which else prints a line for each model; skips where it is absent."""
    module = pytest.importorskip("fasttext")
    module.FastText.eprint = lambda *_: None
    return module


def trained(path: Path, corpus: Path, **options) -> None:
    """Trains a model with fastText."""
    settings = {"minCount": 1, "dim": 12, "bucket": 500, "epoch": 2, **options}
    train(path, corpus, library="fasttext", method="train_unsupervised", **settings)
