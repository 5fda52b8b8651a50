"""Unknown words through n-grams: a batch in one compiled program, beside loops over the peers."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import derived, peer, real
from benchmarks.harness import Pair, row

N_WORDS = 50_000
MODEL = "ft300.bin"


@cache
def _model() -> ffjax.Embeddings:
    return ffjax.load_fasttext(str(real(MODEL)))


def _unknown(emb: ffjax.Embeddings) -> list[str]:
    """Beginnings of words joined to endings of others, so letters and lengths are realistic."""
    rng = np.random.default_rng(0)
    vocabulary = emb.vocab.host_index
    stems = [word for word in emb.vocab.words if word.isalpha() and 4 < len(word) < 14]
    unknown: dict[str, None] = {}
    while len(unknown) < N_WORDS:
        first, second = (stems[i] for i in rng.integers(0, len(stems), 2))
        word = first[: rng.integers(2, len(first))] + second[-max(2, len(second) // 2) :]
        if word not in vocabulary:
            unknown[word] = None
    return list(unknown)


def _pair(words: list[str], theirs: Any, *, packed: bool, scaled: bool) -> Pair:
    emb = _model()
    strings = ffjax.pack(words, count=len(words))
    moved = (
        int((np.asarray(ffjax.encode(emb.vocab, strings).ngrams) >= 0).sum() + len(words))
        * 4
        * emb.dims
    )

    def ours() -> Any:
        return ffjax.embed(
            emb, strings if packed else ffjax.pack(words, count=len(words)), unnormalize=not scaled
        )[0]

    def check(ours: Any, theirs: list[np.ndarray]) -> None:
        np.testing.assert_allclose(
            np.asarray(ours), np.stack(theirs), atol=1e-6 if not scaled else 1e-5
        )

    return Pair(ours, lambda: [theirs(word) for word in words], check, moved)


@row(
    issue=4,
    work="50,000 unknown words through n-grams, packed, 2,383,538 x 300",
    beside="a loop over fasttext.get_word_vector",
    at_least=6,
    repeat=7,
)
def unknown_words() -> Pair:
    model = _fasttext()
    return _pair(_unknown(_model()), model.get_word_vector, packed=True, scaled=False)


@row(
    issue=4,
    work="the same from a list[str], packing included",
    beside="a loop over fasttext.get_word_vector",
    repeat=7,
)
def unknown_words_listed() -> Pair:
    model = _fasttext()
    return _pair(_unknown(_model()), model.get_word_vector, packed=False, scaled=False)


@row(
    issue=4,
    work="50,000 unknown words through n-grams, packed, 2,383,538 x 300",
    beside="a loop over finalfusion-python's embedding",
    at_least=4,
    repeat=7,
)
def unknown_words_finalfusion() -> Pair:
    finalfusion = peer("finalfusion")

    def make(path: Path) -> None:
        ffjax.convert(str(real(MODEL)), str(path), leave_out=True)

    theirs = finalfusion.load_finalfusion(str(derived("ft300.fifu", make)), mmap=True)
    return _pair(_unknown(_model()), theirs.embedding, packed=True, scaled=True)


def _fasttext() -> Any:
    fasttext = peer("fasttext")
    fasttext.FastText.eprint = lambda *_: None  # it greets every model
    return fasttext.load_model(str(real(MODEL)))
