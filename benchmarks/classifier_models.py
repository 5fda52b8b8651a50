"""Classifiers of the shapes that large corpora are filtered with, made of random numbers.

The real ones, of gigabytes, are not on PyPI. What a prediction costs depends on the shape, and on
the words and the text, which are real.
"""

import struct
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from benchmarks.files import real

_BLOCK_ROWS = 1 << 16


def languages(n: int) -> list[str]:
    """Lines of 20 to 200 bytes in a hundred languages."""
    lines: list[str] = []
    with open(real("languages.txt"), encoding="utf8") as file:
        for line in file:
            text = line.rstrip("\n").split("\t", 1)[-1]
            if 20 <= len(text.encode()) <= 200:
                lines.append(text)
            if len(lines) == n:
                break
    return lines


def documents(name: str, n: int, size: int = 4096) -> list[str]:
    """Documents of about `size` bytes, each of lines in one language from a file.

    Languages come before a tab; without tabs, all lines have the same one.
    """
    texts: list[str] = []
    lines: defaultdict[str, list[str]] = defaultdict(list)
    n_bytes: Counter[str] = Counter()
    with open(real(name), encoding="utf8") as file:
        for line in file:
            language, _, text = line.rstrip("\n").rpartition("\t")
            lines[language].append(text)
            n_bytes[language] += len(text.encode()) + 1
            if n_bytes[language] >= size:
                texts.append(" ".join(lines.pop(language)))
                del n_bytes[language]
            if len(texts) == n:
                break
    return texts


def language_model(path: Path) -> None:
    """GlotLID's shape: 256 dimensions, 2,102 labels, n-grams of 2 to 5 characters."""
    words = [word for word, _ in Counter(" ".join(languages(200_000)).split()).most_common(150_000)]
    _write(path, words, 2102, dims=256, buckets=1_000_000, ngrams=(2, 5), word_ngrams=1)


def quality_model(path: Path) -> None:
    """DCLM's shape: 100 dimensions, 2 labels, bigrams of words in 2,000,000 buckets."""
    with open(real("corpus.txt"), encoding="utf8") as file:
        words = [word for word, _ in Counter(file.read().split()).most_common(1_000_000)]
    _write(path, words, 2, dims=100, buckets=2_000_000, ngrams=(0, 0), word_ngrams=2)


def _write(
    path: Path,
    words: list[str],
    n_labels: int,
    *,
    dims: int,
    buckets: int,
    ngrams: tuple[int, int],
    word_ngrams: int,
) -> None:
    rng = np.random.default_rng(0)
    words = ["</s>", *words]
    with open(path, "wb") as file:
        file.write(struct.pack("<ii", 793712314, 12))
        settings = (dims, 5, 5, 1, 5, word_ngrams, 3, 3, buckets, *ngrams, 100)
        file.write(struct.pack("<12id", *settings, 1e-4))
        sizes = (len(words) + n_labels, len(words), n_labels, 10**9, -1)
        file.write(struct.pack("<iiiqq", *sizes))
        for number, word in enumerate(words):
            file.write(word.encode() + struct.pack("<bqb", 0, len(words) - number, 0))
        for number in range(n_labels):
            file.write(b"__label__%d" % number + struct.pack("<bqb", 0, n_labels - number, 1))
        for rows in (len(words) + buckets, n_labels):
            file.write(struct.pack("<?qq", False, rows, dims))
            for start in range(0, rows, _BLOCK_ROWS):
                n = min(_BLOCK_ROWS, rows - start)
                rng.standard_normal((n, dims), np.float32).tofile(file)
