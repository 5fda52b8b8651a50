"""Device functions under `jvp` and `shard_map`, and over batches of any shape."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

import ffjax
from ffjax.kernels.ngram_hashes import Words
from ffjax.storage.base import float_leaves, with_float_leaves
from ffjax.storage.ngram_sums import Subwords, ngram_totals
from tests.builders import VOCABS, cases, embeddings
from tests.functional.test_lookup import reference
from tests.test_jax_citizen import with_rows

WORDS = ["Paris", "Parisian", "12345", "teacup", "Berliner", "a", "Straßen", "Paris"]
STRINGS = ffjax.pack(WORDS)
STRINGS = ffjax.Strings(STRINGS.bytes[:8], STRINGS.lengths[:8])


def over(emb: ffjax.Embeddings, function):
    """A function of the matrix of embeddings."""
    return lambda matrix: function(emb.replace(storage=ffjax.NdArray(matrix)))


# Derivatives


@jax.jit
@partial(jax.grad, allow_int=True)
def gradient(emb):
    weights = np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)
    return (ffjax.embed(emb, STRINGS)[0].astype(jnp.float32) * weights).sum()


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_gradients_reach_narrow_rows(dtype):
    emb = with_rows(embeddings("fasttext"), dtype)
    narrow, wide = (
        np.asarray(gradient(emb).storage.matrix) for emb in (emb, with_rows(emb, np.float32))
    )
    assert narrow.dtype == np.dtype(dtype)
    np.testing.assert_allclose(narrow.astype(np.float32), wide, atol=0.05)


def along(slope, direction):
    """The sum of the products of two trees of the same kind."""
    return sum((x * y).sum() for x, y in zip(slope, direction, strict=True))


DERIVATIVES = {
    "forward": lambda f, x, d: jax.jvp(f, (x,), (d,))[1],
    "reverse": lambda f, x, d: jax.grad(f)(x),
    "forward over reverse": lambda f, x, d: jax.jvp(jax.grad(f), (x,), (d,))[1],
    "reverse over forward": lambda f, x, d: jax.grad(lambda x: jax.jvp(f, (x,), (d,))[1])(x),
    "reverse over reverse": lambda f, x, d: jax.grad(lambda x: along(jax.grad(f)(x), d))(x),
}
KINDS = [("fasttext", "dense"), ("floret", "dense"), ("buckets", "pq_norms"), ("buckets", "int8")]
CASES = [(kind, rows, name) for kind, rows in KINDS for name in DERIVATIVES]
DEFAULT = [("fasttext", "dense", f"reverse over {mode}") for mode in ("forward", "reverse")]


@pytest.mark.parametrize("case", cases(DEFAULT, exhaustive=CASES), ids=" ".join)
def test_derivatives_of_embed_are_those_of_lookup(case):
    kind, row_kind, name = case
    emb = embeddings(kind, row_kind)
    rows = jax.jit(ffjax.encode)(emb.vocab, STRINGS)
    leaves = float_leaves(emb.storage)
    rng = np.random.default_rng(1)
    direction = [jnp.asarray(rng.standard_normal(x.shape), jnp.float32) for x in leaves]

    def derivative(vectors_of):
        def loss(leaves):
            storage = with_float_leaves(emb.storage, leaves)
            return (vectors_of(emb.replace(storage=storage)) ** 3).sum()

        return jax.jit(lambda x, d: DERIVATIVES[name](loss, x, d))(leaves, direction)

    result = derivative(lambda emb: ffjax.embed(emb, STRINGS)[0])
    expected = derivative(lambda emb: ffjax.lookup(emb, rows))
    for value, right in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert jnp.abs(right).max() > 0.1
        np.testing.assert_allclose(value, right, rtol=1e-3, atol=1e-4)


def test_forward_mode_outside_jit():
    emb = embeddings("fasttext")
    matrix = emb.storage.matrix
    vectors = over(emb, lambda emb: ffjax.embed(emb, STRINGS)[0])
    slope = jax.jvp(vectors, (matrix,), (matrix,))[1]
    expected = jnp.where(jnp.asarray(emb.vocab.find(STRINGS) >= 0)[:, None], vectors(matrix), 0)
    np.testing.assert_allclose(slope, expected, atol=1e-6)  # unit length does not change


def test_second_derivatives_of_sums_of_products():
    emb = embeddings("buckets", "pq_norms")
    data, lengths = (jnp.asarray(x) for x in (STRINGS.bytes, STRINGS.lengths))
    rest = emb.vocab.subword_indexer, Words(data, None, lengths)
    subwords = Subwords(data.shape[1], len(emb.vocab))

    def total(leaves):
        storage = with_float_leaves(emb.storage, leaves)
        return (ngram_totals(storage, *rest, subwords)[0] ** 3).sum()

    books, norms = float_leaves(emb.storage)
    rng = np.random.default_rng(2)
    of_books, of_norms = (jnp.asarray(rng.random(x.shape), jnp.float32) for x in (books, norms))
    gradient = jax.jit(jax.grad(total))
    product = jax.jit(jax.grad(lambda x: along(gradient(x), (of_books, of_norms))))
    # Sums are of centroids times norms, so cubes of sums have these differences.
    step = 1e-2
    after, before = (
        gradient([books + sign * step * of_books, norms + sign * step * of_norms])
        for sign in (1, -1)
    )
    for value, x, y in zip(product([books, norms]), after, before, strict=True):
        expected = (x - y) / (2 * step)
        np.testing.assert_allclose(value, expected, atol=5e-3 * jnp.abs(expected).max())


# Batches of any shape


@pytest.mark.parametrize("kind", cases(["simple", "buckets"], exhaustive=VOCABS))
def test_batches_of_any_shape(kind):
    emb = embeddings(kind)
    square = ffjax.Strings(STRINGS.bytes.reshape(2, 4, -1), STRINGS.lengths.reshape(2, 4))
    vectors, found = ffjax.embed(emb, STRINGS)
    shaped, is_found = ffjax.embed(emb, square)
    np.testing.assert_array_equal(shaped, vectors.reshape(2, 4, 6))
    one, _ = ffjax.embed(emb, ffjax.Strings(STRINGS.bytes[1], np.array(STRINGS.lengths[1])))
    np.testing.assert_allclose(one, vectors[1], atol=1e-6)
    assert is_found.tolist() == found.reshape(2, 4).tolist()
    for encode in (ffjax.encode, jax.jit(ffjax.encode)):
        rows = encode(emb.vocab, square)
        assert rows.words.shape == (2, 4) and rows.found.tolist() == is_found.tolist()
        np.testing.assert_allclose(ffjax.lookup(emb, rows), shaped, atol=1e-5)
    assert emb.vocab.find(square).shape == (2, 4)
    assert ffjax.unpack(square) == WORDS


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogies_of_any_shape(method):
    emb = embeddings("buckets")
    square = ffjax.Strings(STRINGS.bytes.reshape(2, 4, -1), STRINGS.lengths.reshape(2, 4))
    flat = ffjax.analogy(emb, STRINGS, STRINGS, STRINGS, 2, method=method)
    shaped = ffjax.analogy(emb, square, square, square, 2, method=method)
    assert shaped.rows.tolist() == flat.rows.reshape(2, 4, 2).tolist()
    np.testing.assert_array_equal(shaped.scores, flat.scores.reshape(2, 4, 2))


# Inside of `shard_map`


SAME, DIVIDED = PartitionSpec(), PartitionSpec("d")


def divided(function, emb, out_specs=DIVIDED):
    mesh = Mesh(np.array(jax.devices()), ("d",))
    specs = {"in_specs": (SAME, DIVIDED), "out_specs": out_specs}
    return jax.jit(jax.shard_map(function, mesh=mesh, **specs))(emb, STRINGS)


FUNCTIONS = {
    "embed": lambda emb, strings: ffjax.embed(emb, strings)[0],
    "unnormalized": lambda emb, strings: ffjax.embed(emb, strings, unnormalize=True)[0],
    "encode": lambda emb, strings: ffjax.lookup(emb, ffjax.encode(emb.vocab, strings)),
    "analogy": lambda emb, strings: ffjax.analogy(emb, strings, strings, strings, 2).scores,
    "top_k": lambda emb, strings: ffjax.top_k(emb, ffjax.embed(emb, strings)[0], 2).scores,
}
PAIRS = [(kind, name) for kind in VOCABS for name in FUNCTIONS]
CASES = [("buckets", name) for name in FUNCTIONS]
CASES += [("floret", "embed"), ("explicit", "encode"), ("fasttext", "embed")]


@pytest.mark.devices
@pytest.mark.parametrize("case", cases(CASES, exhaustive=PAIRS), ids="-".join)
def test_shard_map_over_words(case):
    emb, function = embeddings(case[0]), FUNCTIONS[case[1]]
    if case[1] in ("top_k", "analogy"):
        expected = jax.jit(function)(emb, STRINGS)
    else:
        expected = reference(emb, WORDS, unnormalize=case[1] == "unnormalized")
    np.testing.assert_allclose(divided(function, emb), expected, atol=1e-5)


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["fasttext", "floret"])
def test_gradients_inside_shard_map_add_up(kind):
    def gradient(emb, strings):
        loss = over(emb, lambda emb: (ffjax.embed(emb, strings)[0] ** 2 + 1).prod(1).sum())
        return jax.grad(loss)(emb.storage.matrix)

    emb = embeddings(kind, norms=False)
    expected = jax.jit(gradient)(emb, STRINGS)
    total = divided(gradient, emb, SAME)  # over all devices, since rows are shared
    np.testing.assert_allclose(total, expected, atol=1e-5)
