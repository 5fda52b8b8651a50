"""Values as pytrees: every leaf is an array, and equal shapes share one program."""

import copy
import dataclasses
import pickle  # noqa: TID251 - the library never does; users may

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import ALL_STORAGES, VOCABS, embeddings

KINDS = [*((v, "dense") for v in VOCABS), *(("simple", s) for s in ALL_STORAGES if s != "dense")]
every_kind = pytest.mark.parametrize("kind", KINDS, ids="-".join)


@every_kind
def test_leaves_are_arrays_and_the_structure_hashes(kind):
    emb = embeddings(*kind, metadata={"a": 1})
    leaves, structure = jax.tree.flatten(emb)
    assert leaves and all(isinstance(leaf, jax.Array) for leaf in leaves)
    hash(structure)
    assert jax.tree.unflatten(structure, leaves) == emb


@every_kind
def test_tree_map(kind):
    emb = embeddings(*kind)
    host = jax.tree.map(np.asarray, emb)
    assert isinstance(host, ffjax.Embeddings)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(host))
    assert host == emb
    np.testing.assert_array_equal(host.embedding("Paris"), emb.embedding("Paris"))


@pytest.mark.devices
@every_kind
def test_device_put(kind):
    emb = embeddings(*kind)
    host = jax.tree.map(np.asarray, emb)
    assert jax.device_put(host, jax.devices()[1]) == emb


@every_kind
def test_jit_returns_what_it_takes(kind):
    emb = embeddings(*kind, metadata={"author": "x"})
    again = jax.jit(lambda e: e)(emb)
    assert again == emb
    assert again.vocab.words == emb.vocab.words
    assert again.metadata["author"] == "x"


def alike(kind):
    """Two embeddings of the same shapes: words of other lengths, other rows, other metadata."""
    first = embeddings(*kind, seed=0, metadata={"version": "first"})
    words = [f"{word}{'x' * (i % 3)}" for i, word in enumerate(reversed(first.vocab.words))]
    if kind[0] == "explicit":
        words = None  # other words have another number of n-grams
    second = embeddings(*kind, seed=1, words=words, metadata={"version": "second, and longer"})
    return first, second


@every_kind
def test_embeddings_of_the_same_shapes_are_traced_once(kind):
    traces = []

    @jax.jit
    def vectors(emb, strings):
        traces.append(1)
        return ffjax.embed(emb, strings)

    for emb in alike(kind):
        jax.eval_shape(vectors, emb, ffjax.pack(["Paris", "berlin", "x"]))
    assert len(traces) == 1


@pytest.mark.parametrize("kind", [("buckets", "pq"), ("explicit", "dense")], ids="-".join)
def test_embeddings_that_share_a_program_keep_their_own_answers(kind):
    vectors_of = jax.jit(lambda emb, strings: ffjax.embed(emb, strings))
    words = ["Paris", "berlin", "x"]
    for emb in alike(kind):
        vectors, found = vectors_of(emb, ffjax.pack(words))
        for word, vector, has_vector in zip(words, vectors, found, strict=False):
            assert bool(has_vector) == (emb.embedding(word) is not None)
            expected = emb.embedding(word, default=np.zeros(6, np.float32))
            np.testing.assert_allclose(vector, expected, atol=1e-6)
    assert vectors_of._cache_size() == 1


def test_metadata_does_not_leak_between_calls_of_one_program():
    same = jax.jit(lambda emb: emb)
    first = same(embeddings(metadata={"n": 1}))
    second = same(embeddings(metadata={"n": 2}))
    assert (first.metadata["n"], second.metadata["n"]) == (1, 2)
    assert same._cache_size() == 1


def test_vmap_over_stacked_embeddings():
    pair = [embeddings("buckets", seed=s) for s in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pair)
    strings = ffjax.pack(["Paris", "Parisian"], count=2)
    vectors, found = jax.vmap(lambda emb: ffjax.embed(emb, strings))(stacked)
    assert vectors.shape == (2, 2, 6)
    assert found.all()
    for emb, both in zip(pair, vectors, strict=True):
        expected = np.stack([emb["Paris"], emb["Parisian"]])
        np.testing.assert_allclose(both, expected, rtol=1e-5, atol=1e-6)


@every_kind
def test_equality(kind):
    emb = embeddings(*kind)
    assert emb == embeddings(*kind)
    assert emb != embeddings(*kind, seed=5)
    assert emb != emb.replace(norms=None)
    assert emb != emb.replace(metadata=ffjax.Metadata({"a": 1}))
    assert emb != "emb"


def test_replace_makes_a_new_value():
    emb = embeddings()
    doubled = emb.replace(storage=ffjax.NdArray(jnp.asarray(emb.storage.matrix) * 2))
    np.testing.assert_array_equal(doubled["Paris"], 2 * emb["Paris"])
    assert doubled.vocab is emb.vocab
    with pytest.raises(
        TypeError, match="expected some of storage, vocab, norms, metadata, training, got rows"
    ):
        emb.replace(rows=3)
    with pytest.raises(ValueError, match="`storage`: expected 10 rows.*got 2"):
        emb.replace(storage=emb.storage[:2])


@pytest.mark.parametrize("field", ["storage", "vocab", "norms", "metadata"])
def test_assignment_raises_an_error_that_names_replace(field):
    emb = embeddings()
    message = rf"`{field}`.*immutable.*replace\({field}="
    with pytest.raises(dataclasses.FrozenInstanceError, match=message):
        setattr(emb, field, None)
    with pytest.raises(dataclasses.FrozenInstanceError, match="immutable"):
        emb.storage.matrix = None


@every_kind
def test_repr_is_one_short_line(kind):
    text = repr(embeddings(*kind, metadata={"a": 1}))
    assert text.startswith("Embeddings(") and "\n" not in text and len(text) < 250
    assert repr(embeddings(*kind).vocab) in text and repr(embeddings(*kind).storage) in text


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"storage": np.zeros((10, 6))}, TypeError, "`storage`: expected Storage, got ndarray"),
        ({"vocab": ["a"]}, TypeError, "`vocab`: expected Vocab, got list"),
        ({"norms": np.ones(10)}, TypeError, "`norms`: expected Norms or None, got ndarray"),
        ({"metadata": {}}, TypeError, "`metadata`: expected Metadata or None, got dict"),
        ({"norms": ffjax.Norms(np.ones(3, np.float32))}, ValueError, "`norms`: expected 10.*got 3"),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_fields_must_fit_together(change, error, message):
    with pytest.raises(error, match=message):
        embeddings().replace(**change)


def test_trees_of_anything_have_a_repr():
    emb = embeddings("buckets", "opq", metadata={"a": 1})
    for leaf in (None, "spec", True, (3, 4), jax.ShapeDtypeStruct((2,), np.float32)):
        tree = jax.tree.map(lambda _, leaf=leaf: leaf, emb)
        assert repr(tree).startswith("Embeddings(")


def test_values_copy_pickle_and_flatten():
    emb = embeddings()
    assert copy.copy(emb) == copy.deepcopy(emb) == pickle.loads(pickle.dumps(emb)) == emb
    assert jax.tree.unflatten(*jax.tree.flatten(emb)[::-1]) == emb
    assert jax.tree.map(lambda _: None, emb).norms is not None
