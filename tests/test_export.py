"""Programs that `jax.export` keeps take embeddings, and batches of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import ffjax
from tests.builders import embeddings

pytest.importorskip("flatbuffers")  # which JAX needs to serialize programs
WORDS = ["Paris", "Parisian", "12345", "a"]


def embed(emb, data, lengths):
    return ffjax.embed(emb, ffjax.Strings(data, lengths))


def encode_and_lookup(emb, data, lengths):
    rows = ffjax.encode(emb.vocab, ffjax.Strings(data, lengths))
    return ffjax.lookup(emb, rows), rows.found


def neighbours(emb, data, lengths):
    vectors, _ = ffjax.embed(emb, ffjax.Strings(data, lengths))
    best = ffjax.top_k(emb, vectors, 2, exclude=jnp.zeros((*lengths.shape, 1), jnp.int32))
    return best.scores, best.rows


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("kind", "function"),
    [("fasttext", embed), ("explicit", encode_and_lookup), ("simple", neighbours)],
)
def test_programs_of_any_batch_come_back_from_bytes(kind, function):
    emb = embeddings(kind, metadata={"a": 1})
    (n,) = export.symbolic_shape("n")
    data = jax.ShapeDtypeStruct((n, 16), jnp.uint8)
    lengths = jax.ShapeDtypeStruct((n,), jnp.int32)
    kept = export.export(jax.jit(function))(emb, data, lengths).serialize()
    program = export.deserialize(kept)
    strings = ffjax.pack((WORDS * 33)[:130], count=130)
    data, lengths = jnp.asarray(strings.bytes), jnp.asarray(strings.lengths)
    expected = function(emb, data, lengths)
    for count in (1, 4, 130):
        answers = program.call(emb, data[:count], lengths[:count])
        for answer, other in zip(answers, expected, strict=True):
            np.testing.assert_allclose(answer, other[:count], atol=1e-5)


def test_values_come_back_as_results():
    indexer = ffjax.PrunedIndexer(ffjax.FastTextIndexer(100), [3, 50])
    vocab = ffjax.FastTextVocab(["tea"], indexer)
    emb = ffjax.Embeddings(ffjax.NdArray(np.ones((3, 2), np.float32)), vocab)
    doubled = export.export(jax.jit(lambda x: jax.tree.map(lambda leaf: leaf + leaf, x)))(emb)
    answer = export.deserialize(doubled.serialize()).call(emb)
    assert isinstance(answer, ffjax.Embeddings)
    assert answer.vocab.subword_indexer.hashing == indexer.hashing
    assert np.asarray(answer.storage).tolist() == [[2, 2]] * 3


def test_labels_come_back_as_results():
    program = export.export(jax.jit(lambda x: ffjax.Labels(x, x, x)))(jnp.zeros(1))
    answer = export.deserialize(program.serialize()).call(jnp.ones(1))
    assert isinstance(answer, ffjax.Labels) and answer.counts.tolist() == [1]


def test_rows_that_are_divided_name_the_way_out():
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    stored = ffjax.ShardedArray(np.ones((8, 2), np.float32), sharding)
    program = export.export(jax.jit(lambda stored: stored.gather(jnp.zeros(1, jnp.int32))))(stored)
    with pytest.raises(TypeError, match=r"got Mesh. Rows that are divided .*`storage\[:\]`"):
        program.serialize()
