"""The library among JAX's transformations: dtypes, tracing, pickling and comparing trees."""

import copy
import json
import pickle  # noqa: TID251

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import WORDS, embeddings

NARROW = (np.int8, np.uint8, np.int16, np.int64, np.uint64)
HOST = "traced values: functions that take or return a `str` run on the host.*`ffjax.embed"


def with_rows(emb: ffjax.Embeddings, dtype) -> ffjax.Embeddings:
    return emb.replace(storage=ffjax.NdArray(np.asarray(emb.storage).astype(dtype)))


def generator(*words):
    return (word for word in words)


# Arguments that can be read only once, and things that are not words


@pytest.mark.usefixtures("as_users_see")
def test_words_to_skip_may_come_from_a_generator():
    emb = embeddings()
    best = [result.word for result in emb.embedding_similarity(emb["a"], 3)]
    rest = emb.embedding_similarity(emb["a"], 2, skip=generator(best[0]))
    assert [result.word for result in rest] == best[1:]
    answers = [result.word for result in emb.analogy(*WORDS[:3], 3, skip=[])]
    rest = emb.analogy(*WORDS[:3], 2, skip=generator(answers[0]))
    assert [result.word for result in rest] == answers[1:]
    for call in (emb.embedding_similarity, lambda _, skip: emb.analogy(*WORDS[:3], skip=skip)):
        with pytest.raises(TypeError, match="`skip`: expected a list of words, got NoneType"):
            call(emb["a"], skip=[None])


def test_words_may_come_from_a_generator():
    emb, two = embeddings("buckets"), WORDS[:2]
    assert ffjax.unpack(ffjax.pack(generator(*two))) == two
    assert emb.embedding_batch(generator(*two))[1].all()
    assert ffjax.select_words(emb, generator(*two)).vocab.words == two
    assert len(emb.most_similar_batch(generator(*two), 1)) == 2
    assert ffjax.SimpleVocab(generator(*two)).words == two
    assert ffjax.add_words(emb, generator("x"), np.ones((1, 6))).n_words == 11
    assert ffjax.warmup(emb, counts=generator(4), widths=generator(16)) > 0


# Whole numbers of every width


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize("dtype", NARROW)
def test_whole_numbers_of_every_width_mean_the_same(dtype):
    emb, query = embeddings("buckets"), jnp.ones(6)
    lines = np.array([100, 100, 120], dtype)
    assert ffjax.pool(np.ones((3, 2), np.float32), lines, 300)[1][100] == 2
    ids = np.array([0, 9, 41], dtype)
    expected = np.asarray(emb.storage)[[0, 9, 41]]
    np.testing.assert_array_equal(emb.storage.gather(jnp.asarray(ids)), expected)
    np.testing.assert_array_equal(emb.storage[ids], expected)
    np.testing.assert_array_equal(ffjax.lookup(emb, ffjax.Rows(ids)), expected)
    best = ffjax.top_k(emb, query, 10).rows
    for candidates, allowed in ((ids[:2], [0, 9]), (slice(dtype(2), dtype(5)), [2, 3, 4])):
        few = ffjax.top_k(emb, query, len(allowed), candidates=candidates).rows.tolist()
        assert few == [row for row in best.tolist() if row in allowed]
    rest = ffjax.top_k(emb, query, 8, exclude=ids[:2]).rows.tolist()
    assert rest == [row for row in best.tolist() if row not in (0, 9)]
    packed = ffjax.pack(["Paris", "Parisian"], count=2)
    lengths = packed.lengths.astype(dtype)
    vectors, _ = ffjax.embed(emb, ffjax.Strings(packed.bytes, lengths))
    np.testing.assert_array_equal(vectors, ffjax.embed(emb, packed)[0])
    offsets = np.array([0, 3, 100], dtype)
    assert ffjax.unpack(ffjax.pack(b"x" * 300, offsets=offsets)) == ["xxx", "x" * 97]


def test_lines_beyond_the_largest_of_their_dtype():
    counts = ffjax.pool(np.ones((3, 2), np.float32), np.array([200] * 3, np.uint8), 300)[1]
    assert counts[200] == 3 and counts.sum() == 3


