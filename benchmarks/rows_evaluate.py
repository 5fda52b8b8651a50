"""Similar words by their strings, and analogies, on GloVe of 341,479 x 100.

The peers are finalfusion-python and gensim.
"""

from typing import Any

import numpy as np

import ffjax
from benchmarks.files import derived, glove, peer
from benchmarks.harness import Pair, row

WORDS = 200


def _both() -> tuple[Any, Any, list[str]]:
    ours, theirs = ffjax.load_finalfusion(glove()), peer("finalfusion").load_finalfusion(glove())
    ids = np.random.default_rng(0).permutation(20_000)[:WORDS]
    return ours, theirs, [theirs.vocab.words[i] for i in ids]


def _same(ours: Any, theirs: Any) -> None:
    for ours_of_word, theirs_of_word in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            [r.similarity for r in ours_of_word],
            [r.similarity for r in theirs_of_word],
            atol=1e-5,
        )


@row(
    issue=5,
    work="200 word_similarity by string, k = 10, one by one",
    beside="finalfusion",
    at_least=4,
)
def word_similarity() -> Pair:
    ours, theirs, words = _both()
    return Pair(
        ours=lambda: [ours.word_similarity(word) for word in words],
        peer=lambda: [theirs.word_similarity(word) for word in words],
        check=_same,
        bytes_moved=WORDS * 4 * ours.storage.shape[0] * ours.dims,
    )


@row(
    issue=5,
    work="200 most_similar by string, k = 10, as a batch",
    beside="finalfusion",
    at_least=20,
)
def most_similar() -> Pair:
    ours, theirs, words = _both()
    return Pair(
        ours=lambda: ours.most_similar_batch(words, metric="dot"),
        peer=lambda: [theirs.word_similarity(word) for word in words],
        check=_same,
    )


def _analogies(share: int, *, once: bool = False) -> Pair:
    """Every `share`th question in each section: gensim needs minutes for all of them."""
    ours = ffjax.load_finalfusion(glove())
    theirs = peer("gensim.models").KeyedVectors(ours.dims)
    theirs.add_vectors(ours.vocab.words, np.asarray(ours.storage))
    source = peer("gensim.test.utils").datapath("questions-words.txt")

    def make(path: Any) -> None:
        with open(source, encoding="utf-8") as file:
            lines = [line for i, line in enumerate(file) if line.startswith(":") or i % share == 0]
        path.write_text("".join(lines), encoding="utf-8")

    path = source if share == 1 else str(derived(f"questions-words-{share}.txt", make))

    def same(
        result: ffjax.evaluate.AnalogyResult, expected: tuple[float, list[dict[str, Any]]]
    ) -> None:
        _, sections = expected
        for section, other in zip((*result.sections, result.total), sections, strict=True):
            assert section.n_correct == len(other["correct"]), section.name
            assert section.n_asked == len(other["correct"]) + len(other["incorrect"]), section.name

    return Pair(
        ours=lambda: ffjax.evaluate.analogies(ours, path),
        peer=lambda: theirs.evaluate_word_analogies(path),
        check=same,
        note="as many right answers in each section" + (", gensim timed once" if once else ""),
        once=once,
    )


@row(issue=5, work="19,544 Google analogies on GloVe 100d", beside="gensim", at_least=20)
def google_analogies() -> Pair:
    return _analogies(1, once=True)


@row(
    issue=5,
    work="one in ten of the Google analogies on GloVe 100d",
    beside="gensim",
    at_least=20,
    repeat=3,
)
def google_analogies_tenth() -> Pair:
    return _analogies(10)
