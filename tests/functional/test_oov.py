"""Unknown words of a batch: any number of them, anywhere, under every transformation."""

from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.functional import lookup as functional
from ffjax.storage import ngram_sums
from tests import builders

SUBWORDS = [kind for kind in builders.VOCABS if kind != "simple"]
AWKWARD = ["", "x", "</s>", "Donaudampfschifffahrtsgesellschaft", "ü" * 18, "नमस्ते"]
AWKWARD += ["👍🏽👍🏽", "Berlin", "a" * 50]
# More words than are summed together on a CPU, so that there are several blocks.
N_WORDS = 1200


def words_of_all_lengths(n: int) -> list[str]:
    rng = np.random.default_rng(3)
    letters = list("abcdeéя東")
    words = ["".join(rng.choice(letters, rng.integers(0, 24))) for _ in range(n)]
    return [*builders.WORDS, *words, *AWKWARD]


def one_by_one(emb: ffjax.Embeddings, words: list[str]) -> tuple[np.ndarray, list[bool]]:
    """The vectors that the host's code gives, word by word, and which words have one."""
    vectors = [emb.embedding(word) for word in words]
    zeros = np.zeros(emb.dims, np.float32)
    filled = [zeros if vector is None else vector for vector in vectors]
    return np.stack(filled), [vector is not None for vector in vectors]


@pytest.mark.parametrize(
    "kinds",
    builders.cases(
        [("buckets", "opq"), ("fasttext", "dense"), ("explicit", "dense"), ("floret", "opq")],
        exhaustive=product(SUBWORDS, ["dense", "opq"]),
    ),
    ids="-".join,
)
@pytest.mark.usefixtures("as_users_see")  # checks of annotations would take most of the time
def test_blocks_of_words_of_all_lengths(kinds):
    assert ngram_sums._BLOCK_WORDS["cpu"] < N_WORDS // 2
    emb = builders.embeddings(*kinds)
    words = words_of_all_lengths(N_WORDS)
    vectors, found = ffjax.embed(emb, ffjax.pack(words))
    expected, exist = one_by_one(emb, words)
    np.testing.assert_allclose(vectors[: len(words)], expected, atol=2e-6)
    assert found.tolist()[: len(words)] == exist
    assert not found[len(words) :].any()
    assert not vectors[len(words) :].any()


@pytest.mark.parametrize("kind", builders.cases(["fasttext"], exhaustive=["explicit"]))
def test_means(kind):
    emb = builders.embeddings(kind)
    words, matrix = words_of_all_lengths(N_WORDS), np.asarray(emb.storage)
    norms, zeros = np.asarray(emb.norms), np.zeros(emb.dims, np.float32)

    def vector(ids: int | list[int] | None) -> np.ndarray:
        if isinstance(ids, int):
            return matrix[ids] * norms[ids]
        return matrix[ids].mean(0) if ids else zeros

    expected = np.stack([vector(emb.vocab.idx(word)) for word in words])
    vectors, _ = ffjax.embed(emb, ffjax.pack(words), unnormalize=True)
    np.testing.assert_allclose(vectors[: len(words)], expected, atol=2e-6)


def test_more_words_than_16_bits_can_number():
    emb = builders.embeddings("fasttext")
    words = words_of_all_lengths(100)
    repeats = (1 << 16) // len(words) + 2
    packed = ffjax.pack(words, count=len(words))
    many = ffjax.Strings(np.tile(packed.bytes, (repeats, 1)), np.tile(packed.lengths, repeats))
    assert len(many) > 1 << 16
    expected, exist = one_by_one(emb, words)
    vectors, found = (np.asarray(x) for x in ffjax.embed(emb, many))
    vectors, found = vectors.reshape(repeats, *expected.shape), found.reshape(repeats, -1)
    np.testing.assert_allclose(vectors, np.tile(expected, (repeats, 1, 1)), atol=1e-6)
    assert (found == exist).all()