@pytest.mark.usefixtures("as_users_see")
def test_numbers_of_64_bits_do_not_wrap():
    emb, far = embeddings(), np.array([2**32, 2**32 + 1])
    assert not ffjax.pool(np.ones((2, 2), np.float32), far, 3)[1].any()
    best = ffjax.top_k(emb, jnp.ones(6), 10).rows
    assert ffjax.top_k(emb, jnp.ones(6), 10, exclude=far).rows.tolist() == best.tolist()
    rows = ffjax.lookup(emb, ffjax.Rows(far))  # row numbers are clipped into range
    np.testing.assert_array_equal(rows, np.asarray(emb.storage)[[9, 9]])
    packed = ffjax.pack(["Paris", "a"], count=2)
    strings = ffjax.Strings(packed.bytes, packed.lengths + np.array([2**32, 0]))
    assert ffjax.encode(emb.vocab, strings).words.tolist() == [-1, 4]
    with pytest.raises(IndexError, match="`candidates`: expected 0 to 9, got 4294967296"):
        ffjax.top_k(emb, jnp.ones(6), 1, candidates=far)


# One dtype for all words, and `out=` that fits


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_known_and_unknown_words_have_the_dtype_of_the_rows(dtype):
    emb = with_rows(embeddings("buckets"), dtype)
    packed = ffjax.pack(["Paris", "Parisian"])
    vectors = [emb["Paris"], emb["Parisian"], emb.embedding_with_norm("Parisian")[0]]
    vectors += [emb.embedding_batch(["Paris", "Parisian", "x" * 70])[0]]
    vectors += [ffjax.embed(emb, packed)[0], ffjax.lookup(emb, ffjax.encode(emb.vocab, packed))]
    assert {vector.dtype for vector in vectors} == {np.dtype(dtype)}


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize("word", ["Paris", "Parisian", "12345"])
def test_out_is_checked_for_every_word(word):
    emb = embeddings("explicit")
    for method in (emb.embedding, emb.embedding_with_norm):
        for out in (np.zeros(3, np.float32), np.zeros(6, np.int32)):
            with pytest.raises(ValueError, match=r"`out`: expected shape \(6,\) of floats, got"):
                method(word, out=out)
        with pytest.raises(TypeError, match="`out`: expected a NumPy array to write to, got list"):
            method(word, out=[0.0] * 6)


# Scale


@pytest.mark.parametrize("scale", [1e-20, 1e-19, 1e19])
@pytest.mark.parametrize("center", [False, True])
def test_components_do_not_depend_on_the_scale(scale, center):
    rows = np.random.default_rng(0).standard_normal((10, 6))
    scaled = ffjax.NdArray((rows * scale).astype(np.float32))
    small = ffjax.reduce_dims(embeddings(norms=False).replace(storage=scaled), 3, center=center)
    moved = rows - rows.mean(0) * center
    _, singular, _ = np.linalg.svd(moved)
    lengths = np.linalg.norm(np.asarray(small.storage, np.float64) / scale, axis=0)
    np.testing.assert_allclose(lengths, singular[:3], rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-25, 1e-20, 1e20])
def test_unknown_words_have_unit_length_whatever_the_scale(scale):
    emb = embeddings("buckets")
    scaled = emb.replace(storage=ffjax.NdArray(np.asarray(emb.storage) * np.float32(scale)))
    unit = emb["Parisian"]
    vectors, _ = ffjax.embed(scaled, ffjax.pack(["Parisian"]))
    for vector in (scaled["Parisian"], scaled.embedding_batch(["Parisian"])[0][0], vectors[0]):
        np.testing.assert_allclose(vector, unit, rtol=1e-5, atol=1e-6)
    norm = scaled.embedding_with_norm("Parisian")[1]
    np.testing.assert_allclose(norm / np.float32(scale), emb.embedding_with_norm("Parisian")[1])
    text = ffjax.embed_text(scaled, b"Paris Parisian", pooling="fasttext")[0]
    np.testing.assert_allclose(
        text, ffjax.embed_text(emb, b"Paris Parisian", pooling="fasttext")[0], rtol=1e-5, atol=1e-6
    )


# Words that share rows


def test_weights_go_by_word_where_words_share_rows():
    vocab = ffjax.SimpleVocab(list("abcd"), rows=[0, 1, 2, 1])
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(3, dtype=np.float32)), vocab)
    weights = np.array([1.0, 2.0, 3.0, 40.0], np.float32)
    text, options = b"d b\nb\nd x", {"pooling": "sum", "weights": weights}
    expected = [[0, 42, 0], [0, 2, 0], [0, 40, 0]]
    vectors, counts = ffjax.embed_text(emb, text, **options)
    assert vectors.tolist() == expected and counts.tolist() == [2, 1, 1]
    data = jnp.frombuffer(text, jnp.uint8)
    embed = jax.jit(lambda emb, text: ffjax.embed_text(emb, text, n_words=5, n_lines=3, **options))
    assert embed(emb, data)[0].tolist() == expected
    with pytest.raises(ValueError, match="`weights`: expected 4, one for each known word, .*3"):
        ffjax.embed_text(emb, text, weights=weights[:3])


