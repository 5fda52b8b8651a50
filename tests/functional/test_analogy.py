"""Analogies and neighbours: what they answer, beside NumPy, finalfusion-python and gensim."""

from itertools import product

import jax
import numpy as np
import pytest

import ffjax
from ffjax.kernels.top_k.rows import COS_MUL
from tests.builders import cases, embeddings, plain_demo
from tests.functional.search.reference import reference

QUERIES = [
    ("man", "king", "woman"),
    ("paris", "france", "berlin"),
    ("good", "better", "bad"),
    ("berlin", "berlin", "tea"),
]
METHODS = ("3cosadd", "3cosmul")
KINDS = [("simple", "dense"), ("floret", "dense"), ("explicit", "opq")]
some_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def demo():
    return plain_demo()


@pytest.fixture(scope="module")
def gensim_demo(demo):
    models = pytest.importorskip("gensim.models")
    vectors = models.KeyedVectors(demo.dims)
    vectors.add_vectors(demo.vocab.words, np.asarray(demo.storage))
    return vectors


@pytest.fixture(scope="module")
def ranked(demo):
    """All words in the order of their scores by NumPy, by method."""
    ids = np.array([[demo.vocab.word_index[word] for word in query] for query in QUERIES])
    a, b, c = vectors = np.asarray(demo.storage)[ids.T]
    targets = {"3cosadd": (b - a + c, "dot"), "3cosmul": (vectors, COS_MUL)}
    return {
        method: reference(demo.storage, queries, 10000, exclude=ids, metric=metric)[1].tolist()
        for method, (queries, metric) in targets.items()
    }


def packed(queries):
    return [ffjax.pack(words, count=len(words)) for words in zip(*queries, strict=True)]


def words_of(emb, rows):
    return [
        [emb.vocab.words[row] for row in each if row >= 0] for each in np.asarray(rows).tolist()
    ]


def agrees(ours, theirs):
    assert [result.word for result in ours] == [word for word, _ in theirs]
    np.testing.assert_allclose(
        [result.similarity for result in ours], [score for _, score in theirs], rtol=1e-5
    )


# gensim calls a function of its own that it has deprecated.
@pytest.mark.filterwarnings("ignore:Call to deprecated .init_sims.:DeprecationWarning")
@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_gensims(demo, gensim_demo, query):
    a, b, c = query
    agrees(demo.analogy(a, b, c, k=8), gensim_demo.most_similar([b, c], [a], topn=8))
    agrees(
        demo.analogy(a, b, c, k=8, method="3cosmul"),
        gensim_demo.most_similar_cosmul([b, c], [a], topn=8),
    )


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_a_batch_answers_as_one_by_one(demo, method):
    best = ffjax.analogy(demo, *packed(QUERIES), k=5, method=method)
    one_by_one = [[r.word for r in demo.analogy(*query, k=5, method=method)] for query in QUERIES]
    assert words_of(demo, best.rows) == one_by_one


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_inside_jit(demo, method):
    def answer(emb, a, b, c):
        return ffjax.analogy(emb, a, b, c, k=5, method=method)

    eager, jitted = answer(demo, *packed(QUERIES)), jax.jit(answer)(demo, *packed(QUERIES))
    assert jitted.rows.tolist() == eager.rows.tolist()
    np.testing.assert_allclose(jitted.scores, eager.scores, rtol=1e-5)


PAIRS = [*product(KINDS[:1], METHODS), (KINDS[1], "3cosadd"), (KINDS[2], "3cosmul")]


@pytest.mark.parametrize("case", cases(PAIRS, exhaustive=product(KINDS, METHODS)), ids=str)
def test_every_kind_of_embeddings(case):
    kind, method = case
    emb = embeddings(*kind)
    a, b, c = packed([("Paris", "Berlin", "teapot"), ("Straße", "a", "naïve")])
    best = ffjax.analogy(emb, a, b, c, 4, method=method)
    jitted = jax.jit(lambda e: ffjax.analogy(e, a, b, c, 4, method=method))(emb)
    assert best.rows.tolist() == jitted.rows.tolist()
    vectors = np.stack([emb[word] for word in ("Paris", "Berlin", "teapot")]).astype(np.float64)
    rows = np.asarray(emb.storage, np.float64)[: emb.vocab.n_word_rows]
    if method == "3cosadd":
        wanted = vectors[1] - vectors[0] + vectors[2]
        scores = rows @ wanted / np.linalg.norm(wanted)
    else:
        cosines = (
            1
            + rows
            @ vectors.T
            / np.linalg.norm(rows, axis=1)[:, None]
            / np.linalg.norm(vectors, axis=1)
        ) / 2
        scores = cosines[:, 1] * cosines[:, 2] / (cosines[:, 0] + 1e-6)
    scores[
        [emb.vocab.word_index[word] for word in ("Paris", "Berlin", "teapot") if word in emb]
    ] = -np.inf
    order = np.argsort(-scores, kind="stable")[:4]
    assert words_of(emb, best.rows)[0] == [emb.vocab.words[row] for row in order]
    np.testing.assert_allclose(best.scores[0][: len(order)], scores[order], rtol=2e-5)


