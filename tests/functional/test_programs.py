"""How many kernels the compiled programs have: each takes a CPU 20 to 70 ms to compile."""

import jax
import numpy as np
import pytest

import ffjax
from tests import builders

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="other compilers divide programs differently"
)
N_WORDS = 1024


def n_kernels(function, *args, **options):
    """The kernels that XLA makes of a function, but for library calls."""
    program = jax.jit(function, static_argnames=tuple(options)).lower(*args, **options).compile()
    return program.as_text().count(" fusion(")


def words(width):
    return ffjax.pack(["teacup"], count=N_WORDS, width=width)


@pytest.mark.parametrize(
    ("kind", "most"), [("simple", 5), ("buckets", 31), ("fasttext", 30), ("explicit", 35)]
)
def test_embed(kind, most):
    emb = builders.embeddings(kind)
    assert n_kernels(ffjax.embed, emb, words(16)) <= most
    assert n_kernels(ffjax.embed, emb, words(64)) <= most


def test_embed_without_a_list_of_words():
    assert n_kernels(ffjax.embed, builders.embeddings("floret"), words(64)) <= 33


def test_embed_of_the_demo():
    assert n_kernels(ffjax.embed, ffjax.demo(), words(16)) <= 35


@pytest.mark.parametrize(("width", "most"), [(16, 3), (64, 3)])
def test_finding_words(width, most):
    vocab = builders.vocab("simple")
    assert n_kernels(ffjax.encode, vocab, words(width)) <= most


@pytest.mark.parametrize(
    ("batch", "metric", "most"), [(1, "dot", 8), (256, "dot", 19), (256, "cosine", 39)]
)
def test_top_k(batch, metric, most):
    names = [str(i) for i in range(20_000)]
    emb = ffjax.Embeddings(builders.storage(len(names), 50), ffjax.SimpleVocab(names))
    queries = np.ones((batch, 50), np.float32)
    assert n_kernels(ffjax.top_k, emb, queries, k=10, metric=metric) <= most