# Trees


def test_trees_of_shapes_and_masks_compare():
    emb = embeddings("explicit", "opq", metadata={"a": 1})
    other = embeddings("explicit", "opq", words=[*WORDS[:-1], "tea"])
    shapes = jax.eval_shape(lambda x: x, emb)
    assert shapes == jax.eval_shape(lambda x: x, emb) != jax.eval_shape(lambda x: x, other)
    mask = jax.tree.map(lambda _: True, emb)
    assert mask == jax.tree.map(lambda _: True, emb) != jax.tree.map(lambda _: False, emb)
    assert mask != emb and shapes != emb and emb != mask


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("kind", [("fasttext", "dense"), ("simple", "opq")], ids="-".join)
def test_copies_and_pickles_of_divided_rows(copied, kind):
    emb = embeddings(*kind)
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    emb = emb.replace(storage=ffjax.ShardedArray(emb.storage, sharding))
    again = copied(emb)
    assert again == emb and again.storage == emb.storage
    old, new = (jax.tree.leaves(x.storage) for x in (emb, again))
    assert [leaf.sharding for leaf in old] == [leaf.sharding for leaf in new]


# Host functions inside `jit`, and values that are no words


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    "call",
    [
        lambda emb: emb["Paris"],
        lambda emb: emb["Parisian"],
        lambda emb: emb.embedding_batch(["Paris"]),
        lambda emb: emb.most_similar_batch(["Paris"]),
        lambda emb: emb.word_similarity("Paris"),
        lambda emb: emb.norms[0],
        lambda emb: np.asarray(emb.norms),
        lambda emb: emb.metadata["a"],
        lambda emb: emb.vocab.words,
        lambda emb: emb.vocab.subword_indices("Parisian"),
        lambda emb: emb.storage == jax.tree.map(lambda leaf: leaf + leaf, emb.storage),
        lambda emb: ffjax.unpack(ffjax.Strings(emb.vocab.table.data[None, :8], jnp.ones(1, int))),
    ],
)
def test_host_functions_inside_jit_name_those_to_use(call):
    emb = embeddings("explicit", metadata={"a": 1})
    with pytest.raises(TypeError, match=HOST):
        jax.eval_shape(lambda emb: (call(emb), jnp.ones(()))[1], emb)


def test_text_on_the_host_inside_jit():
    with pytest.raises(TypeError, match="`text`: expected a uint8 array with `n_words` and `n_li"):
        jax.eval_shape(lambda emb: ffjax.embed_text(emb, b"Paris"), embeddings())


@pytest.mark.usefixtures("as_users_see")
def test_what_is_not_a_word_or_a_mapping():
    emb = embeddings("buckets")
    for call in (emb.__getitem__, emb.embedding, emb.embedding_with_norm):
        with pytest.raises(TypeError, match="`word`: .*, got list .*embedding_batch"):
            call(["a", "b"])
    with pytest.raises(TypeError, match="`values`: expected a mapping, got str 'a = 1'.*from_toml"):
        ffjax.Metadata("a = 1")
    ragged = [[1] * 6, [2]]
    for value, got in (([[1j] * 6], "list of complex128"), (ragged, "lists of"), (None, "NoneT")):
        with pytest.raises(TypeError, match=rf"`vectors`: expected numbers \(1 vec.*, got {got}"):
            ffjax.add_words(emb, ["x"], value)
        with pytest.raises(TypeError, match=rf"`matrix`: expected numbers \(a vec.*, got {got}"):
            ffjax.from_vectors(["x"], value)
    assert ffjax.pack([""], width=0).bytes.shape == (4, 0)


def test_similarities_are_plain_floats():
    emb = embeddings()
    for results in (emb.word_similarity("a", 2), emb.analogy(*WORDS[:3], 2)):
        assert json.loads(json.dumps([x.similarity for x in results])) == [
            x.similarity for x in results
        ]
        assert "float32" not in repr(results)
