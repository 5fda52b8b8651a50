"""The device functions: what they answer, under which transformations, and what they refuse."""

import copy
import pickle  # noqa: TID251 - users may, the library never does

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import ALL_STORAGES, VOCABS, WORDS, cases, embeddings

QUERIES = [*WORDS[:4], "Pariser", "", "x", "teapots", "кротик", "👍"]
KINDS = [(vocab, "dense") for vocab in VOCABS]
KINDS += [("buckets", storage) for storage in ALL_STORAGES if storage != "dense"]
FEW_KINDS = [KINDS[i] for i in (0, 3, 4, -1)]  # a vocabulary of each sort, and another storage


def kinds(*compiled):
    """These kinds; the others are `exhaustive`, since each compiles a program."""
    return pytest.mark.parametrize("kind", cases(compiled, exhaustive=KINDS), ids="-".join)


def reference(emb, words, unnormalize=False):
    """Vectors word by word, with NumPy, by the definition."""
    matrix = np.asarray(emb.storage, np.float64)
    answers = []
    for word in words:
        rows = emb.vocab.idx(word)
        if rows is None:
            answers.append(np.zeros(emb.dims))
        elif isinstance(rows, int):
            scale = np.asarray(emb.norms)[rows] if unnormalize and emb.norms is not None else 1
            answers.append(matrix[rows] * scale)
        else:
            total = matrix[rows].sum(0)
            answers.append(total / len(rows) if unnormalize else total / np.linalg.norm(total))
    return np.array(answers)


def check_embed(emb, vectors, found, unnormalize):
    vectors, found = np.asarray(vectors), np.asarray(found)
    expected = reference(emb, QUERIES, unnormalize)
    np.testing.assert_allclose(vectors[: len(QUERIES)], expected, atol=2e-6)
    has_rows = [emb.vocab.idx(word) is not None for word in QUERIES]
    assert found[: len(QUERIES)].tolist() == has_rows
    assert not found[len(QUERIES) :].any() and not vectors[len(QUERIES) :].any()


@kinds(*KINDS)
def test_embed_equals_the_definition(kind):
    emb = embeddings(*kind)
    vectors, found = ffjax.embed(emb, ffjax.pack(QUERIES))
    check_embed(emb, vectors, found, False)


def test_a_memory_map_that_a_compiled_function_refers_to(tmp_path):
    emb = embeddings("simple", "dense")
    ffjax.write_finalfusion(tmp_path / "x", emb)
    mapped, strings = ffjax.load_finalfusion(tmp_path / "x", mmap=True), ffjax.pack(QUERIES)
    check_embed(emb, *jax.jit(lambda strings: ffjax.embed(mapped, strings))(strings), False)
    rows = ffjax.encode(emb.vocab, strings)
    vectors = jax.jit(lambda rows: ffjax.lookup(mapped, rows))(rows)
    check_embed(emb, vectors, rows.found, False)


@kinds(("simple", "dense"), ("fasttext", "dense"), ("buckets", "int8"))
def test_embed_without_normalization_equals_the_definition(kind):
    emb = embeddings(*kind)
    vectors, found = ffjax.embed(emb, ffjax.pack(QUERIES), unnormalize=True)
    check_embed(emb, vectors, found, True)


@pytest.mark.parametrize("unnormalize", [False, True])
def test_embed_in_jit_equals_the_definition(unnormalize):
    emb = embeddings("buckets")
    jitted = jax.jit(ffjax.embed, static_argnames="unnormalize")
    vectors, found = jitted(emb, ffjax.pack(QUERIES), unnormalize=unnormalize)
    check_embed(emb, vectors, found, unnormalize)


@kinds(*FEW_KINDS)
def test_no_words(kind):
    emb = embeddings(*kind)
    vectors, found = ffjax.embed(emb, ffjax.pack([]))
    assert vectors.shape == (0, 6) and found.shape == (0,)


def test_gradients_reach_the_rows():
    emb = embeddings("buckets")
    strings = ffjax.pack(["Paris", "Pariser"], count=2)

    @jax.jit
    @jax.value_and_grad
    def loss(matrix):
        vectors, _ = ffjax.embed(emb.replace(storage=ffjax.NdArray(matrix)), strings)
        return (vectors * jnp.arange(12, dtype=jnp.float32).reshape(2, 6)).sum()

    matrix = np.asarray(emb.storage)
    gradient = np.asarray(loss(matrix)[1])
    rows = [emb.vocab["Paris"], emb.vocab["Pariser"][0]]
    for row in rows:
        for column in (0, 5):
            step = np.zeros(matrix.shape, np.float32)
            step[row, column] = 1e-2
            difference = (loss(matrix + step)[0] - loss(matrix - step)[0]) / 2e-2
            np.testing.assert_allclose(gradient[row, column], difference, rtol=2e-2, atol=2e-2)
    untouched = sorted(set(range(matrix.shape[0])) - {rows[0], *emb.vocab["Pariser"]})
    assert not gradient[untouched].any()


