"""A thousand batches of different sizes: how many programs they compile."""

from collections.abc import Iterator
from itertools import islice

import jax
import numpy as np
import pytest

import ffjax
from tests.builders import embeddings

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Grows by one with each program that is compiled."""
    seen: list[str] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == COMPILED:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def batches(seed: int, words: list[str]) -> Iterator[list[str]]:
    rng = np.random.default_rng(seed)
    for size in rng.permutation(np.arange(1, 1001)).tolist():
        yield [words[i] for i in rng.integers(0, len(words), size)]


@pytest.mark.parametrize(("kind", "every"), [("simple", 1), ("buckets", 5)])
def test_a_thousand_sizes_compile_five_programs(kind, every, compilations):
    emb = embeddings(kind)
    compilations.clear()
    for batch in islice(batches(0, ["Paris", "Berlin", "unknown", "", "x"]), 0, None, every):
        ffjax.embed(emb, ffjax.pack(batch))
    assert 1 <= len(compilations) <= 5


def test_nothing_is_compiled_after_warmup(compilations):
    emb = embeddings(words=["Paris", "Berlin", "Rome"])
    compilations.clear()
    assert ffjax.warmup(emb) == 10
    assert len(compilations) == 10
    compilations.clear()
    for batch in batches(1, ["Paris", "Rome", "unknown", "a word of 21 bytes :)", "x" * 60]):
        ffjax.embed(emb, ffjax.pack(batch))
    assert compilations == []
