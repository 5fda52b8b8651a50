"""Arrays of explicit shardings, as on the meshes that `jax.make_mesh` gives by default."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import ffjax
from ffjax._internal.jax_compat import set_mesh
from tests.builders import WORDS, embeddings, storage
from tests.functional.search.reference import agree, integers, normals, reference

pytestmark = pytest.mark.devices
exhaustive = pytest.mark.exhaustive

STRINGS = ffjax.pack([*WORDS, "Pariser", "", "teapots"], count=16)
BY_ROWS, EVERYWHERE = PartitionSpec("rows"), PartitionSpec()


def placed(array, spec, n=2):
    mesh = Mesh(np.array(jax.devices()[:n]), ("rows",), axis_types=(AxisType.Explicit,))
    return jax.device_put(array, NamedSharding(mesh, spec))


@jax.jit
def search(stored, queries):
    return ffjax.top_k(stored, queries, 9)


def test_rows_divided_by_the_user_are_searched_where_they_lie():
    matrix, queries = integers(0, 1000, 5), integers(1, 8, 5)
    stored = ffjax.NdArray(placed(matrix, BY_ROWS, 8))
    expected = reference(matrix, queries, 9)
    for divided in (queries, placed(queries, BY_ROWS, 8)):
        agree(search(stored, divided), expected)
    text = search.lower(stored, queries).compile().as_text()
    assert "f32[125,5]" in text
    assert "f32[1000" not in text


@exhaustive
def test_within_a_mesh():
    matrix, queries = integers(0, 1000, 5), integers(1, 8, 5)
    stored = ffjax.NdArray(placed(matrix, BY_ROWS, 8))
    expected = reference(matrix, queries, 9)
    with set_mesh(stored.matrix.sharding.mesh):
        agree(ffjax.top_k(stored, queries, 9), expected)
        agree(search(stored, queries), expected)
        own = ffjax.ShardedArray(matrix, stored.matrix.sharding)
        agree(search(own, queries), expected)


@exhaustive
def test_codes_masks_and_excluded_rows():
    alone, queries = storage(1000, kind="pq"), normals(1, 6, 6)
    codes = placed(alone.codes, BY_ROWS, 8)
    stored = ffjax.QuantizedArray(alone.quantizer, codes)
    options = {"candidates": np.arange(1000) % 3 == 0, "exclude": np.full((6, 1), 3, np.int32)}

    def of(stored):
        return ffjax.top_k(stored, queries, 4, metric="cosine", **options).rows

    np.testing.assert_array_equal(jax.jit(of)(stored), of(alone))


@pytest.mark.parametrize("spec", [BY_ROWS, pytest.param(EVERYWHERE, marks=exhaustive)])
def test_words_have_the_vectors_of_one_device(spec):
    emb = embeddings("buckets")
    divided = emb.replace(storage=ffjax.NdArray(placed(emb.storage.matrix, spec)))
    vectors, found = ffjax.embed(emb, STRINGS)
    ours, also = ffjax.embed(divided, placed(STRINGS, BY_ROWS))
    np.testing.assert_allclose(ours, vectors, atol=1e-6)
    np.testing.assert_array_equal(also, found)
    np.testing.assert_array_equal(divided["Paris"], emb["Paris"])
    best, expected = (e.most_similar("Berlin", topn=3) for e in (divided, emb))
    assert [word for word, _ in best] == [word for word, _ in expected]


@exhaustive
def test_gradients_are_divided_as_the_rows_are():
    emb = embeddings("buckets")
    divided = ffjax.NdArray(placed(emb.storage.matrix, BY_ROWS))

    @jax.jit
    @jax.grad
    def gradient(stored):
        vectors, _ = ffjax.embed(emb.replace(storage=stored), STRINGS)
        return (vectors * vectors[:, ::-1]).sum()

    ours = gradient(divided).matrix
    assert {shard.data.shape for shard in ours.addressable_shards} == {(21, 6)}
    np.testing.assert_allclose(ours, gradient(emb.storage).matrix, atol=1e-6)


@exhaustive
def test_text_and_analogies():
    emb = embeddings("buckets")
    divided = emb.replace(storage=ffjax.NdArray(placed(emb.storage.matrix, BY_ROWS)))
    text = jnp.frombuffer(b"Paris teapots\n\nBerlin\n", jnp.uint8)
    embed_text = jax.jit(lambda emb, text: ffjax.embed_text(emb, text, n_words=4, n_lines=3))
    for ours, expected in zip(embed_text(divided, text), embed_text(emb, text), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    words = [ffjax.pack([word], count=4) for word in WORDS[:3]]
    analogy = jax.jit(lambda emb, words: ffjax.analogy(emb, *words, 3).rows)
    np.testing.assert_array_equal(analogy(divided, words), analogy(emb, words))