def test_known_words_alone_read_no_ngrams():
    emb = builders.embeddings("fasttext")
    poisoned = emb.replace(storage=ffjax.NdArray(emb.storage.matrix.at[emb.n_words :].set(jnp.nan)))
    vectors, _ = ffjax.embed(poisoned, ffjax.pack(builders.WORDS, count=len(builders.WORDS)))
    np.testing.assert_array_equal(vectors, emb.storage.matrix[: emb.n_words])


@partial(jax.jit, static_argnames="by_lookup")
@partial(jax.grad, allow_int=True)
def gradient(emb: ffjax.Embeddings, strings: Any, weights: jax.Array, by_lookup: bool = False):
    """Of the sum of weighted sines of words' vectors, so that each number counts."""
    if by_lookup:
        vectors = functional._lookup(emb.storage, None, strings, False)
    else:
        vectors = ffjax.embed(emb, strings)[0]
    return (jnp.sin(vectors) * weights).sum()


@pytest.mark.parametrize(
    "storage", builders.cases(["dense", "opq"], exhaustive=builders.ALL_STORAGES)
)
def test_gradients_are_those_of_the_plain_program(storage):
    emb = builders.embeddings("fasttext", storage)
    words = words_of_all_lengths(N_WORDS)
    packed = ffjax.pack(words)
    weights = jnp.asarray(
        np.random.default_rng(2).standard_normal((len(packed), emb.dims)), jnp.float32
    )
    rows = functional._encode(emb.vocab, packed)
    result = gradient(emb, packed, weights).storage
    expected = gradient(emb, rows, weights, by_lookup=True).storage
    for ours, plain in zip(*map(jax.tree.leaves, (result, expected)), strict=True):
        assert ours.dtype == plain.dtype
        if ours.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-4)  # sums of 1,200 words


def test_gradients_equal_finite_differences():
    emb = builders.embeddings("fasttext")
    packed = ffjax.pack(["teacup", "Berlin", "", "berlinify"])
    weights, direction = (
        np.random.default_rng(seed).standard_normal((n, emb.dims)).astype(np.float32)
        for seed, n in ((1, len(packed)), (2, len(emb.storage)))
    )
    matrix = np.asarray(emb.storage)

    def loss(matrix: np.ndarray) -> np.ndarray:
        vectors, _ = ffjax.embed(emb.replace(storage=ffjax.NdArray(matrix)), packed)
        return (np.sin(vectors) * weights).sum()

    along = (np.asarray(gradient(emb, packed, weights).storage.matrix) * direction).sum()
    step = np.float32(1e-2)
    differences = (loss(matrix + step * direction) - loss(matrix - step * direction)) / (2 * step)
    np.testing.assert_allclose(along, differences, rtol=2e-3)


def test_composed_rows_have_gradients():
    words = ffjax.StringTable.from_strings(["tea", "pot"])
    own, ngrams = builders.storage(2, seed=1), builders.storage(37, seed=2)
    indexer = ffjax.FastTextIndexer(37, 3, 4)
    emb = ffjax.Embeddings(
        ffjax.ComposedArray(own, words, ngrams, indexer), ffjax.FastTextVocab(words, indexer)
    )
    packed = ffjax.pack(["teapot", "potty"])

    @jax.jit
    @partial(jax.grad, allow_int=True)
    def of_sum(emb: ffjax.Embeddings) -> jax.Array:
        return ffjax.embed(emb, packed, unnormalize=True)[0].sum()

    slope = of_sum(emb).storage
    used = [emb.vocab.subword_indexer.subword_indices(word) for word in ("teapot", "potty")]
    expected = np.zeros((37, 6), np.float32)
    for ids in used:
        np.add.at(expected, ids, 1 / len(ids))
    np.testing.assert_allclose(slope.ngrams.matrix, expected, atol=1e-6)
    assert not np.asarray(slope.word_rows.matrix).any()


def test_vmap_over_words():
    emb = builders.embeddings("fasttext")
    words = words_of_all_lengths(13)[:32]
    packed = ffjax.pack(words, width=64, count=32)
    expected, expected_found = ffjax.embed(emb, packed)
    stacked = ffjax.Strings(packed.bytes.reshape(4, 8, -1), packed.lengths.reshape(4, 8))
    vectors, found = jax.vmap(lambda strings: ffjax.embed(emb, strings))(stacked)
    np.testing.assert_allclose(vectors.reshape(32, -1), expected, atol=1e-6)
    np.testing.assert_array_equal(found.reshape(-1), expected_found)


