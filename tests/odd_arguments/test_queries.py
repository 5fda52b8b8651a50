"""Odd arguments of searches, transforms and writers: errors that say what was expected."""

import numpy as np
import pytest

import ffjax
from tests.odd_arguments.conftest import QUERIES, STRINGS

pytestmark = pytest.mark.usefixtures("as_users_see")


@pytest.mark.parametrize(
    ("queries", "k", "options", "kind", "message"),
    [
        (
            QUERIES.astype(complex),
            3,
            {},
            TypeError,
            "`queries`: expected floats, got complex128. Convert first",
        ),
        (QUERIES.astype(bool), 3, {}, TypeError, "`queries`: expected floats, got bool"),
        (QUERIES.astype(int), 3, {}, TypeError, "`queries`: expected floats, got int64"),
        (
            "tea",
            3,
            {},
            TypeError,
            "`queries`: expected one or more vectors of 100 dimensions, got str",
        ),
        (
            [[1.0], [1.0, 2.0]],
            3,
            {},
            TypeError,
            "`queries`: expected one or more vectors of 100 dimensions, got list",
        ),
        (QUERIES, True, {}, TypeError, "`k`: expected a whole number, got bool True"),
        (
            QUERIES,
            3,
            {"exclude": np.ones((2, 1), np.float32)},
            TypeError,
            "`exclude`: expected whole numbers",
        ),
        (
            QUERIES,
            3,
            {"exclude": np.ones((2, 1), bool)},
            TypeError,
            "`exclude`: expected whole numbers, got bool",
        ),
        (
            QUERIES,
            3,
            {"exclude": ["tea", "pot"]},
            TypeError,
            "`exclude`: expected row numbers .*, got list",
        ),
        (
            QUERIES,
            3,
            {"approximate": "x"},
            TypeError,
            "`approximate`: expected a recall .*, got str 'x'",
        ),
        (
            QUERIES,
            3,
            {"approximate": True},
            TypeError,
            "`approximate`: expected a recall .*, got bool True",
        ),
        (
            QUERIES,
            3,
            {"approximate": [0.5]},
            TypeError,
            "`approximate`: expected a recall .*, got list",
        ),
        (
            QUERIES,
            3,
            {"candidates": slice(0.5, 3)},
            TypeError,
            r"`candidates`: expected a slice of whole numbers, got slice\(0.5",
        ),
        (
            QUERIES,
            3,
            {"candidates": [[1], [1, 2]]},
            TypeError,
            "`candidates`: expected a slice, a range, a mask .*, got list",
        ),
        (
            QUERIES,
            3,
            {"candidates": {1, 2}},
            TypeError,
            "`candidates`: expected a slice, a range, a mask .*, got set",
        ),
        (
            QUERIES,
            3,
            {"candidates": "tea"},
            TypeError,
            "`candidates`: expected a slice, a range, a mask .*, got str",
        ),
    ],
)
def test_top_k(emb, queries, k, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        ffjax.top_k(emb, queries, k, **options)


def test_top_k_takes_lists(emb) -> None:
    best = ffjax.top_k(
        emb, QUERIES.tolist(), 1, exclude=[[1], [2]], candidates=[1, 2], approximate=1
    )
    assert best.rows.tolist() == [[2], [1]]
    assert ffjax.top_k(emb, QUERIES, 1, exclude=[[], []], candidates=[]).rows.tolist() == [
        [-1],
        [-1],
    ]


@pytest.mark.parametrize(
    ("n", "kind"), [(1.5, TypeError), (True, TypeError), ("3", TypeError), (0, ValueError)]
)
def test_prune(emb, n, kind) -> None:
    with pytest.raises(kind, match="`n`: expected"):
        ffjax.prune(emb, n)


@pytest.mark.parametrize(
    ("restrict", "kind"), [(1.5, TypeError), ("x", TypeError), (True, TypeError), (0, ValueError)]
)
def test_evaluate(emb, files, restrict, kind) -> None:
    for call, file in (
        (ffjax.evaluate.analogies, "questions"),
        (ffjax.evaluate.similarity, "pairs"),
    ):
        with pytest.raises(kind, match="`restrict`: expected"):
            call(emb, files / file, restrict=restrict)


@pytest.mark.parametrize("delimiter", [3, "", None])
def test_delimiters(emb, files, delimiter) -> None:
    with pytest.raises(TypeError, match="`delimiter`: expected what separates the words, got"):
        ffjax.evaluate.similarity(emb, files / "pairs", delimiter=delimiter)


def test_methods_with_words(emb) -> None:
    for k in (1.5, True, "3"):
        for call in (
            lambda k=k: emb.most_similar_batch(["tea"], k),
            lambda k=k: emb.word_similarity("tea", k),
            lambda k=k: emb.analogy("man", "king", "woman", k),
            lambda k=k: emb.embedding_similarity(QUERIES[0], k),
        ):
            with pytest.raises(TypeError, match="`k`: expected a whole number, got"):
                call()
    for skip in (3, [3], [["tea"]]):
        for call in (
            lambda skip=skip: emb.analogy("man", "king", "woman", skip=skip),
            lambda skip=skip: emb.embedding_similarity(QUERIES[0], skip=skip),
        ):
            with pytest.raises(TypeError, match="`skip`: expected a list of words, got"):
                call()
    for word in (3, None, ["tea"]):
        with pytest.raises(TypeError, match="`query`: expected a word .str., got"):
            emb.word_similarity(word)
        with pytest.raises(TypeError, match="`word3`: expected a word .str., got"):
            emb.analogy("man", "king", word)
    for words in (3, None):
        for call in (emb.most_similar_batch, emb.embedding_batch, ffjax.pack, ffjax.pack_ragged):
            with pytest.raises(TypeError, match="`words`: expected a list of words, got"):
                call(words)
    for query in ("tea", None, QUERIES[0].astype(complex)):
        with pytest.raises(TypeError, match="`query`: expected a vector of 100 numbers, got"):
            emb.embedding_similarity(query)


def test_analogies_of_batches_of_different_sizes(emb) -> None:
    with pytest.raises(
        ValueError, match="`a`, `b`, `c`: expected batches of one size, got 4, 4 and 16 rows"
    ):
        ffjax.analogy(emb, STRINGS, STRINGS, ffjax.pack(["tea"] * 9), 1)


@pytest.mark.parametrize("option", ["width", "count"])
@pytest.mark.parametrize("value", ["x", 1.5, True])
def test_sizes_of_pack(option, value) -> None:
    with pytest.raises(TypeError, match=f"`{option}`: expected a whole number, got"):
        ffjax.pack(["a"], **{option: value})


@pytest.mark.parametrize("x", ["x", None, [[1.0], [1.0, 2.0]]])
def test_normalize(x) -> None:
    with pytest.raises(TypeError, match="`x`: expected vectors of floats along the last axis, got"):
        ffjax.normalize(x)


def test_normalize_takes_lists() -> None:
    assert ffjax.normalize([3.0, 4.0])[1].tolist() == 5


@pytest.mark.parametrize("path", [None, 3.5])
def test_targets(emb, files, path) -> None:
    for call in (
        lambda: emb.write(path),
        lambda: ffjax.save(emb, path, format="finalfusion"),
        lambda: ffjax.convert(files / "pairs", path, to_format="text"),
    ):
        with pytest.raises(TypeError, match="`(path|target)`: expected a path or a desc"):
            call()


def test_writers(emb, files) -> None:
    with pytest.raises(TypeError, match="`embeddings`: expected Embeddings, got NoneType"):
        ffjax.write_fasttext(files / "x", None)
    with pytest.raises(
        ValueError, match=r"`format`: expected one of 'finalfusion', .* got \['text'\]"
    ):
        ffjax.save(emb, files / "x.txt", format=["text"])


@pytest.mark.parametrize("scale", [2e-18, 5e17])
def test_normalize_loses_nothing_where_squares_leave_the_range(scale) -> None:
    x = np.linspace(0.01, 1, 2000, dtype=np.float32)
    unit, length = ffjax.normalize(x * np.float32(scale))
    np.testing.assert_allclose(unit, x / np.linalg.norm(x), rtol=1e-5)
    np.testing.assert_allclose(length, np.float32(np.linalg.norm(x) * scale), rtol=1e-5)
