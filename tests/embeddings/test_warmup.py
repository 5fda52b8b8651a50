"""Batches of many sizes: how many programs they compile, and that `warmup` compiles them all."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

import ffjax
from tests.builders import embeddings


def batches(seed: int, words: list[str]) -> Iterator[list[str]]:
    rng = np.random.default_rng(seed)
    for size in rng.permutation(np.arange(1, 1001)).tolist():
        yield [words[i] for i in rng.integers(0, len(words), size)]


@pytest.mark.parametrize(("kind", "every", "most"), [("simple", 1, 5), ("buckets", 5, 6)])
def test_a_thousand_sizes_compile_five_programs_and_one_for_ngrams(kind, every, most, programs):
    emb = embeddings(kind)
    programs.clear()
    for batch in islice(batches(0, ["Paris", "Berlin", "unknown", "", "x"]), 0, None, every):
        ffjax.embed(emb, ffjax.pack(batch))
    assert 1 <= len(programs) <= most


@pytest.mark.parametrize("kind", ["simple", "buckets"])
def test_nothing_is_compiled_after_warmup(kind, programs):
    emb = embeddings(kind, words=["Paris", "Berlin", "Rome"])
    assert ffjax.warmup(emb) > 0
    programs.clear()
    words = ["Paris", "Rome", "unknown", "a word of 21 bytes :)", "x" * 60]
    for batch in islice(batches(1, words), 0, None, 10):
        ffjax.embed(emb, ffjax.pack(batch))
    for n in (1, 3000, 100_000):
        many = [words[i % 5] for i in range(n)]
        emb.embedding_batch(many)
        ffjax.embed_text(emb, "\n".join(f"Paris {word}" for word in many))
    emb.most_similar_batch(words)
    assert programs == []