def test_vmap_over_embeddings_and_of_gradients():
    many = [builders.embeddings("fasttext", seed=seed) for seed in range(3)]
    packed = ffjax.pack(["teacup", "Berlin", "", "berlinify"])
    matrices = np.stack([np.asarray(emb.storage) for emb in many])
    weights = np.ones((len(packed), many[0].dims), np.float32)

    def vectors(matrix: jax.Array) -> jax.Array:
        return ffjax.embed(many[0].replace(storage=ffjax.NdArray(matrix)), packed)[0]

    def slope(matrix: jax.Array) -> jax.Array:
        emb = many[0].replace(storage=ffjax.NdArray(matrix))
        return gradient(emb, packed, weights).storage.matrix

    for function in (vectors, slope):
        expected = np.stack([function(matrix) for matrix in matrices])
        np.testing.assert_allclose(jax.vmap(function)(matrices), expected, atol=1e-6)


def test_memory_is_that_of_a_block():
    emb = builders.embeddings("fasttext")
    n, width = 1 << 14, 64
    strings = ffjax.Strings(np.zeros((n, width), np.uint8), np.zeros(n, np.int32))
    program = (
        jax.jit(lambda emb, strings: ffjax.embed(emb, strings)[0]).lower(emb, strings).compile()
    )
    slots = emb.vocab.ngram_rows(jnp.zeros((1, width), jnp.uint8), jnp.zeros(1, jnp.int32)).shape[1]
    assert program.memory_analysis().temp_size_in_bytes < n * slots * 4 / 2


def pruned() -> ffjax.Embeddings:
    indexer = ffjax.PrunedIndexer(ffjax.FastTextIndexer(37, 3, 5), list(range(0, 37, 2)))
    vocab = ffjax.FastTextVocab(builders.WORDS, indexer)
    return ffjax.Embeddings(builders.storage(vocab.upper_bound), vocab)


@pytest.mark.parametrize("kind", [*SUBWORDS, "pruned"])
def test_programs_of_wide_words_are_no_longer(kind):
    emb = pruned() if kind == "pruned" else builders.embeddings(kind)

    def instructions(width: int) -> int:
        strings = ffjax.Strings(np.zeros((4, width), np.uint8), np.zeros(4, np.int32))
        return jax.jit(ffjax.embed).lower(emb, strings).as_text().count(" = ")

    assert instructions(16) <= instructions(64)
    assert instructions(256) <= 1.5 * instructions(64)
    assert instructions(4096) <= 1.5 * instructions(64)


def test_memory_of_wide_words_is_that_of_a_few():
    emb = builders.embeddings("fasttext")
    n, width = 512, 4096
    strings = ffjax.Strings(np.zeros((n, width), np.uint8), np.zeros(n, np.int32))
    program = (
        jax.jit(lambda emb, strings: ffjax.embed(emb, strings)[0]).lower(emb, strings).compile()
    )
    # Measured: 9.0 MB. The ids of 512 such words, 3 n-grams for each byte, would be 25 MB, and
    # there would be several arrays of that shape.
    assert program.memory_analysis().temp_size_in_bytes < 12e6


@pytest.mark.parametrize(
    ("words", "lines"),
    [([], 0), (["Paris"], 0), (["Paris", "teacup", "x", "teas"], 4), (AWKWARD, 8)],
)
def test_encode_has_lines_for_unknown_words_alone(words, lines):
    emb = builders.embeddings("fasttext")
    packed = ffjax.pack(words, count=16, width=64)
    rows = ffjax.encode(emb.vocab, packed)
    assert rows.ngrams.shape[0] == lines
    inside = jax.jit(ffjax.encode)(emb.vocab, packed)
    assert inside.ngrams.shape[0] == len(packed)
    np.testing.assert_array_equal(rows.found, inside.found)
    np.testing.assert_allclose(ffjax.lookup(emb, rows), ffjax.lookup(emb, inside), atol=1e-6)