@kinds(*FEW_KINDS)
def test_top_k_searches_words_alone(kind):
    emb = embeddings(*kind)
    queries = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    scores = queries @ np.asarray(emb.storage)[: emb.vocab.n_word_rows].T
    best = ffjax.top_k(emb, queries, 4)
    for i in range(3):
        order = np.argsort(-scores[i], kind="stable")[:4]
        assert best.rows[i].tolist()[: len(order)] == order.tolist()
        np.testing.assert_allclose(best.scores[i][: len(order)], scores[i][order], atol=1e-5)
        assert (best.rows[i][len(order) :] == -1).all()


def test_analogy_leaves_the_query_words_out_unless_asked():
    emb = embeddings()
    a, b, c = (ffjax.pack([word], count=1) for word in ("Paris", "Berlin", "teapot"))
    expected = [result.word for result in emb.analogy("Paris", "Berlin", "teapot", k=4)]
    assert [emb.vocab.words[row] for row in ffjax.analogy(emb, a, b, c, 4).rows[0]] == expected
    allowed = [result.word for result in emb.analogy("Paris", "Berlin", "teapot", k=4, skip=set())]
    assert [
        emb.vocab.words[row] for row in ffjax.analogy(emb, a, b, c, 4, include_queries=True).rows[0]
    ] == allowed
    nothing = ffjax.analogy(emb, a, b, ffjax.pack(["nobody"], count=1), 4)
    assert (nothing.rows == -1).all() and (nothing.scores == -jnp.inf).all()


def test_normalize():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0], [3e30, 4e30]])
    unit, norms = ffjax.normalize(x)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(norms, [5, 0, 1e-30, 5e30], rtol=1e-6)
    assert jax.jit(ffjax.normalize)(x)[0].tolist() == unit.tolist()
    assert not np.isnan(jax.grad(lambda x: ffjax.normalize(x)[0].sum())(x)).any()
    assert ffjax.normalize(x.astype(jnp.bfloat16))[0].dtype == jnp.bfloat16
    assert ffjax.normalize(jnp.zeros((0, 3)))[1].shape == (0,)
    for number in (jnp.nan, jnp.inf):  # not zero, which would hide it
        unit, norm = ffjax.normalize(jnp.array([number, 1.0]))
        assert np.isnan(unit).all() and np.isnan(norm)


@kinds(*FEW_KINDS)
def test_copies_and_pickles_hold_no_caches(kind):
    emb = embeddings(*kind, metadata={"a": 1})
    before = len(pickle.dumps(emb))
    (
        repr(emb),
        emb.metadata["a"],
        emb.embedding("Paris"),
        emb.vocab.words,
        emb.word_similarity("Paris"),
    )
    assert len(pickle.dumps(emb)) == before
    assert pickle.loads(pickle.dumps(emb)) == emb
    assert copy.deepcopy(emb) == emb
    assert copy.copy(emb) == emb


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda e: ffjax.embed(e, ["tea"]),
            TypeError,
            "`strings`: expected Strings, got list. Pack words first",
        ),
        (lambda e: ffjax.encode(e.vocab, "tea"), TypeError, "`strings`: expected Strings, got str"),
        (
            lambda e: ffjax.encode(e, ffjax.pack(["tea"])),
            TypeError,
            "`vocab`: expected a vocabulary.*got Embeddings",
        ),
        (lambda e: ffjax.lookup(e, jnp.array([1])), TypeError, "`rows`: expected Rows, got"),
        (lambda e: ffjax.analogy(e, "a", "b", "c", 1), TypeError, "`a`: expected Strings, got str"),
        (lambda e: ffjax.normalize(jnp.ones(3, int)), TypeError, "`x`: expected floats, got int.."),
        (
            lambda e: ffjax.top_k(e, jnp.ones(6), 2.5),
            TypeError,
            "`k`: expected a whole number, got float 2.5",
        ),
        (
            lambda e: e.word_similarity("Paris", k="3"),
            TypeError,
            "`k`: expected a whole number, got str '3'",
        ),
        (
            lambda e: jax.jit(lambda k: ffjax.top_k(e, jnp.ones(6), k))(2),
            TypeError,
            "`k`: .*a traced value.*static",
        ),
        (lambda e: ffjax.top_k(e, jnp.ones(6), -1), ValueError, "`k`: expected 0 or more, got -1"),
        (
            lambda e: ffjax.top_k(e, jnp.ones(5), 1),
            ValueError,
            "`queries`: expected 6 dimensions, got shape",
        ),
        (
            lambda e: ffjax.top_k(e, jnp.ones(6), 1, metric="far"),
            ValueError,
            "`metric`: expected one of 'dot'",
        ),
        (lambda e: e.word_similarity("Paris", k=-1), ValueError, "`k`: expected 0 or more"),
        (
            lambda e: e.analogy("a", "a", "a", skip="a"),
            TypeError,
            "`skip`: expected a list of words, got the single word 'a'",
        ),
        (
            lambda e: e.embedding("Paris", out=np.zeros(5, np.float32)),
            ValueError,
            r"`out`: expected shape \(6,\)",
        ),
        (
            lambda e: e.embedding("Paris", out=np.zeros(6, int)),
            ValueError,
            "`out`: .*of floats, got .* of int64",
        ),
        (
            lambda e: e.embedding_similarity(np.ones(5)),
            ValueError,
            r"`query`: expected shape \(6,\), got \(5,\)",
        ),
        (lambda e: jax.jit(lambda emb: emb["Paris"])(e), TypeError, r"traced values.*ffjax\.embed"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(embeddings())