ROWS = {
    "first": slice(0, 300),
    "slice": slice(100, 300),
    "range": range(0, 10000, 7),
    "listed": np.array([3, 9, 400, 5]),
    "mask": np.arange(10000) % 3 == 0,
}


@pytest.mark.parametrize(
    "case",
    cases(
        [*product(ROWS, METHODS[:1]), ("slice", "3cosmul"), ("listed", "3cosmul")],
        exhaustive=product(ROWS, METHODS),
    ),
    ids="-".join,
)
def test_only_some_rows_may_be_answers(demo, ranked, case):
    name, method = case
    rows = ROWS[name]
    allowed = set(np.arange(10000)[rows].tolist())
    expected = [[row for row in each if row in allowed][:3] for each in ranked[method]]
    assert (
        ffjax.analogy(demo, *packed(QUERIES), k=3, method=method, candidates=rows).rows.tolist()
        == expected
    )


def test_another_metric_takes_vectors_of_unit_length(demo):
    """As gensim does whatever the lengths of the rows are."""
    lengths = np.random.default_rng(0).uniform(0.5, 3, (10000, 1)).astype(np.float32)
    scaled = demo.replace(storage=ffjax.NdArray(np.asarray(demo.storage) * lengths))
    expected = ffjax.analogy(demo, *packed(QUERIES), k=5)
    for metric in ("cosine", "angular", "euclidean"):
        assert (
            ffjax.analogy(scaled, *packed(QUERIES), k=5, metric=metric).rows.tolist()
            == expected.rows.tolist()
        )
    assert ffjax.analogy(scaled, *packed(QUERIES), k=5).rows.tolist() != expected.rows.tolist()


@some_kinds
def test_most_similar_batch_is_word_similarity_for_many(kind):
    emb = embeddings(*kind)
    words = ["Paris", "Pariser", "", "teapot", "x", "Berlin"]
    together = emb.most_similar_batch(words, k=3, metric="dot")
    for word, ours in zip(words, together, strict=True):
        theirs = emb.word_similarity(word, k=3)
        if theirs is None:
            assert ours is None
        else:
            agrees(ours, [(result.word, result.similarity) for result in theirs])
    assert emb.most_similar_batch([], k=3) == []


def test_most_similar_batch_takes_more_words_than_are_searched_at_once(demo, monkeypatch):
    monkeypatch.setattr("ffjax.embeddings.similarity._SEARCHED_WORDS", 4)
    words = ["berlin", "tea", "blorp", "king", "queen", "jazz", "blorp"]
    together = demo.most_similar_batch(words, 2, metric="dot")
    assert together == [demo.word_similarity(word, 2) for word in words]


def test_most_similar_batch_is_gensims(demo, gensim_demo):
    lengths = np.linspace(1, 2, 10000, dtype=np.float32)[:, None]
    scaled = demo.replace(storage=ffjax.NdArray(np.asarray(demo.storage) * lengths))
    for word, found in zip(
        ("berlin", "tea"),
        scaled.most_similar_batch(["berlin", "tea"], 6),
        strict=True,
    ):
        agrees(found, gensim_demo.most_similar(word, topn=6))


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda e: e.analogy("a", "a", "a", method="mul"),
            ValueError,
            "`method`: expected one of.*got 'mul'",
        ),
        (
            lambda e: e.most_similar_batch("tea"),
            TypeError,
            "`words`: expected a list of words, got the single word 'tea'",
        ),
        (
            lambda e: e.most_similar_batch(["Paris"], k=-1),
            ValueError,
            "`k`: expected 0 or more, got -1",
        ),
        (
            lambda e: e.most_similar_batch(["Paris"], metric="far"),
            ValueError,
            "`metric`: expected one of 'dot'",
        ),
        (
            lambda e: ffjax.analogy(
                e, *packed([("a", "a", "a")]), k=1, method="3cosmul", metric="angular"
            ),
            ValueError,
            "`metric`: expected 'cosine' for the method '3cosmul'.*got 'angular'",
        ),
        (
            lambda e: ffjax.analogy(e, *packed([("a", "a", "a")]), k=-1, method="3cosmul"),
            ValueError,
            "`k`: expected 0 or more, got -1",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(embeddings())
