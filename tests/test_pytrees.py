"""The values as pytrees: every leaf an array, everything static hashable, one program for one shape."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import ALL_STORAGES, VOCABS, embeddings

every_kind = pytest.mark.parametrize("kind", [*((v, "dense") for v in VOCABS), *(("simple", s) for s in ALL_STORAGES)])


@every_kind
def test_leaves_are_arrays_and_the_structure_hashes(kind):
    emb = embeddings(*kind, metadata={"a": 1})
    leaves, structure = jax.tree.flatten(emb)
    assert leaves and all(isinstance(leaf, jax.Array) for leaf in leaves)
    hash(structure)
    assert jax.tree.unflatten(structure, leaves) == emb


@every_kind
def test_tree_map_and_device_put(kind):
    emb = embeddings(*kind)
    host = jax.tree.map(np.asarray, emb)
    assert isinstance(host, ffjax.Embeddings)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(host))
    assert host == emb
    assert jax.device_put(host, jax.devices()[-1]) == emb
    np.testing.assert_array_equal(host.embedding("Paris"), emb.embedding("Paris"))


@every_kind
def test_through_jit_comes_back_what_went_in(kind):
    emb = embeddings(*kind, metadata={"author": "x"})
    again = jax.jit(lambda e: e)(emb)
    assert again == emb
    assert again.vocab.words == emb.vocab.words
    assert again.metadata["author"] == "x"


@every_kind
def test_other_embeddings_of_the_same_shapes_do_not_retrace(kind):
    traces = []

    @jax.jit
    def vectors(emb, strings):
        traces.append(1)
        return ffjax.embed(emb, strings)

    words = ["Paris", "berlin", "x"]
    first = embeddings(*kind, seed=0, metadata={"made": "first"})
    # Other words of other lengths, other numbers, other metadata, but as many of each.
    others = [f"{word}{'x' * (i % 3)}" for i, word in enumerate(reversed(first.vocab.words))]
    if kind[0] == "explicit":
        others = None  # other words have another number of n-grams
    second = embeddings(*kind, seed=1, words=others, metadata={"made": "second, and told at greater length"})
    for emb in (first, second):
        got, found = vectors(emb, ffjax.pack(words))
        for word, vector, is_found in zip(words, got, found, strict=False):
            expected = emb.embedding(word)
            assert bool(is_found) == (expected is not None)
            np.testing.assert_allclose(vector, np.zeros(6) if expected is None else expected, atol=1e-6)
    assert len(traces) == 1


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
    for emb, got in zip(pair, vectors, strict=True):
        np.testing.assert_allclose(got, ffjax.embed(emb, strings)[0], rtol=1e-5, atol=1e-6)


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
    with pytest.raises(TypeError, match="expected names out of storage, vocab, norms, metadata, training, got rows"):
        emb.replace(rows=3)
    with pytest.raises(ValueError, match="`storage`: expected 10 rows.*got 2"):
        emb.replace(storage=emb.storage[:2])


@pytest.mark.parametrize("part", ["storage", "vocab", "norms", "metadata"])
def test_nothing_can_be_assigned_and_the_error_names_replace(part):
    emb = embeddings()
    with pytest.raises(dataclasses.FrozenInstanceError, match=rf"`{part}`.*immutable.*replace\({part}="):
        setattr(emb, part, None)
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
def test_parts_must_fit(change, error, message):
    with pytest.raises(error, match=message):
        embeddings().replace(**change)


def test_trees_of_anything_have_a_repr():
    emb = embeddings("buckets", "opq", metadata={"a": 1})
    for leaf in (None, "spec", True, (3, 4), jax.ShapeDtypeStruct((2,), np.float32)):
        tree = jax.tree.map(lambda _, leaf=leaf: leaf, emb)
        assert repr(tree).startswith("Embeddings(")
